//! The life of the kernel: restore, make the plane, wait for `go`, tick, finish.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rsw_config::{PlaneLock, Topology};
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, PlaneWriter};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::{AlertCode, Generation};
use rsw_schemas::wire::{KernelReady, TickMark};
use solver_proc::engine::Engine;

use super::links::{Links, Listen};
use super::pacer::Pacer;
use super::publish::Publisher;
use super::{Args, KernelError, spec};

/// Longest time without a sign of life while the kernel waits.
const BEAT: Duration = Duration::from_millis(50);

/// Runs one generation from start to stop.
pub(super) fn run(args: &Args, links: &mut Links) -> Result<(), KernelError> {
    // Other processes of this user must not reach into this one; not a defence against root.
    rsw_os::process::set_dumpable(false)?;
    let topology = read_topology(args)?;
    let pool = make_pool(args, &topology)?;
    let mut engine = Engine::new(&topology, pool)?;
    rsw_os::process::note(format_args!("solver-proc: kernel: {}", engine.kernel()));
    for words in engine.notes() {
        rsw_os::process::note(format_args!("solver-proc: {words}"));
    }
    let origin = Origin::restore(args, &mut engine)?;
    let spec = spec::plane_spec(args, &topology, &engine, origin.first_sequence)?;
    let (plane, read_only) = PlaneWriter::create(&spec)?;
    lock_plane(&plane, topology.config.plane.lock)?;
    let ready = KernelReady {
        generation: args.generation,
        total_bytes: plane.header().total_bytes,
        first_sequence: origin.first_sequence,
        resumed_tick: origin.resumed_tick,
        previous_tick: origin.previous_tick,
    };
    let mut publisher = Publisher::new(&topology, plane, args.generation);
    // One that ends before its next tick has been there all the same.
    publisher.begin_at(origin.resumed_tick);
    publisher.generation(&Generation {
        generation: args.generation,
        first_sequence: origin.first_sequence,
        resumed_tick: origin.resumed_tick,
        previous_tick: origin.previous_tick,
        writer_pid: std::process::id(),
        reserved: 0,
        wall_ns: rsw_os::clock::wall_ns(),
        mono_ns: mono_ns(),
        layout_hash: rsw_schemas::LAYOUT_HASH,
    });
    if let Some(reason) = &origin.unusable {
        publisher.alert(AlertCode::CheckpointUnusable, reason);
    }
    // A successor must never find less than this generation began with.
    publisher.save(&mut engine)?;
    publisher.commit();
    links.ready(&ready, read_only)?;
    while !links.go && !links.stop {
        publisher.beat();
        links.wait(BEAT, Listen::Supervisor)?;
    }
    tick_until_told(&topology, &mut engine, &mut publisher, links)?;
    publisher.commit();
    publisher.set_state(KernelState::Stopped);
    Ok(())
}

/// Ticks at its pace, and admits what agents say in between, until it is told to stop. At the limit of ticks it says that it
/// has finished, and goes on admitting.
fn tick_until_told(
    topology: &Topology,
    engine: &mut Engine,
    publisher: &mut Publisher,
    links: &mut Links,
) -> Result<(), KernelError> {
    let mut pacer = Pacer::new(topology.config.tick.rate_hz);
    let mut finished = false;
    publisher.set_state(KernelState::Running);
    while !links.stop {
        links.wait(Duration::ZERO, Listen::Supervisor)?;
        publisher.admit(links, engine.tick_number(), engine.t_ns());
        if topology.ticks_limit.is_some_and(|limit| engine.tick_number() >= limit) {
            if !finished {
                finished = true;
                publisher.finish(engine, links)?;
                let (tick, cursor) = (engine.tick_number(), publisher.cursor());
                links.finished(&TickMark { tick, cursor })?;
            }
            publisher.beat();
            links.wait(BEAT, Listen::All)?;
            continue;
        }
        publisher.tick(engine, links)?;
        publisher.overruns(pacer.missed());
        while let Some(left) = pacer.left() {
            links.wait(left.min(BEAT), Listen::All)?;
            publisher.beat();
            if links.stop {
                break;
            }
            publisher.admit(links, engine.tick_number(), engine.t_ns());
        }
        pacer.advance();
    }
    Ok(())
}

