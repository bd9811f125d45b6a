//! One tick of everything: sources, solver steps, memory, metrics, sites, events.

mod event;
mod host;

#[cfg(feature = "gpu")]
mod device;

mod executor;
mod saved;

use std::sync::Arc;
use std::time::Instant;

use rayon::ThreadPool;
use rsw_config::{Feedback as Word, Topology};
use thiserror::Error;

pub use crate::checkpoint::RestoreError;
use crate::drive::{Annotation, Clock, DriveError, Tables};
use crate::energy::EnergyMeter;
use crate::feedback::Feedback;
use crate::gpu::GpuError;
use crate::grid::{Grid, GridError};
use crate::lanes;
use crate::metrics::{self, Bands, Kept, Meter, MetricsError, Summary};
use crate::room::NoMemory;
use crate::source::{Feeds, Source, SourceError};
use crate::wave::{Medium, MediumError, Tiling, Wave};
use crate::workers::Workers;
pub use event::EngineEvent;
use executor::Executor;
use host::{Host, Ticked};

/// A magnitude that no field worth looking at reaches: beyond it the field has diverged.
pub const MAGNITUDE_MAX: f32 = 1e12;

/// Levels of the wave that are held.
const LEVELS: usize = 2;

/// Why a swarm has no engine.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EngineError {
    /// The grid.
    #[error("field: {0}")]
    Grid(#[from] GridError),
    /// The medium.
    #[error("field: {0}")]
    Medium(#[from] MediumError),
    /// A source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// An annotation.
    #[error("annotation \"{name}\": {error}")]
    Annotation {
        /// Its name.
        name: String,
        /// What is wrong with its file.
        error: DriveError,
    },
    /// An agent's site outside the field, or an agent that names a source that is not there.
    #[error("agent \"{name}\" at {site:?} is unusable: {reason}")]
    Agent {
        /// Its name.
        name: String,
        /// Its cell.
        site: [u32; 2],
        /// Why.
        reason: &'static str,
    },
    /// `backend = "gpu"`, and no GPU that does it.
    #[error("field.backend = \"gpu\": {0}")]
    Gpu(#[from] GpuError),
    /// The field and what is measured of it.
    #[error("field: {0}")]
    Room(#[from] NoMemory),
    /// No steps.
    #[error("tick.steps and metrics.every_ticks must be at least 1")]
    NoSteps,
}

/// What one tick came to.
///
/// The metrics are those of the last evaluation, [`TickReport::evaluated`] says whether it is this
/// tick's. They are a function of the state; the two durations are not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TickReport {
    /// The tick, from 1.
    pub tick: u64,
    /// Field time in ns: the recording's timestamp where one drives tick by tick, else
    /// `tick * tick_period_ns`.
    pub t_ns: i64,
    /// Time spent in the solver.
    pub solver_ns: u64,
    /// Time spent in the metrics.
    pub metrics_ns: u64,
    /// The field held NaN, an infinity or a magnitude beyond [`MAGNITUDE_MAX`]; it was put to rest,
    /// and the metrics are those of the field at rest.
    pub diverged: bool,
    /// Whether the metrics were evaluated at this tick.
    pub evaluated: bool,
    /// Mean CI.
    pub ci_mean: f64,
    /// D of the whole field; NaN where undefined.
    pub d_global: f64,
    /// R^2 of its fit; NaN where undefined.
    pub d_r2: f64,
    /// Mean coherence.
    pub coherence_mean: f64,
    /// Mean gain.
    pub gain_mean: f64,
    /// Mean dwell time in field seconds.
    pub dwell_mean: f64,
    /// Two-level energy of the wave.
    pub energy: f64,
    /// Largest |u| of this tick, before the field was put to rest if it was.
    pub u_abs_max: f64,
}

/// The metrics at one agent's site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteMetric {
    /// The agent.
    pub agent_id: u32,
    /// D, interpolated from the tiles around; NaN where undefined.
    pub d: f64,
    /// Coherence.
    pub c: f64,
    /// Gain.
    pub g: f64,
    /// Dwell time in field seconds.
    pub tau: f64,
    /// Complexity index; 0 where D is undefined.
    pub ci: f64,
    /// The wave.
    pub u: f64,
    /// The sample of the agent's source at this tick; NaN for an agent without one.
    pub drive: f64,
    /// D is undefined: tiles have fewer than two box sizes in the fit.
    pub d_undefined: bool,
    /// The sample was missing and is interpolated.
    pub drive_gap: bool,
}

/// An agent's site.
struct Site {
    agent_id: u32,
    x: usize,
    y: usize,
    source: Option<usize>,
}

/// The field, what feeds it and what measures it.
pub struct Engine {
    host: Host,
    executor: Executor,
    steps: u32,
    every_ticks: u64,
    tick_period_ns: u64,
    sources: Vec<Source>,
    feeds: Feeds,
    annotations: Vec<Annotation>,
    /// None where the swarm names no band.
    bands: Option<Bands>,
    sites: Vec<Site>,
    site_metrics: Vec<SiteMetric>,
    events: Vec<EngineEvent>,
    tick: u64,
    summary: Summary,
    energy: f64,
}

impl Engine {
    /// The engine of a swarm, at rest before tick 1. Reads every recording.
    ///
    /// # Errors
    /// Whatever [`EngineError`] names: nothing is guessed and nothing is skipped.
    pub fn new(topology: &Topology, pool: Arc<ThreadPool>) -> Result<Self, EngineError> {
        let config = &topology.config;
        let every_ticks = u64::from(config.metrics.every_ticks);
        if config.tick.steps == 0 || every_ticks == 0 {
            return Err(EngineError::NoSteps);
        }
        let grid = grid(topology)?;
        let fields = LEVELS + metrics::fields_max(kept(topology), config.band.len());
        NoMemory::unless_room::<f32>(fields.saturating_mul(grid.cells()))?;
        let mut wave = Wave::new(grid, medium(topology))?;
        let (nx, ny) = (wave.grid().nx, wave.grid().ny);
        let mut tables = Tables::default();
        let sources = topology
            .sources
            .iter()
            .map(|named| Source::new(named, &wave, &mut tables, topology.tick_period_ns))
            .collect::<Result<Vec<_>, _>>()?;
        let annotations = annotations(topology, &sources, &mut tables)?;
        let sites = sites(topology, &wave)?;
        let seconds = topology.tick_period_ns as f64 * 1e-9;
        let mut meter = Meter::new(nx, ny, &config.metrics, seconds, kept(topology))?;
        meter.watch(sites.iter().map(|site| [site.x, site.y]));
        let bands = match config.band.is_empty() {
            true => None,
            false => Some(Bands::new(nx, ny, &config.metrics, &config.band, seconds)?),
        };
        start(&mut wave, &sources);
        let workers = Workers::new(pool);
        let steps = config.tick.steps as usize;
        wave.tile(Tiling::Auto, steps, &workers);
        let feeds = Feeds::new(&sources, [nx, ny], steps);
        let host = Host { workers, wave, meter, energy_meter: EnergyMeter::new(ny) };
        let places: Vec<[usize; 2]> = sites.iter().map(|site| [site.x, site.y]).collect();
        let executor = Executor::open(topology, &host, &feeds, &places)?;
        let events_max = event::most_at_once(&sources, &annotations);
        Ok(Self {
            host,
            executor,
            feeds,
            steps: config.tick.steps,
            every_ticks,
            tick_period_ns: topology.tick_period_ns,
            site_metrics: sites.iter().map(|site| SiteMetric::of(site.agent_id)).collect(),
            events: Vec::with_capacity(events_max),
            summary: Summary::default(),
            energy: 0.0,
            tick: 0,
            sources,
            annotations,
            bands,
            sites,
        })
    }

    /// One tick: the steps, the memory, and the metrics if they are due.
    ///
    /// On the CPU it allocates nothing. (With several threads, called from outside of their pool, rayon's
    /// queue of jobs takes a block every 63 ticks; from inside of it, it does not.)
    ///
    /// # Errors
    /// A GPU that fails. What the engine then holds may be of two ticks: go on from a saved state.
    pub fn tick(&mut self) -> Result<TickReport, GpuError> {
        // One entry for all parts of the tick.
        self.host.workers.share().enter(|| self.tick_inside())
    }

    fn tick_inside(&mut self) -> Result<TickReport, GpuError> {
        let begun = Instant::now();
        self.tick += 1;
        let steps = Steps { first: (self.tick - 1) * u64::from(self.steps), count: self.steps };
        steps.prepare(&self.host.wave, &mut self.sources, &mut self.feeds, self.tick);
        let evaluated = (self.tick - 1).is_multiple_of(self.every_ticks);
        let Self { host, executor, feeds, .. } = self;
        let ticked = executor.tick(host, feeds, self.steps as usize, evaluated)?;
        let Ticked { magnitude, diverged, solved, evaluation } = ticked;
        if let Some((summary, energy)) = evaluation {
            (self.summary, self.energy) = (summary, energy);
        }
        if let Some(bands) = &mut self.bands {
            if diverged {
                bands.clear();
            }
            let (u, workers) = (self.host.wave.u(), &self.host.workers);
            match evaluated {
                true => bands.measure(u, workers),
                false => bands.remember(u, workers),
            }
        }
        self.update_sites();
        event::collect(&mut self.events, &self.sources, &self.annotations, self.tick);
        let nanoseconds = |from: Instant, to: Instant| (to - from).as_nanos() as u64;
        Ok(TickReport {
            tick: self.tick,
            t_ns: self.t_ns(),
            solver_ns: nanoseconds(begun, solved),
            metrics_ns: nanoseconds(solved, Instant::now()),
            diverged,
            evaluated,
            ci_mean: self.summary.ci_mean,
            d_global: self.summary.d_global,
            d_r2: self.summary.d_r2,
            coherence_mean: self.summary.coherence_mean,
            gain_mean: self.summary.gain_mean,
            dwell_mean: self.summary.dwell_mean,
            energy: self.energy,
            u_abs_max: f64::from(magnitude),
        })
    }

    /// Metrics at the agents' sites, one for each agent of the topology, in its order.
    pub fn site_metrics(&self) -> &[SiteMetric] {
        &self.site_metrics
    }

    /// A field by name (`wave`, `ci`, `dwell`; `coherence` and `gain`, if they are published; `ci_total` where
    /// there are bands), row-major. On a GPU those that are published, and the wave if there are bands.
    pub fn field(&self, name: &str) -> Option<&[f32]> {
        let Host { wave, meter, .. } = &self.host;
        let field = match name {
            "wave" => Some(wave.u()),
            "ci" => Some(meter.ci()),
            "coherence" => Some(meter.coherence()),
            "gain" => Some(meter.gain()),
            "dwell" => Some(meter.dwell()),
            "ci_total" => self.bands.as_ref().map(Bands::total),
            _ => None,
        };
        field.filter(|cells| !cells.is_empty() && self.executor.shows(name))
    }

    /// Smallest and largest cell of a field.
    pub fn range(&self, name: &str) -> Option<[f32; 2]> {
        let field = self.field(name)?;
        Some(self.host.workers.vectorised(
            #[inline(always)]
            || lanes::range(field),
        ))
    }

    /// What happened at this tick; each event is handed out once.
    pub fn events(&mut self) -> impl Iterator<Item = EngineEvent> + '_ {
        self.events.drain(..)
    }

    /// What a user should know about the recordings: constant columns, samples that are missing.
    pub fn notes(&self) -> Vec<String> {
        self.sources.iter().flat_map(Source::notes).collect()
    }

    /// Cells along x.
    pub fn nx(&self) -> usize {
        self.host.wave.grid().nx
    }

    /// Cells along y.
    pub fn ny(&self) -> usize {
        self.host.wave.grid().ny
    }

    /// The last tick, 0 before the first.
    pub fn tick_number(&self) -> u64 {
        self.tick
    }

    /// Field time of the last tick in ns, see [`TickReport::t_ns`].
    pub fn t_ns(&self) -> i64 {
        let recorded = || self.sources.iter().find_map(|source| source.drive()?.t_ns(self.tick));
        let nominal = self.tick.saturating_mul(self.tick_period_ns).min(i64::MAX as u64) as i64;
        if self.tick == 0 { 0 } else { recorded().unwrap_or(nominal) }
    }

    /// What the wave is computed with, in a few words.
    pub fn kernel(&self) -> String {
        self.executor.kernel(&self.host)
    }

    /// Both levels of the wave, for tools that look deeper than the fields.
    ///
    /// # Errors
    /// A GPU that fails.
    pub fn wave(&mut self) -> Result<&Wave, GpuError> {
        self.executor.settle(&mut self.host)?;
        Ok(&self.host.wave)
    }

    fn update_sites(&mut self) {
        for (k, (site, metric)) in self.sites.iter().zip(&mut self.site_metrics).enumerate() {
            let cell = self.host.wave.grid().index(site.x, site.y);
            let dimension = self.host.meter.dimension_at(site.x, site.y);
            let source = site.source.map(|source| &self.sources[source]);
            let known = self.executor.site(&self.host, k, cell);
            *metric = SiteMetric {
                agent_id: site.agent_id,
                d: dimension.unwrap_or(f64::NAN),
                c: f64::from(known.coherence),
                g: f64::from(known.gain),
                tau: f64::from(known.dwell),
                ci: f64::from(known.ci),
                u: f64::from(known.u),
                drive: source.map_or(f64::NAN, Source::sample),
                d_undefined: dimension.is_none(),
                drive_gap: source
                    .and_then(Source::drive)
                    .is_some_and(|drive| drive.is_filled(self.tick)),
            };
        }
    }
}

