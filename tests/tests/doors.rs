//! The same cases through both doors from C into a swarm: the library, and the header that links nothing.

use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rsw_attach::codec::{self, Incoming};
use rsw_os::{Signal, packet};
use rsw_schemas::text;
use rsw_schemas::wire::{PacketKind, RefusalCode, Refused};
use rsw_tests::c::{Door, Leash, SWARM, c_compiler, command, good, prefix, source, swarm};
use rsw_tests::{Place, alive, kill, rust_example, signal, wait_until};

#[test]
fn every_mistake_with_an_argument_is_an_error() {
    let place = swarm();
    let programs = Door::ALL.map(|door| door.test_program(&place, "mistakes"));
    place.up(&[]);
    for program in &programs {
        assert_eq!(good(&mut command(&place, program, &[])).stdout, "mistakes: ok\n");
    }
}

#[test]
fn both_doors_see_the_same_board_and_the_same_events() {
    let place = swarm();
    let example = |name: &str| {
        let path = format!("agent-proc/examples/c/{name}.c");
        Door::ALL.map(|door| door.compile(&place, &path))
    };
    let (boards, tails) = (example("watch-board"), example("tail-events"));
    place.up(&[]);
    let names = |program| {
        let told = good(&mut command(&place, program, &[])).stdout;
        let rows = told.lines().map(|line| line.split(['=', ' ']).next().map(str::to_owned));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(names(&boards[0]), names(&boards[1]));
    let [library, reader] =
        tails.each_ref().map(|program| good(&mut command(&place, program, &["500"])).stdout);
    assert!(library.ends_with("received 500, lost 0\n"), "{library}");
    assert_eq!(library, reader);
    place.ok(&["down"]);
    place.verified();
}

#[test]
fn the_readers_example_says_what_the_database_says() {
    let place = swarm();
    // By itself: no library, no macro before it, warnings or not.
    let program = place.folder().join("watch-ticks");
    let mut cc = Command::new("cc");
    cc.arg(source("agent-proc/examples/c/watch-ticks.c")).arg("-o").arg(&program);
    good(cc.arg("-I").arg(prefix().join("include")));
    place.up(&[]);
    let told = good(&mut command(&place, &program, &["40"])).stdout;
    place.ok(&["down"]);
    place.verified();
    assert_eq!(told.lines().count(), 40, "{told}");
    let sql = "SELECT hex(payload) FROM rs_event WHERE kind = 1 ORDER BY seq";
    let recorded: Vec<String> = place.rows(sql).iter().map(|row| row[0].to_string()).collect();
    for line in told.lines() {
        let (tick, ci) = line.split_once(": ci ").expect("a tick and its complexity");
        let tick: u64 = tick.trim_start_matches("tick ").parse().expect("a tick");
        let hex = recorded[tick as usize - 1].trim_matches('"');
        let word = |at: usize| u64::from_str_radix(&hex[16 * at..16 * at + 16], 16).expect("hex");
        assert_eq!(word(0).swap_bytes(), tick, "recorded in order");
        assert_eq!(format!("{:.6}", f64::from_bits(word(2).swap_bytes())), ci, "{line}");
    }
}

#[test]
fn twenty_four_threads_poll_one_swarm() {
    let place = swarm();
    let programs = Door::ALL.map(|door| door.test_program(&place, "threads"));
    place.up(&[]);
    for program in &programs {
        let told = good(&mut command(&place, program, &["24", "1000"])).stdout;
        assert_eq!(told, "threads: ok\n");
    }
    place.ok(&["down"]);
    place.verified();
}

#[test]
fn a_polling_agent_follows_restarts_of_the_kernel() {
    follows_restarts(Door::Library, &["3"]);
}

/// The same in an event loop, which sleeps in `poll` on the library's descriptor.
#[test]
fn an_event_loop_follows_restarts_of_the_kernel() {
    follows_restarts(Door::Library, &["3", "fd"]);
}

#[test]
fn a_program_that_links_nothing_follows_restarts_of_the_kernel() {
    follows_restarts(Door::Reader, &["3"]);
}

/// The same by one that never waits on the ring: it looks for a restart by itself.
#[test]
fn a_program_that_links_nothing_and_never_waits_follows_restarts_of_the_kernel() {
    follows_restarts(Door::Reader, &["3", "looks"]);
}

fn follows_restarts(door: Door, words: &[&str]) {
    let place = swarm();
    let follow = door.test_program(&place, "follow");
    place.up(&[]);
    let said = place.folder().join("said");
    let out = std::fs::File::create(&said).expect("a file");
    let mut child = command(&place, &follow, words)
        .stderr(out.try_clone().expect("the same file"))
        .stdout(out)
        .spawn()
        .map(Leash)
        .expect("the follower");
    let said = || std::fs::read_to_string(&said).expect("what it said");
    wait_until("it follows", || said().contains("following"));
    for generation in 2..=4 {
        if generation == 3 && !words.contains(&"fd") {
            // Who tells of restarts is gone itself: everybody comes again, and hears what was missed. (A loop that sleeps on
            // its descriptor counts how seldom that failed to wake it.)
            kill(place.pid("gateway"));
            wait_until("the gateway runs", || place.process("gateway")["state"] == "running");
        }
        kill(place.pid("kernel"));
        wait_until("it goes on", || {
            assert!(child.0.try_wait().expect("its state").is_none() || said().contains(": ok"));
            said().contains(&format!("generation {generation} at "))
        });
        wait_until("the kernel runs", || place.process("kernel")["state"] == "running");
    }
    wait_until("it ends", || child.0.try_wait().expect("its state").is_some());
    assert!(said().contains("follow: ok"), "{}", said());
    place.ok(&["down"]);
    place.verified();
}

#[test]
fn attaching_again_and_again_leaves_nothing_behind() {
    let place = swarm();
    let programs = Door::ALL.map(|door| door.test_program(&place, "churn"));
    place.up(&[]);
    let fds = |name: &str| {
        let pid = place.process(name)["pid"].as_u64().expect("a pid");
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
    };
    // The gateway connects to its agents' subscriptions when it lends next: let it finish that.
    good(&mut command(&place, &programs[0], &["5"]));
    wait_until("frames were lent", || place.tick() > 400);
    let before = (fds("gateway"), fds("kernel"));
    for churn in &programs {
        let done = good(&mut command(&place, churn, &["150"]));
        assert!(done.stdout.ends_with("churn: ok\n"), "{}", done.stdout);
        wait_until("the gateway has noticed", || (fds("gateway"), fds("kernel")) == before);
    }
    place.ok(&["down"]);
    place.verified();
}

/// On a socket that it inherits, as the supervisor's child: a reader needs no file, so the strictest isolation will do.
#[test]
fn a_program_that_links_nothing_runs_in_the_sandbox() {
    for isolation in ["sandboxed", "strict"] {
        let place = Place::new();
        let program = place.folder().join("watch-ticks");
        let mut gcc = c_compiler("-std=c11");
        gcc.arg("-o").arg(&program).arg(source("agent-proc/examples/c/watch-ticks.c"));
        good(&mut gcc);
        let command = format!("command = [\"./watch-ticks\"]\nisolation = \"{isolation}\"\n");
        place.write("swarm.toml", &format!("{SWARM}[agent.ticks]\n{command}"));
        place.up(&[]);
        let said = || place.ok(&["logs", "ticks", "-n", "100000"]).stdout;
        wait_until("it reads", || said().contains(": ci "));
        // Its socket stays, and the next gateway says welcome on it again.
        kill(place.pid("gateway"));
        wait_until("the gateway runs", || place.process("gateway")["state"] == "running");
        let (kernel, generation) = (place.pid("kernel"), place.generation());
        kill(kernel);
        wait_until("it goes on in the next generation", || {
            assert!(!said().contains("lost "), "{}", said());
            said().contains(&format!("generation {}\n", generation + 1))
        });
        assert_eq!(place.process("ticks")["restarts"], 0);
        place.down_and_gone(&[]);
        place.verified();
    }
}

/// The example in Rust keeps the same account through the same restarts, of the gateway too.
#[test]
fn the_example_in_rust_follows_restarts_without_a_loss() {
    let place = swarm();
    place.up(&[]);
    let said = place.folder().join("said");
    let out = std::fs::File::create(&said).expect("a file");
    let mut tail = command(&place, &rust_example("tail-events"), &[]);
    let mut tail = tail.stdout(out).spawn().map(Leash).expect("the example");
    let said = || std::fs::read_to_string(&said).expect("what it said");
    for generation in 2..=3 {
        if generation == 3 {
            kill(place.pid("gateway"));
            wait_until("the gateway runs", || place.process("gateway")["state"] == "running");
        }
        kill(place.pid("kernel"));
        wait_until("it goes on", || said().contains(&format!("\ngeneration {generation}\n")));
    }
    place.ok(&["down"]);
    wait_until("it ends", || tail.0.try_wait().expect("its state").is_some());
    let said = said();
    let sequences: Vec<u64> =
        said.lines().filter_map(|line| line.split_once(" kind ")?.0.parse().ok()).collect();
    assert!(sequences.iter().copied().eq(0..sequences.len() as u64), "from the first on, no gap");
    let account = format!("received {}, lost 0\n", sequences.len());
    assert!(said.ends_with(&account), "{account}");
    let (published, _, _) = place.verified();
    assert_eq!(published, sequences.len() as u64, "to the last one");
}

/// A supervisor that is killed takes its swarm along, and `runtime up` starts another run: same folder, same numbers of
/// generations and of gateways, other events. Who stayed goes on with its latest.
#[test]
fn who_stayed_goes_on_in_another_run() {
    let place = swarm();
    let mut programs =
        Door::ALL.map(|door| door.compile(&place, "agent-proc/examples/c/tail-events.c")).to_vec();
    programs.push(rust_example("tail-events"));
    place.up(&[]);
    let processes = place.processes();
    let path = |at: usize| place.folder().join(format!("said-{at}"));
    let start = |(at, program): (usize, &PathBuf)| {
        let out = std::fs::File::create(path(at)).expect("a file");
        command(&place, program, &[]).stdout(out).spawn().map(Leash).expect("a program")
    };
    let mut tails: Vec<Leash> = programs.iter().enumerate().map(start).collect();
    let said = |at: usize| std::fs::read_to_string(path(at)).expect("what it said");
    let count = programs.len();
    wait_until("all of them read", || (0..count).all(|at| said(at).contains(" kind 1 ")));
    // A kernel that had time to stop in order would tell that nothing comes.
    let kernel = place.pid("kernel");
    signal(kernel, Signal::Stop);
    kill(place.json(&["status"])["supervisor_pid"].as_u64().expect("a pid") as u32);
    kill(kernel);
    wait_until("every process has ended", || processes.iter().all(|(_, pid)| !alive(*pid)));
    place.up(&[]);
    for at in 0..count {
        wait_until(&format!("program {at} goes on"), || {
            said(at).split("generation 1\n").nth(1).is_some_and(|rest| rest.contains(" kind "))
        });
    }
    place.ok(&["down"]);
    let ended = |tail: &mut Leash| tail.0.try_wait().expect("its state").is_some();
    wait_until("all of them end", || tails.iter_mut().all(ended));
    for at in 0..count {
        let said = said(at);
        assert!(said.ends_with(", lost 0\n"), "program {at}: {}", &said[said.len() - 200..]);
    }
}

/// What knocking at a socket answers: status and words.
fn knock(place: &Place, program: &Path, socket: &Path) -> (i32, String) {
    let socket = socket.to_str().expect("a plain path");
    let done = good(&mut command(place, program, &[socket]));
    let (status, words) = done.stdout.split_once('\n').expect("two lines");
    (status.parse().expect("a status"), words.to_owned())
}

#[test]
fn four_ways_of_not_being_there_are_told_apart() {
    Door::ALL.into_iter().for_each(four_ways_of_not_being_there);
}

fn four_ways_of_not_being_there(door: Door) {
    let place = Place::new();
    let program = door.test_program(&place, "knock");
    let run_dir = place.folder().join("run-dir");
    std::fs::create_dir(&run_dir).expect("a folder");
    let socket = run_dir.join("swarm.sock");
    let (status, words) = knock(&place, &program, &socket);
    assert_eq!(status, -5, "absent: {words}");
    std::fs::write(run_dir.join("lock"), std::process::id().to_string()).expect("a lock");
    let (status, words) = knock(&place, &program, &socket);
    assert_eq!(status, -9, "not there yet: {words}");
    // Nobody has the highest pid that a 64-bit machine may give away.
    std::fs::write(run_dir.join("lock"), "4194303").expect("a lock");
    drop(packet::listen(&socket).expect("a socket"));
    let (status, words) = knock(&place, &program, &socket);
    assert_eq!(status, -8, "dead: {words}");
    assert!(words.contains("runtime up"), "{words}");
    if std::fs::metadata(&run_dir).expect("a folder").uid() == 0 {
        chown(&socket, Some(1234), None).expect("another owner");
        let (status, words) = knock(&place, &program, &socket);
        assert_eq!(status, -7, "another user's: {words}");
        assert!(words.contains("1234"), "{words}");
    }
    // And of a folder without any swarm, by its name.
    let done = good(&mut command(&place, &program, &[]));
    assert!(done.stdout.starts_with("-5\nno swarm runs in "), "{}", done.stdout);
}

#[test]
fn a_swarm_of_another_build_is_refused_with_both_versions() {
    Door::ALL.into_iter().for_each(refused_by_another_build);
}

fn refused_by_another_build(door: Door) {
    let place = Place::new();
    let program = door.test_program(&place, "knock");
    let socket = place.folder().join("other.sock");
    let listener = packet::listen(&socket).expect("a socket");
    let gateway = std::thread::spawn(move || {
        let refused = Refused {
            code: RefusalCode::Layout as u32,
            abi_major: 9,
            abi_minor: 8,
            reserved: 0,
            layout_hash: 0xfeed,
            text: text::pack("run programs of one build"),
        };
        let mut guest = None;
        wait_until("somebody knocks", || {
            guest = packet::accept(&listener).expect("a listener");
            guest.is_some()
        });
        let guest = guest.expect("a guest");
        wait_until("it says hello", || {
            matches!(codec::recv(guest.as_fd(), 0), Ok(Incoming::Packet(_)))
        });
        codec::send(guest.as_fd(), PacketKind::Refused, &refused, &[]).expect("an answer")
    });
    let (status, words) = knock(&place, &program, &socket);
    assert_eq!(status, -6, "{words}");
    assert!(words.contains("abi 9.8 layout 000000000000feed"), "{words}");
    assert!(words.contains(&format!("{:016x}", rsw_schemas::LAYOUT_HASH)), "{words}");
    assert_eq!(gateway.join().expect("the gateway"), codec::Sent::Done);
}