fn read_topology(args: &Args) -> Result<Topology, KernelError> {
    let path = &args.topology;
    let text = std::fs::read_to_string(path)
        .map_err(|error| KernelError::Config(format!("topology {}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| KernelError::Config(format!("topology {}: {error}", path.display())))
}

/// Pins the process and makes the solver's own threads; never the global pool, which would take every core.
fn make_pool(args: &Args, topology: &Topology) -> Result<Arc<rayon::ThreadPool>, KernelError> {
    let cores = match &args.pin {
        Some(list) => rsw_os::affinity::parse_list(list)?,
        None => Vec::new(),
    };
    if !cores.is_empty() {
        rsw_os::affinity::pin_current_thread(&cores)?;
    }
    let available = if cores.is_empty() { rsw_os::affinity::allowed()?.len() } else { cores.len() };
    let wanted = topology.solver_threads();
    let threads = available.clamp(*wanted.start(), *wanted.end());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("solver-{index}"))
        .start_handler(move |index| {
            if let Some(core) = cores.get(index % cores.len().max(1)) {
                // A thread that could not be pinned runs unpinned: slower, never wrong.
                let _ = rsw_os::affinity::pin_current_thread(&[*core]);
            }
        })
        .build()
        .map_err(|error| KernelError::Start(format!("{threads} solver threads: {error}")))?;
    Ok(Arc::new(pool))
}

/// Keeps the plane from being swapped out, if that is wanted.
fn lock_plane(plane: &PlaneWriter, wanted: PlaneLock) -> Result<(), KernelError> {
    if wanted == PlaneLock::No {
        return Ok(());
    }
    let Err(source) = plane.lock_memory() else { return Ok(()) };
    let total_bytes = plane.header().total_bytes;
    let limit = match rsw_os::memory::lock_limit_bytes() {
        Some(bytes) => format!("{bytes} bytes"),
        None => "unlimited".into(),
    };
    let error = KernelError::Lock { limit, needed_kib: total_bytes.div_ceil(1024), source };
    if wanted == PlaneLock::Yes {
        return Err(error);
    }
    rsw_os::process::note(format_args!("solver-proc: runs on without: {error}"));
    Ok(())
}

/// Where this generation begins.
struct Origin {
    first_sequence: u64,
    resumed_tick: u64,
    previous_tick: u64,
    unusable: Option<String>,
}

impl Origin {
    /// Continues from the last checkpoint in the plane of the generation before. That plane is only read.
    fn restore(args: &Args, engine: &mut Engine) -> Result<Self, KernelError> {
        let fresh = Self { first_sequence: 0, resumed_tick: 0, previous_tick: 0, unusable: None };
        let Some(raw) = args.previous_fd else { return Ok(fresh) };
        let fd: OwnedFd = rsw_os::process::inherited(raw)?;
        let plane = PlaneReader::attach(fd)
            .map_err(|error| KernelError::Start(format!("generation before: {error}")))?;
        let mut origin =
            Self { first_sequence: plane.ring_cursor(), previous_tick: plane.tick(), ..fresh };
        let mut bytes = Vec::new();
        let checkpoint = plane.field(rsw_schemas::field::CHECKPOINT);
        // Without a frame it died before its first checkpoint: the run begins again, and that is the same run.
        if let Some(Ok(_)) = checkpoint.map(|field| field.copy_latest(&mut bytes)) {
            match engine.restore(&bytes) {
                Ok(()) => origin.resumed_tick = engine.tick_number(),
                Err(error) => origin.unusable = Some(error.to_string()),
            }
        }
        Ok(origin)
    }
}