impl SiteMetric {
    /// The metrics before the first tick.
    fn of(agent_id: u32) -> Self {
        Self {
            agent_id,
            d: f64::NAN,
            c: 0.0,
            g: 0.0,
            tau: 0.0,
            ci: 0.0,
            u: 0.0,
            drive: f64::NAN,
            d_undefined: true,
            drive_gap: false,
        }
    }
}

/// The solver steps of one tick.
struct Steps {
    /// Steps before this tick.
    first: u64,
    count: u32,
}

impl Steps {
    /// Looks up what the sources add in each of them.
    fn prepare(&self, wave: &Wave, sources: &mut [Source], feeds: &mut Feeds, tick: u64) {
        let dt = wave.medium().dt;
        let time = |step: u32| (self.first + u64::from(step)) as f64 * dt;
        for source in &mut *sources {
            source.begin_tick(tick, time(self.count));
        }
        for step in 0..self.count {
            let part = f64::from(step) / f64::from(self.count);
            feeds.set(step as usize, sources.iter().map(|source| source.signal(time(step), part)));
        }
    }
}

/// What is published; and where an evaluation is saved, which is where not every tick has one, all of it.
fn kept(topology: &Topology) -> Kept {
    let saved = topology.config.metrics.every_ticks > 1;
    let kept =
        |name: &str| saved || topology.config.field.publish.iter().any(|field| field == name);
    Kept { coherence: kept("coherence"), gain: kept("gain") }
}

