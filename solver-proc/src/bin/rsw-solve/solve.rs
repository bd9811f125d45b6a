//! One run: arrays in, steps, arrays out, and what it came to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsw_config::NamedSource;
use serde_json::json;
use solver_proc::drive::Tables;
use solver_proc::energy::EnergyMeter;
use solver_proc::engine::MAGNITUDE_MAX;
use solver_proc::grid::Grid;
use solver_proc::npy::{self, Array, Values};
use solver_proc::real::Real;
use solver_proc::room::NoMemory;
use solver_proc::source::{Feeds, Source};
use solver_proc::wave::{Medium, Wave};
use solver_proc::workers::Workers;

use crate::Failure;
use crate::backend::{self, Backend, Cpu};
use crate::options::{Backend as Word, Options, Precision};

/// Share of the largest stable step that is taken where none was asked for.
const AUTO_STEP: f64 = 0.7;
/// Most steps between two looks for divergence.
const CALL_STEPS_MAX: u64 = 64;
/// Levels that a run holds at once: two of the wave, and three that make its start.
const LEVELS: usize = 5;
/// Fewest cells for which more than one thread is worth it.
const CELLS_THREADED: usize = 512 * 512;

/// What a run came to.
pub(crate) struct Summary {
    size: [usize; 2],
    steps: u64,
    dt: f64,
    courant: f64,
    elapsed: Duration,
    kernel: String,
    energy: [f64; 2],
    max_abs: f64,
    /// What a user should know about the recordings.
    notes: Vec<String>,
}

impl Summary {
    fn gcell_per_s(&self) -> f64 {
        let cells = self.size[0] as f64 * self.size[1] as f64 * self.steps as f64;
        cells / self.elapsed.as_secs_f64().max(1e-9) * 1e-9
    }

    /// The document `rsw.solve/1`.
    pub(crate) fn json(&self) -> String {
        json!({
            "schema": "rsw.solve/1",
            "nx": self.size[0],
            "ny": self.size[1],
            "steps": self.steps,
            "dt": self.dt,
            "courant": self.courant,
            "seconds": self.elapsed.as_secs_f64(),
            "gcell_per_s": self.gcell_per_s(),
            "kernel": self.kernel,
            "energy_first": self.energy[0],
            "energy_last": self.energy[1],
            "max_abs": self.max_abs,
            "notes": self.notes,
        })
        .to_string()
    }

    /// The same in two lines, and one for each note.
    pub(crate) fn text(&self) -> String {
        let [nx, ny] = self.size;
        format!(
            "{nx} x {ny}, {} steps of {} (Courant number {:.4} of at most 1) in {:.3} s: {:.3} Gcell/s, {}\n\
             energy {:.9e} first, {:.9e} last; largest |u| {:.6e}{}",
            self.steps,
            self.dt,
            self.courant,
            self.elapsed.as_secs_f64(),
            self.gcell_per_s(),
            self.kernel,
            self.energy[0],
            self.energy[1],
            self.max_abs,
            self.notes.iter().map(|note| format!("\n{note}")).collect::<String>(),
        )
    }
}

/// Refuses outputs of which one would replace the other.
fn distinct(options: &Options) -> Result<(), Failure> {
    let last = [&options.out, &options.out_previous].into_iter().flatten();
    // A device takes any number of outputs.
    let last = last.filter(|path| std::fs::metadata(path).map_or(true, |about| about.is_file()));
    let mut taken: Vec<(PathBuf, String)> =
        last.map(|path| (place(path), path.display().to_string())).collect();
    if let (Some(every), Some(prefix)) = (options.every, &options.out_prefix) {
        // Only those that somebody could have meant: comparing all frames would take as long as writing them.
        let frames = taken.iter().filter_map(|(_, name)| {
            let step: u64 = name.strip_suffix(".npy")?.rsplit_once('-')?.1.parse().ok()?;
            (step > 0 && step <= options.steps && step.is_multiple_of(every)).then_some(step)
        });
        let frames: BTreeSet<PathBuf> = frames.map(|step| frame_path(prefix, step)).collect();
        taken.extend(frames.into_iter().map(|path| (place(&path), path.display().to_string())));
    }
    for (k, (path, name)) in taken.iter().enumerate() {
        if let Some((_, other)) = taken[..k].iter().find(|(before, _)| before == path) {
            return Err(format!(
                "{other} and {name} are one file: one output would replace the other"
            )
            .into());
        }
    }
    Ok(())
}

/// Where a file is or will be, whatever way leads there.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::canonicalize(folder.unwrap_or(Path::new("."))).ok();
    let future = || Some(folder?.join(path.file_name()?));
    std::fs::canonicalize(path).ok().or_else(future).unwrap_or_else(|| path.to_owned())
}

