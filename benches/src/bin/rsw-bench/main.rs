//! `runtime bench`: the plane beside its peers, on pinned cores, by ratios within one run.
//!
//! Reading order: `options` (what can be asked), `link` (two ends that pass a value), `pair` (the other process), `suite`
//! (what is measured), `sample` and `report` (what is told of it).

mod clock;
mod link;
mod options;
mod pair;
mod report;
mod sample;
mod suite;

use std::process::ExitCode;

use clap::Parser;
use rsw_machine::Machine;
use rsw_schemas::exit;

use options::Options;
use report::Document;
use suite::Bench;

/// Anything that ends a benchmark early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("runtime bench: {error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}

fn run(options: Options) -> Result<u8, Failure> {
    clock::check()?;
    let base = options.compare.as_deref().map(Document::read).transpose()?;
    let allowed = rsw_os::affinity::allowed()?;
    let cores = cores(&options, &allowed)?;
    if let Some(path) = &options.output {
        // Before minutes of measurements are lost for want of a place to write them.
        std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            format!("{}: {error}; name a file in a folder that can be written", path.display())
        })?;
    }
    // Before the pinning, which changes what the machine says of our mask.
    let machine = Machine::read();
    pair::pin(&cores[..1])?;
    clock::ticks_per_ns();
    let mut bench = Bench::new(options, cores, allowed);
    bench.run()?;
    let document = Document::new(&bench, &machine);
    if let Some(folder) = &bench.options.hdr {
        report::write_histograms(&bench, folder)?;
    }
    if let Some(path) = &bench.options.output {
        std::fs::write(path, document.json()?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    match bench.options.json {
        true => println!("{}", document.json()?),
        false => print!("{}", document.table()),
    }
    let Some(base) = base else { return Ok(exit::OK) };
    let percent = bench.options.fail_above;
    let (compared, worse) = document.worse_than(&base, percent);
    if compared == 0 {
        return Err("nothing in the earlier run can be compared with this one".into());
    }
    for line in &worse {
        eprintln!("slower: {line}");
    }
    eprintln!("{compared} ratios compared, {} grew by more than {percent} %", worse.len());
    Ok(if worse.is_empty() { exit::OK } else { exit::CHECK_FAILED })
}

/// The two cores: as asked, else the last two of the mask, which get fewer interrupts than the first.
fn cores(options: &Options, allowed: &[usize]) -> Result<[usize; 2], Failure> {
    if let Some(asked) = options.pin {
        if let Some(core) = asked.iter().find(|core| !allowed.contains(core)) {
            return Err(format!(
                "--pin: core {core} is not among those this process may use: {allowed:?}"
            )
            .into());
        }
        return Ok(asked);
    }
    match *allowed {
        [.., b, a] => Ok([a, b]),
        _ => Err(format!("two cores are needed, this process may use {allowed:?}").into()),
    }
}