fn grid(topology: &Topology) -> Result<Grid, GridError> {
    let field = &topology.config.field;
    let [nx, ny] = field.size.map(|side| side as usize);
    Grid::new(nx, ny, field.spacing[0], field.spacing[1])
}

fn medium(topology: &Topology) -> Medium {
    let field = &topology.config.field;
    let (strength, limit) = (field.feedback_strength, field.feedback_limit);
    Medium {
        speed: field.wave_speed,
        dt: topology.dt,
        damping: field.damping,
        boundary: field.boundary,
        sponge_width: field.sponge_width as usize,
        sponge_damping: field.sponge_damping,
        feedback: match field.feedback {
            Word::None => Feedback::None,
            Word::SineGordon => Feedback::SineGordon { strength },
            Word::Phi4 => Feedback::Phi4 { strength, u_max: limit },
            Word::Relu => Feedback::Relu { strength, threshold: field.feedback_threshold, limit },
        },
    }
}

/// At rest, with what the sources do at the very first instant.
fn start(wave: &mut Wave, sources: &[Source]) {
    let rest = vec![0.0; wave.grid().cells()];
    let mut density = rest.clone();
    // A recording is silent before its first tick.
    sources
        .iter()
        .for_each(|source| source.add_density(source.signal(0.0, 0.0), wave, &mut density));
    wave.start(&rest, &rest, &density);
}

