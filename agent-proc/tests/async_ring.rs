//! The ring for async programs, against a real swarm: kernels and gateways that are killed, a kernel that hangs, an
//! agent in its sandbox.

// A test that cannot go on panics.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use agent_proc::ring::{LOOK, Ring, RingError, STREAK_MAX, Told};
use rsw_attach::{AttachError, Sent};
use rsw_os::Signal;
use rsw_schemas::event::{EventKind, Report, Slot, Tick};
use rsw_schemas::exit;
use rsw_tests::{PATIENCE, Place, kill, signal, wait_until};

/// Little to compute, so that there is much to tell.
const SMALL: [&str; 6] =
    ["--set", "field.size=48,48", "--set", "metrics.tile=16", "--set", "agent.watcher.replicas=1"];

fn swarm(set: &[&str]) -> Place {
    let place = Place::new();
    let words: Vec<&str> = SMALL.iter().chain(set).copied().collect();
    place.up(&words);
    place
}

fn socket(place: &Place) -> PathBuf {
    place.json(&["ps"])["socket"].as_str().unwrap().into()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// What was told, held against the promise that it is everything or says what is missing.
struct Account {
    ring: Ring,
    next: u64,
    told: Vec<Told>,
    tick: u64,
}

impl Account {
    fn new(ring: Ring) -> Self {
        Self { next: ring.cursor(), ring, told: Vec::new(), tick: 0 }
    }

    async fn next(&mut self) -> Option<Told> {
        let told = tokio::time::timeout(PATIENCE, self.ring.next()).await.expect("it hangs");
        let told = told.map(|told| told.unwrap());
        match told {
            Some(Told::Event { sequence, slot }) => {
                assert_eq!(sequence, self.next, "a silent skip");
                self.next += 1;
                if slot.kind == EventKind::Tick as u16 {
                    self.tick = tick_of(&slot);
                }
            }
            Some(Told::Lapped { from, to }) => {
                assert_eq!(from, self.next, "a loss that begins elsewhere");
                self.next = to;
            }
            Some(other) => self.told.push(other),
            None => {}
        }
        told
    }

    /// What is told next of a kind; fails after [`PATIENCE`] even if other events keep coming.
    async fn until(&mut self, what: &str, so: impl Fn(&Told) -> bool) -> Told {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.next().await {
                Some(told) if so(&told) => return told,
                Some(_) => assert!(tokio::time::Instant::now() < end, "no {what}: {:?}", self.told),
                None => panic!("the end came before {what}: {:?}", self.told),
            }
        }
    }

    async fn ticks(&mut self, count: u64) {
        let is_tick = |told: &Told| matches!(told, Told::Event { slot, .. } if slot.kind == EventKind::Tick as u16);
        for _ in 0..count {
            self.until("a tick", is_tick).await;
        }
    }

    async fn drain(&mut self) {
        while self.next().await.is_some() {}
    }
}

fn tick_of(slot: &Slot) -> u64 {
    bytemuck::pod_read_unaligned::<Tick>(&slot.payload[..size_of::<Tick>()]).tick
}

#[test]
fn everything_is_told_and_ps_shows_what_we_report() {
    let place = swarm(&[]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "async").await.unwrap());
        assert!(account.ring.has_eventfd());
        let begin = account.next;
        account.ticks(30).await;
        assert_eq!(account.ring.received() + account.ring.lost(), account.next - begin);
        let row = place.process("async");
        assert_eq!((row["watched"].as_bool(), row["lost_events"].as_u64()), (Some(false), Some(0)));
        assert!(row["received_events"].as_u64() > Some(0) && row["beat_age_ms"].is_u64(), "{row}");

        let mut report: Report = bytemuck::Zeroable::zeroed();
        (report.tick, report.window_ticks, report.seen_ticks) = (account.tick, 10, 10);
        assert_eq!(account.ring.report(report).unwrap(), Sent::Done);
        let own = account.ring.welcome().agent_id;
        account
            .until("our report as an event", |told| {
                matches!(told, Told::Event { slot, .. }
                    if slot.kind == EventKind::Report as u16 && slot.source == own)
            })
            .await;

        place.ok(&["down"]);
        account.drain().await;
        assert_eq!(account.ring.lost(), 0);
        assert!(account.ring.next().await.is_none(), "the end stays the end");
    });
}