fn frame_path(prefix: &str, step: u64) -> PathBuf {
    PathBuf::from(format!("{prefix}-{step:08}.npy"))
}

pub(crate) fn run(options: &Options) -> Result<Summary, Failure> {
    let prefix = options.out_prefix.as_deref().map(Path::new);
    for path in [options.out.as_deref(), options.out_previous.as_deref(), prefix] {
        path.map_or(Ok(()), npy::check_folder)?;
    }
    distinct(options)?;
    let (size, init) = Array::read_field(&options.init)?;
    let single = match options.dtype {
        Some(precision) => precision == Precision::F32,
        None => init.type_name() == f32::NAME,
    };
    let cells = size[0] * size[1];
    let room = match single {
        true => NoMemory::unless_room::<f32>(LEVELS * cells),
        false => NoMemory::unless_room::<f64>(LEVELS * cells),
    };
    room.map_err(|error| format!("a run from {}: {error}", options.init.display()))?;
    let workers = workers(options, cells)?;
    match options.backend {
        Word::Cpu if single => {
            solve::<f32>(options, size, &init, &workers, |_, _| Ok(Box::new(Cpu(&workers))))
        }
        Word::Cpu => {
            solve::<f64>(options, size, &init, &workers, |_, _| Ok(Box::new(Cpu(&workers))))
        }
        Word::Gpu if single => solve::<f32>(options, size, &init, &workers, backend::gpu),
        Word::Gpu => Err("--backend gpu computes in single precision, WGSL has no double; \
                          add --dtype f32, or use --backend cpu"
            .into()),
    }
}

/// One run in one precision; `open` says who takes the steps of the wave.
fn solve<'a, T: Real>(
    options: &Options,
    size: [usize; 2],
    init: &Values,
    workers: &Workers,
    open: impl FnOnce(&Wave<T>, &Feeds) -> Result<Box<dyn Backend<T> + 'a>, Failure>,
) -> Result<Summary, Failure> {
    let [nx, ny] = size;
    let grid = Grid::new(nx, ny, options.dx, options.dy.unwrap_or(options.dx))?;
    let medium = medium(options, &grid);
    if options.dt.is_none() && !(medium.dt > 0.0 && medium.dt.is_finite()) {
        return Err(format!(
            "no time step is stable with --c {:e}, --dx {:e}, --dy {:e} and this --feedback: the largest one is {:e} in \
             double precision; scale the units of length and time",
            options.c, grid.dx, grid.dy, medium.dt
        )
        .into());
    }
    let mut wave: Wave<T> =
        Wave::new(grid, medium).map_err(|error| error.to_string().replace("field.dt", "--dt"))?;
    if options.previous.is_some() && !options.source.is_empty() && options.start_step.is_none() {
        return Err("--previous goes on from steps that were taken before, and --source must know how many: add \
                    --start-step N, the number of them, or --start-step 0 to begin the sources anew"
            .into());
    }
    let begin = options.start_step.unwrap_or(0);
    let mut sources = options
        .source
        .iter()
        .zip(1..)
        .map(|(section, k)| {
            let named = NamedSource { name: format!("{k}"), source: section.clone() };
            Source::new(&named, &wave, &mut Tables::default(), 1)
        })
        .collect::<Result<Vec<Source>, _>>()?;
    let t = begin_step(&mut sources, begin, medium.dt);
    start(&mut wave, options, size, &cast::<T>(&options.init, init)?, &sources, t)?;
    let call = options.every.unwrap_or(options.steps).clamp(1, CALL_STEPS_MAX);
    wave.tile(options.tile, call as usize, workers);
    let feeds = Feeds::new(&sources, size, call as usize);
    let backend = open(&wave, &feeds)?;
    let kernel = backend.kernel(&wave);
    let mut run = Run { feeds, backend, wave, sources, done: begin, elapsed: Duration::ZERO };
    let end = begin + options.steps;
    let mut meter = EnergyMeter::new(ny);
    let first = meter.measure(&run.wave, workers);
    while run.done < end {
        let to_frame = options.every.map_or(u64::MAX, |every| every - run.done % every);
        run.advance(call.min(to_frame).min(end - run.done))?;
        if let (Some(every), Some(prefix)) = (options.every, &options.out_prefix)
            && run.done.is_multiple_of(every)
        {
            run.backend.settle(&mut run.wave)?;
            npy::write_field(&frame_path(prefix, run.done), nx, run.wave.u())?;
        }
    }
    run.backend.settle(&mut run.wave)?;
    for (path, level) in
        [(&options.out, run.wave.u()), (&options.out_previous, run.wave.previous())]
    {
        if let Some(path) = path {
            npy::write_field(path, nx, level)?;
        }
    }
    Ok(Summary {
        size,
        steps: options.steps,
        dt: medium.dt,
        courant: medium.courant(&grid),
        elapsed: run.elapsed,
        kernel,
        energy: [first, meter.measure(&run.wave, workers)],
        max_abs: run.wave.magnitude(workers),
        notes: run.sources.iter().flat_map(Source::notes).collect(),
    })
}

