//! A whole swarm, as `runtime up` starts it: from the commit of a tick to the agent that holds it, to what it computed.
//!
//! This process attaches like anybody's agent. All times are from the moment that the kernel began to commit the tick (it
//! stands in the tick event), on `CLOCK_MONOTONIC`, which all processes of a machine share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rsw_attach::Client;
use rsw_loans::LoanDomain;
use rsw_plane::{Polled, StartAt, WaitStrategy, Waiter};
use rsw_schemas::event::{EventKind, Report, Slot, Tick};
use rsw_schemas::text;

use super::Bench;
use crate::sample::{Case, Hist, histogram};
use crate::{Failure, clock, pair};

const PATIENCE: Duration = Duration::from_secs(30);
/// Ticks remembered until their reports come.
const TICKS_KEPT: usize = 1024;
/// The swarm is watched at least this long: its agents report every tenth tick, 100 ticks a second.
const WATCH_MIN: Duration = Duration::from_secs(2);

/// A running swarm in a folder of its own; stopped when dropped.
struct Swarm {
    root: tempfile::TempDir,
    program: PathBuf,
}

impl Swarm {
    fn up() -> Result<Self, Failure> {
        let beside = std::env::current_exe()?.with_file_name("runtime");
        if !beside.exists() {
            let hint = "build the whole workspace: cargo build --release";
            return Err(format!("{} is not there; {hint}", beside.display()).into());
        }
        let root = tempfile::Builder::new().prefix("rsw-bench-").tempdir()?;
        for folder in ["swarm", "run", "state"] {
            std::fs::create_dir(root.path().join(folder))?;
        }
        let swarm = Self { root, program: beside };
        swarm.runtime(&["up", "-d", "--wait=30", "--set", "sync.report_ticks=10"])?;
        Ok(swarm)
    }

    fn runtime(&self, words: &[&str]) -> Result<(), Failure> {
        let output = Command::new(&self.program)
            .args(words)
            .current_dir(self.root.path().join("swarm"))
            .env("XDG_RUNTIME_DIR", self.root.path().join("run"))
            .env("XDG_STATE_HOME", self.root.path().join("state"))
            .stdin(Stdio::null())
            .output()?;
        match output.status.success() {
            true => Ok(()),
            false => {
                Err(format!("runtime {words:?}: {}", String::from_utf8_lossy(&output.stderr))
                    .into())
            }
        }
    }

    fn socket(&self) -> Result<PathBuf, Failure> {
        let projects = self.root.path().join("run/rsw");
        for project in std::fs::read_dir(&projects)? {
            let socket = project?.path().join("swarm.sock");
            if socket.exists() {
                return Ok(socket);
            }
        }
        Err(format!("no swarm below {}", projects.display()).into())
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if let Err(error) = self.runtime(&["down"]) {
            eprintln!("the benchmark's swarm was not stopped: {error}");
        }
    }
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    // The swarm shall have every core that we may use, and our own mask is inherited.
    pair::pin(&bench.all_cores)?;
    let swarm = Swarm::up();
    pair::pin(&bench.cores[..1])?;
    let swarm = swarm?;
    let mut client = Client::connect(&swarm.socket()?)?;
    client.hello("bench", 0)?;
    let attached = client.welcome(PATIENCE)?;
    let root = text::unpack(&attached.welcome.loan_root);
    let domain = LoanDomain::new(Path::new(&root), attached.welcome.incarnation)?;
    let mut field = domain.subscribe_field("ci")?;
    let mut ring = attached.plane.ring(StartAt::Latest);
    let waiter = Waiter::new(WaitStrategy::BusySpin);

    let mut lent = None;
    let [mut seen, mut held, mut computed, mut told] = [(); 4].map(|()| histogram());
    let mut ticks = std::collections::VecDeque::with_capacity(TICKS_KEPT);
    let deadline = Instant::now() + bench.options.duration.max(WATCH_MIN);
    let since = |mono_ns: u64, samples: &mut Hist, now_ns: u64| {
        samples.saturating_record(clock::ticks(now_ns.saturating_sub(mono_ns) as f64));
    };
    while Instant::now() < deadline {
        // Both come without a call to anybody: the ring is polled, and so is the loan.
        ring.wait(&waiter, Duration::from_micros(20));
        while let Polled::Event { slot, .. } = ring.poll() {
            let now_ns = rsw_os::clock::mono_ns();
            match EventKind::from_u16(slot.kind) {
                Some(EventKind::Tick) => {
                    let tick: Tick = payload(&slot);
                    since(tick.mono_ns, &mut seen, now_ns);
                    if ticks.len() == TICKS_KEPT {
                        ticks.pop_front();
                    }
                    ticks.push_back((tick.tick, tick.mono_ns));
                }
                Some(EventKind::Report) => {
                    let report: Report = payload(&slot);
                    if let Some((_, mono_ns)) = ticks.iter().find(|(tick, _)| *tick == report.tick)
                    {
                        since(*mono_ns, &mut computed, report.sent_mono_ns);
                        since(*mono_ns, &mut told, now_ns);
                    }
                }
                _ => {}
            }
        }
        if let Some(loan) = field.receive()? {
            lent = Some((loan.info().tick, rsw_os::clock::mono_ns()));
        }
        // A loan may be faster than the event that says when its tick was committed.
        if let Some((tick, now_ns)) = lent
            && let Some((_, mono_ns)) = ticks.iter().find(|(known, _)| *known == tick)
        {
            since(*mono_ns, &mut held, now_ns);
            lent = None;
        }
    }
    drop((field, domain, client));
    drop(swarm);
    for (case, samples) in [
        ("tick-read", seen),
        ("field-held", held),
        ("synchronisation-sent", computed),
        ("report-read", told),
    ] {
        let case = Case::new("e2e", case, "from-commit").readers(4).wait("spin").beside("floor");
        bench.add(case, samples).lost(ring.lost());
    }
    Ok(())
}

fn payload<P: bytemuck::AnyBitPattern>(slot: &Slot) -> P {
    bytemuck::pod_read_unaligned(&slot.payload[..size_of::<P>()])
}