#[test]
fn killed_kernels_and_gateways_are_told_and_no_event_is_skipped() {
    let place = swarm(&["--set", "tick.rate_hz=500"]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "async").await.unwrap());
        for generation in 2..=4 {
            account.ticks(20).await;
            kill(place.pid("kernel"));
            let new = |told: &Told| matches!(told, Told::Generation { .. });
            assert_eq!(account.until("a new plane", new).await, Told::Generation { generation });
            account.ticks(20).await;
            assert_eq!(account.ring.plane().generation(), generation);
        }
        for incarnation in 2..=3 {
            kill(place.pid("gateway"));
            account.until("the loss of the gateway", |told| *told == Told::GatewayGone).await;
            // The plane does not need a gateway.
            account.ticks(1).await;
            let back = Told::Gateway { incarnation };
            // It may have come before that tick.
            if !account.told.contains(&back) {
                account.until("the new gateway", |told| *told == back).await;
            }
            account.ticks(20).await;
            assert!(account.ring.has_eventfd(), "asked for again");
        }
        // A ring of 65,536 slots is not lapped by who reads it.
        assert_eq!(account.ring.lost(), 0, "{:?}", account.told);
        // More than a streak is in the ring when the end shows.
        wait_until("there is much to read", || account.ring.lag() > 4 * u64::from(STREAK_MAX));
        place.ok(&["down"]);
        account.drain().await;
        assert_eq!(account.next, place.verified().0, "the end came before the last event");
    });
}

/// On the way down the gateway goes first. A kernel that takes its time after that still publishes, and then ends.
#[test]
fn the_end_comes_after_the_last_event_of_a_kernel_that_outlives_the_gateway() {
    let place = swarm(&[]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "async").await.unwrap());
        account.ticks(3).await;
        let kernel = place.pid("kernel");
        signal(kernel, Signal::Stop);
        let mut down =
            place.command(&["down", "--grace", "60", "--timeout", "60"]).spawn().unwrap();
        account.until("the loss of the gateway", |told| *told == Told::GatewayGone).await;
        signal(kernel, Signal::Continue);
        account.drain().await;
        assert!(down.wait().unwrap().success());
        assert_eq!(account.next, place.verified().0, "{:?}", account.told);
    });
}

/// A caller that spends long on each event, with a ring that is never empty: it lives, and `ps` shows it.
#[test]
fn a_caller_that_takes_its_time_beats_all_the_same() {
    let place = swarm(&["--set", "tick.rate_hz=0"]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "slow").await.unwrap());
        wait_until("there is much to read", || account.ring.lag() > 8 * u64::from(STREAK_MAX));
        let shown = || place.process("slow")["received_events"].as_u64().unwrap();
        let before = shown();
        for _ in 0..STREAK_MAX / 2 {
            account.next().await;
            std::thread::sleep(LOOK / 20);
        }
        assert!(shown() > before, "nothing was reported in {} events", STREAK_MAX / 2);
    });
}

#[test]
fn a_kernel_that_hangs_is_stale_until_it_lives_again() {
    let place = swarm(&[]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "async").await.unwrap());
        account.ticks(3).await;
        let kernel = place.pid("kernel");
        signal(kernel, Signal::Stop);
        let stale = account.until("stale", |told| matches!(told, Told::Stale { .. })).await;
        assert!(matches!(stale, Told::Stale { age } if age > Duration::from_secs(2)));
        signal(kernel, Signal::Continue);
        account.until("alive", |told| *told == Told::Alive).await;
        account.ticks(3).await;
    });
}

/// Who is too slow is told exactly what it lost; the ring is a small one, and the kernel as fast as it can be.
#[test]
fn a_slow_task_is_told_what_it_lost() {
    let place = swarm(&["--set", "ring.slots=1024", "--set", "tick.rate_hz=0"]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "slow").await.unwrap());
        let begin = account.next;
        account.ticks(3).await;
        wait_until("the ring is lapped", || {
            account.ring.plane().ring_cursor() > account.next + 4096
        });
        account.until("a lap", |told| matches!(told, Told::Lapped { .. })).await;
        account.ticks(3).await;
        assert!(account.ring.lost() >= 3072, "{}", account.ring.lost());
        assert_eq!(account.ring.received() + account.ring.lost(), account.next - begin);
    });
}

