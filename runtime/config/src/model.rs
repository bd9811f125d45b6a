//! The swarm file as data: every key, its default, its unit. What the file may say is checked in
//! `check`; what the kernel gets is the topology that follows from it.

mod field;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use field::{Backend, Boundary, Feedback, FieldSection};

/// The whole swarm file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmConfig {
    /// Version of the file format; 1.
    pub version: u32,
    /// `[swarm]`.
    pub swarm: SwarmSection,
    /// `[field]`.
    pub field: FieldSection,
    /// `[tick]`.
    pub tick: TickSection,
    /// `[metrics]`.
    pub metrics: MetricsSection,
    /// `[band.NAME]`: bands of frequencies, each with an index of its own.
    pub band: BTreeMap<String, BandSection>,
    /// `[sync]`.
    pub sync: SyncSection,
    /// `[source.NAME]`.
    pub source: BTreeMap<String, SourceSection>,
    /// `[watch.NAME]`: thresholds on board cells.
    pub watch: BTreeMap<String, WatchSection>,
    /// `[annotation.NAME]`: columns of 0 and 1 whose changes become events.
    pub annotation: BTreeMap<String, AnnotationSection>,
    /// `[ring]`.
    pub ring: RingSection,
    /// `[plane]`.
    pub plane: PlaneSection,
    /// `[recorder]`.
    pub recorder: RecorderSection,
    /// `[cpu]`.
    pub cpu: CpuSection,
    /// `[agent.NAME]`.
    pub agent: BTreeMap<String, AgentSection>,
}

impl Default for SwarmConfig {
    fn default() -> Self {
        Self {
            version: 1,
            swarm: SwarmSection::default(),
            field: FieldSection::default(),
            tick: TickSection::default(),
            metrics: MetricsSection::default(),
            band: BTreeMap::new(),
            sync: SyncSection::default(),
            source: BTreeMap::new(),
            watch: BTreeMap::new(),
            annotation: BTreeMap::new(),
            ring: RingSection::default(),
            plane: PlaneSection::default(),
            recorder: RecorderSection::default(),
            cpu: CpuSection::default(),
            agent: BTreeMap::new(),
        }
    }
}

/// `[swarm]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmSection {
    /// Project name; default: the folder's name.
    pub name: Option<String>,
}

/// `"auto"` or a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Auto<T> {
    /// Chosen by the program; written as `"auto"`.
    #[serde(with = "auto_word")]
    Auto,
    /// Chosen by the user.
    Set(T),
}

mod auto_word {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("auto")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "auto" => Ok(()),
            other => Err(serde::de::Error::custom(format!("expected \"auto\", found \"{other}\""))),
        }
    }
}

/// `[tick]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TickSection {
    /// Ticks per second, at least 0.001; 0: as fast as it can.
    pub rate_hz: f64,
    /// Solver steps a tick.
    pub steps: u32,
    /// Nominal field time of one tick in ns where `rate_hz` is 0 and no recording gives the time.
    pub period_ns: u64,
    /// Ticks from one saved state to the next.
    pub checkpoint_ticks: u32,
}

impl Default for TickSection {
    fn default() -> Self {
        Self { rate_hz: 100.0, steps: 8, period_ns: 10_000_000, checkpoint_ticks: 10 }
    }
}

/// `[metrics]`: the parameters of the complexity index, `CI = alpha D^bD G C (1 - exp(-tau/tau0))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSection {
    /// alpha.
    pub alpha: f64,
    /// bD, exponent of D.
    pub d_exponent: f64,
    /// tau0 in field seconds.
    pub tau0: f64,
    /// Threshold on |u| for box counting: a number, or `q:P` for the quantile P of |u|.
    pub threshold: String,
    /// Smallest box size in the fit, in cells.
    pub box_min: u32,
    /// Largest box size in the fit, in cells; `"auto"`: an eighth of the smaller side.
    pub box_max: Auto<u32>,
    /// Side of a tile for the local D, in cells; a power of two.
    pub tile: u32,
    /// Side of the window for C and G, in cells; odd.
    pub window: u32,
    /// A_ref of the gain.
    pub a_ref: f64,
    /// s0 of the coherence (a standard deviation).
    pub s0: f64,
    /// Gain: `rms` or `abs`.
    pub gain: Gain,
    /// Coherence: `bounded` s0^2/(s0^2+var) or `raw` 1/(var+eps).
    pub coherence: Coherence,
    /// eps of the raw coherence.
    pub coherence_eps: f64,
    /// Dwell: `leaky` or `sojourn`.
    pub dwell: Dwell,
    /// Memory lambda of the dwell statistics, in ticks.
    pub dwell_lambda: f64,
    /// A0 of the similarity `1/(1+V/A0^2)`.
    pub dwell_a0: f64,
    /// s_min of the sojourn dwell.
    pub dwell_s_min: f64,
    /// theta of the sojourn dwell, on the envelope.
    pub dwell_theta: f64,
    /// T_mem of the envelope E, in ticks.
    pub envelope_ticks: f64,
    /// Ticks from one full evaluation to the next; sites are evaluated with it.
    pub every_ticks: u32,
    /// Ticks of agent metrics in one Arrow batch.
    pub batch_ticks: u32,
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            d_exponent: 1.0,
            tau0: 0.1,
            threshold: "q:0.75".into(),
            box_min: 2,
            box_max: Auto::Auto,
            tile: 64,
            window: 9,
            a_ref: 1.0,
            s0: 0.1,
            gain: Gain::Rms,
            coherence: Coherence::Bounded,
            coherence_eps: 1e-6,
            dwell: Dwell::Leaky,
            dwell_lambda: 50.0,
            dwell_a0: 0.1,
            dwell_s_min: 0.5,
            dwell_theta: 0.01,
            envelope_ticks: 20.0,
            every_ticks: 1,
            batch_ticks: 10,
        }
    }
}