/// An annotation goes by the clock of the source that plays its file, else by one row a tick.
fn annotations(
    topology: &Topology,
    sources: &[Source],
    tables: &mut Tables,
) -> Result<Vec<Annotation>, EngineError> {
    let open = |(name, section): (&String, &rsw_config::AnnotationSection)| {
        let file = topology.folder.join(&section.csv);
        let of_file = |index: &usize| topology.sources[*index].source.csv.as_ref() == Some(&file);
        let playing = (0..sources.len()).find(of_file).and_then(|index| sources[index].drive());
        let clock = |rows| match playing {
            Some(drive) => drive.clock().clone(),
            None => Clock::rows_only(rows, topology.tick_period_ns),
        };
        Annotation::open(tables, name, &file, &section.column, clock)
            .map_err(|error| EngineError::Annotation { name: name.clone(), error })
    };
    topology.config.annotation.iter().map(open).collect()
}

fn sites(topology: &Topology, wave: &Wave) -> Result<Vec<Site>, EngineError> {
    let site = |agent: &rsw_config::AgentInstance| {
        let [x, y] = agent.site.map(|place| place as usize);
        let outside = x >= wave.grid().nx || y >= wave.grid().ny;
        let refused = |reason| {
            let (name, site) = (agent.name.clone(), agent.site);
            Err(EngineError::Agent { name, site, reason })
        };
        match agent.source {
            _ if outside => refused("its site is outside the field"),
            Some(source) if source >= topology.sources.len() => {
                refused("its source does not exist")
            }
            source => Ok(Site { agent_id: agent.agent_id, x, y, source }),
        }
    };
    topology.agents.iter().map(site).collect()
}