/// `next` dropped at every await: the future holds no event.
#[test]
fn a_cancelled_next_loses_nothing_and_a_busy_ring_lets_others_run() {
    let place = swarm(&["--set", "tick.rate_hz=0"]);
    block_on(async {
        let mut account = Account::new(Ring::connect(socket(&place), "async").await.unwrap());
        let (mut ticks, mut cancelled) = (0, 0u32);
        while ticks < 200 || cancelled < 50 {
            // One poll, and the future is dropped.
            let told = poll_fn(|cx| {
                let mut next = std::pin::pin!(account.ring.next());
                Poll::Ready(next.as_mut().poll(cx))
            });
            match told.await {
                Poll::Pending => {
                    cancelled += 1;
                    tokio::task::yield_now().await;
                }
                Poll::Ready(told) => match told.unwrap().unwrap() {
                    Told::Event { sequence, slot } => {
                        assert_eq!(sequence, account.next);
                        account.next += 1;
                        ticks += u32::from(slot.kind == EventKind::Tick as u16);
                    }
                    Told::Lapped { from, to } => {
                        assert_eq!(from, account.next);
                        account.next = to;
                    }
                    _ => {}
                },
            }
        }

        // Behind by more than a streak, it still lets a task beside it run.
        wait_until("there is much to read", || account.ring.lag() > 8 * u64::from(STREAK_MAX));
        let other = tokio::spawn(async {});
        let mut events = 0;
        while !other.is_finished() {
            assert!(matches!(account.next().await, Some(Told::Event { .. } | Told::Lapped { .. })));
            events += 1;
            assert!(events <= 2 * STREAK_MAX, "it keeps the runtime for itself");
        }
    });
}

#[test]
fn without_a_swarm_there_is_an_error_that_says_so() {
    let error = block_on(Ring::connect("/nonexistent/swarm.sock", "async")).unwrap_err();
    let RingError::Attach(error @ AttachError::Connect(_)) = error else { panic!("{error}") };
    assert_eq!(error.exit_code(), exit::NOT_RUNNING);
}

/// tokio, epoll and the eventfd within what a launched agent may do.
#[test]
fn the_example_runs_in_either_sandbox() {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().unwrap().with_file_name("examples").join("async_ring");
    let how = "cargo build --release -p agent-proc --features tokio --example async_ring";
    assert!(example.is_file(), "{} is missing: run `{how}` first", example.display());
    let place = Place::new();
    let agent = |isolation: &str| {
        format!("[agent.{isolation}]\nisolation = \"{isolation}\"\ncommand = [{example:?}]\n")
    };
    place.write("swarm.toml", &["sandboxed", "strict"].map(agent).concat());
    place.up(&["--set", "field.size=48,48", "--set", "metrics.tile=16"]);
    let said = |name: &str| place.ok(&["logs", name, "-n", "2000"]).stdout;
    for name in ["sandboxed", "strict"] {
        wait_until("it is woken", || said(name).contains("tick event"));
        assert!(said(name).contains("eventfd: true"), "{}", said(name));
        let row = place.process(name);
        assert_eq!(
            (row["isolation"].as_str(), row["state"].as_str()),
            (Some(name), Some("running"))
        );
        assert!(row["in_force"].to_string().contains("seccomp"), "{row}");
        assert_eq!(row["watched"], true, "it beats: {row}");
    }
    kill(place.pid("gateway"));
    for name in ["sandboxed", "strict"] {
        wait_until("it is told of the new gateway", || {
            said(name).contains("Gateway { incarnation: 2 }")
        });
    }
    kill(place.pid("kernel"));
    for name in ["sandboxed", "strict"] {
        wait_until("it is told of the new kernel", || {
            said(name).contains("Generation { generation: 2 }")
        });
        assert_eq!(place.process(name)["restarts"], 0);
    }
}