/// `[band.NAME]`: a band of frequencies with an index of its own, which counts where every slower band has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandSection {
    /// Lower edge in Hz of field time.
    pub low_hz: f64,
    /// Upper edge in Hz of field time, below half of the tick rate.
    pub high_hz: f64,
    /// w, what it counts in the total.
    #[serde(default = "one")]
    pub weight: f64,
    /// alpha of its index.
    #[serde(default = "one")]
    pub alpha: f64,
    /// tau0 of its index in field seconds; `"auto"`: that of `[metrics]`.
    #[serde(default = "auto")]
    pub tau0: Auto<f64>,
    /// K of its gate `CI/(CI + K)` for every faster band.
    #[serde(default = "half")]
    pub half: f64,
}

fn one() -> f64 {
    1.0
}

fn half() -> f64 {
    0.01
}

fn auto() -> Auto<f64> {
    Auto::Auto
}

/// Form of the gain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gain {
    /// sqrt(<A^2>_w)/A_ref.
    Rms,
    /// <|A|>_w/A_ref.
    Abs,
    /// `<E>_w (1-delta)/A_ref`.
    Envelope,
}

/// Form of the coherence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coherence {
    /// s0^2/(s0^2 + var).
    Bounded,
    /// 1/(var + eps).
    Raw,
}

/// Form of the dwell time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dwell {
    /// tau <- q tau + dt s.
    Leaky,
    /// tau <- active ? tau + dt : 0.
    Sojourn,
}

/// `[sync]`: what the built-in agents compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncSection {
    /// Ticks in the correlation window.
    pub window_ticks: u32,
    /// Ticks from one report to the next; `"auto"`: one second of field time.
    pub report_ticks: Auto<u32>,
}

impl Default for SyncSection {
    fn default() -> Self {
        Self { window_ticks: 256, report_ticks: Auto::Auto }
    }
}

/// `[source.NAME]`: an oscillator (`frequency`), a pulse (`ricker`) or a recorded signal (`csv` and `column`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSection {
    /// Cell x, y.
    pub at: [u32; 2],
    /// Cycles per time unit.
    pub frequency: Option<f64>,
    /// Peak frequency of a Ricker pulse in cycles per time unit; it peaks 1.2 periods after the start.
    pub ricker: Option<f64>,
    /// Source strength per unit of signal.
    pub amplitude: f64,
    /// Radians.
    pub phase: f64,
    /// Radius of the disc of cells the source feeds; 0: one cell.
    pub radius: u32,
    /// A CSV file, relative to the swarm file.
    pub csv: Option<PathBuf>,
    /// Its column.
    pub column: Option<String>,
    /// Its column of timestamps; default: the first column that parses as time, or none.
    pub time_column: Option<String>,
    /// How samples meet ticks.
    pub resample: Resample,
    /// How samples are scaled.
    pub scale: Scale,
    /// What happens after the last sample.
    pub at_end: AtEnd,
}

impl Default for SourceSection {
    fn default() -> Self {
        Self {
            at: [0, 0],
            frequency: None,
            ricker: None,
            amplitude: 1.0,
            phase: 0.0,
            radius: 1,
            csv: None,
            column: None,
            time_column: None,
            resample: Resample::Time,
            scale: Scale::Standardise,
            at_end: AtEnd::Silence,
        }
    }
}

/// How samples meet ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resample {
    /// Linear interpolation at the tick's time; needs timestamps, falls back to `sample` without.
    Time,
    /// One sample a tick.
    Sample,
}

/// How samples are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// (x - mean)/sd over the column's finite samples.
    Standardise,
    /// As it is.
    None,
}