fn medium(options: &Options, grid: &Grid) -> Medium {
    let medium = Medium {
        speed: options.c,
        dt: options.dt.unwrap_or(1.0),
        damping: options.gamma,
        boundary: options.boundary.into(),
        sponge_width: options.sponge_width,
        sponge_damping: options.sponge_damping,
        feedback: options.feedback,
    };
    let dt = options.dt.unwrap_or_else(|| AUTO_STEP * medium.dt_max(grid));
    Medium { dt, ..medium }
}

/// The values of a file in the precision of the run.
fn cast<T: Real>(path: &Path, values: &Values) -> Result<Vec<T>, Failure> {
    let cells: Vec<T> = values.cast().map_err(|error| format!("{}: {error}", path.display()))?;
    match cells.iter().position(|cell| !cell.to_f64().is_finite()) {
        None => Ok(cells),
        Some(cell) => Err(format!(
            "{}: value {cell} is beyond single precision; use --dtype f64 on the CPU, or scale the field",
            path.display()
        )
        .into()),
    }
}

/// The first two levels, at time `t`: from a velocity, from the level before, or at rest.
fn start<T: Real>(
    wave: &mut Wave<T>,
    options: &Options,
    size: [usize; 2],
    u0: &[T],
    sources: &[Source],
    t: f64,
) -> Result<(), Failure> {
    let like_init = |path: &Path| -> Result<Vec<T>, Failure> {
        let (found, values) = Array::read_field(path)?;
        if found != size {
            let ([nx, ny], [found_nx, found_ny]) = (size, found);
            let path = path.display();
            return Err(format!(
                "{path}: it has {found_ny} x {found_nx} values, and --init has {ny} x {nx}"
            )
            .into());
        }
        cast(path, &values)
    };
    if let Some(path) = &options.previous {
        wave.resume(u0, &like_init(path)?);
        return Ok(());
    }
    let zero = vec![T::default(); u0.len()];
    let velocity = options.velocity.as_deref().map(like_init).transpose()?;
    let mut density = zero.clone();
    for source in sources {
        source.add_density(source.signal(t, 1.0), wave, &mut density);
    }
    wave.start(u0, velocity.as_deref().unwrap_or(&zero), &density);
    if wave.previous().iter().any(|cell| !cell.to_f64().is_finite()) {
        return Err("the field one step before the start is not finite; look at --velocity, --source and --dt".into());
    }
    Ok(())
}

fn workers(options: &Options, cells: usize) -> Result<Workers, Failure> {
    let threads = match options.threads {
        Some(threads) => usize::from(threads),
        None if cells < CELLS_THREADED => 1,
        None => rsw_os::affinity::allowed()?.len(),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(Workers::new(Arc::new(pool)))
}

/// Readies the sources for a step, and says when it is. A recording has one sample a step.
fn begin_step(sources: &mut [Source], step: u64, dt: f64) -> f64 {
    let t = step as f64 * dt;
    sources.iter_mut().for_each(|source| source.begin_tick(step + 1, t));
    t
}

/// A wave on its way.
struct Run<'a, T: Real> {
    wave: Wave<T>,
    sources: Vec<Source>,
    feeds: Feeds,
    backend: Box<dyn Backend<T> + 'a>,
    done: u64,
    elapsed: Duration,
}

impl<T: Real> Run<'_, T> {
    /// `count` steps, and a look at what they came to.
    fn advance(&mut self, count: u64) -> Result<(), Failure> {
        let dt = self.wave.medium().dt;
        for step in 0..count {
            let t = begin_step(&mut self.sources, self.done + step, dt);
            self.feeds.set(step as usize, self.sources.iter().map(|source| source.signal(t, 1.0)));
        }
        let begun = Instant::now();
        self.backend.advance(&mut self.wave, &self.feeds, count as usize)?;
        self.elapsed += begun.elapsed();
        let (first, last) = (self.done + 1, self.done + count);
        self.done = last;
        let magnitude = self.backend.magnitude(&self.wave)?;
        if magnitude.is_nan() || magnitude > f64::from(MAGNITUDE_MAX) {
            return Err(format!(
                "the field diverged between steps {first} and {last}: |u| is {magnitude:e}; \
                 look at --feedback, --source and the values of --init"
            )
            .into());
        }
        Ok(())
    }
}