/// What happens after the last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// The source falls silent; an event says so.
    Silence,
    /// It begins again.
    Loop,
}

/// `[watch.NAME]`: a threshold on a board cell; each crossing is an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchSection {
    /// Board cell.
    pub cell: String,
    /// Threshold.
    pub threshold: f64,
    /// The value must come back by this much before the next crossing counts.
    #[serde(default)]
    pub hysteresis: f64,
}

/// `[annotation.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnotationSection {
    /// A CSV file.
    pub csv: PathBuf,
    /// Its column of 0 and 1.
    pub column: String,
}

/// `[ring]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RingSection {
    /// Slots; a power of two.
    pub slots: u64,
}

impl Default for RingSection {
    fn default() -> Self {
        Self { slots: 65_536 }
    }
}

/// `[plane]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlaneSection {
    /// Whether the kernel locks the plane in memory, so that no page of it is ever swapped out.
    pub lock: PlaneLock,
}

impl Default for PlaneSection {
    fn default() -> Self {
        Self { lock: PlaneLock::Auto }
    }
}

/// Whether the plane is locked in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaneLock {
    /// If the limit of locked memory allows it; if not, the kernel's log says so.
    Auto,
    /// Or the swarm does not start.
    Yes,
    /// Never.
    No,
}

/// `[recorder]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecorderSection {
    /// Whether anything is recorded.
    pub enabled: bool,
    /// Whether the kernel waits for it.
    pub mode: RecorderMode,
    /// Folder of the recording, relative to the swarm file.
    pub dir: PathBuf,
    /// What a commit survives.
    pub durability: Durability,
    /// Longest time the kernel waits for a lossless recorder, in ms.
    pub gate_timeout_ms: u64,
    /// Events that may wait in RAM.
    pub spool_events: u64,
    /// Ticks in one CI window (and fingerprint).
    pub window_ticks: u32,
    /// Ticks from one stored field frame to the next; 0: only the last one.
    pub keyframe_ticks: u32,
}

impl Default for RecorderSection {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: RecorderMode::Observe,
            dir: PathBuf::from("agentdb"),
            durability: Durability::Power,
            gate_timeout_ms: 2_000,
            spool_events: 1 << 20,
            window_ticks: 128,
            keyframe_ticks: 500,
        }
    }
}

/// Whether the kernel waits for the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecorderMode {
    /// Never.
    Observe,
    /// Yes, up to `gate_timeout_ms`.
    Lossless,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Loss of power.
    Power,
    /// Death of the process.
    Process,
}

/// `[cpu]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CpuSection {
    /// Cores of the kernel: `auto` (cores of its own, if there are enough), `off`, a core, or a list such as
    /// `2,4-7`.
    pub kernel: String,
    /// Cores of the recorder: `auto` (any but the kernel's), `off`, a core, or a list.
    pub recorder: String,
    /// Solver threads; `"auto"`: as many as the kernel has cores, at most 8, and 1 below 512 x 512.
    pub threads: Auto<u32>,
}

impl Default for CpuSection {
    fn default() -> Self {
        Self { kernel: "auto".into(), recorder: "auto".into(), threads: Auto::Auto }
    }
}

/// `[agent.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSection {
    /// Program and arguments; `agent-proc` is the built-in agent.
    pub command: Vec<String>,
    /// How many.
    pub replicas: u32,
    /// How they are kept.
    pub isolation: AgentIsolation,
    /// `spin`, `yield`, `hybrid:T`, `block`.
    pub wait: String,
    /// When they are started again.
    pub restart: Restart,
    /// Cores: `auto` (any but the kernel's), `off`, a core, or a list.
    pub cpus: String,
    /// Site in the field; default: the source of the same name, else a place on a lattice.
    pub at: Option<[u32; 2]>,
    /// Memory limit in MiB (address space).
    pub memory_mib: u64,
    /// Files and folders that it may read although it is confined, beside the system's libraries; relative to the swarm file.
    pub reads: Vec<String>,
    /// `NAME=value`: its environment, beside the variables by which it finds its swarm.
    pub environment: Vec<String>,
}

impl Default for AgentSection {
    fn default() -> Self {
        Self {
            command: vec!["agent-proc".into()],
            replicas: 1,
            isolation: AgentIsolation::Sandboxed,
            wait: "hybrid:50us".into(),
            restart: Restart::OnFailure,
            cpus: "auto".into(),
            at: None,
            memory_mib: 1024,
            reads: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// How an agent is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentIsolation {
    /// Plane read-only, loans, Landlock, seccomp, rlimits.
    Sandboxed,
    /// As `sandboxed`, but no loans: no file is reachable.
    Strict,
    /// Nothing but the seals of the plane.
    None,
}

/// When a process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    Never,
    /// After a failure.
    OnFailure,
    /// After any end.
    Always,
}
