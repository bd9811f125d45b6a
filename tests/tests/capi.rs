//! The C library from outside: headers through real compilers, C programs against a real swarm.

use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rsw_attach::codec::{self, Incoming};
use rsw_os::packet;
use rsw_schemas::text;
use rsw_schemas::wire::{PacketKind, RefusalCode, Refused};
use rsw_tests::{Done, Place, binary, kill, wait_until};

/// A swarm that is quick to start and has something to say.
const SWARM: &str = "[field]\nsize = [32, 32]\n[tick]\nrate_hz = 200\n[metrics]\nbatch_ticks = 4\n\
                     [sync]\nwindow_ticks = 32\nreport_ticks = 16\n[source.a]\nat = [9, 9]\n\
                     frequency = 0.05\n[agent.watcher]\nreplicas = 2\n";

/// Everything as it is installed, once for all tests here.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi-prefix");
        let mut install = Command::new(binary("xtask"));
        good(install.args(["install", "--prefix"]).arg(&prefix));
        prefix
    })
}

/// Runs a command that must end well.
fn good(command: &mut Command) -> Done {
    let done = Done::of(command.output().expect("a command that can be started"));
    assert_eq!(done.code, 0, "{command:?}\n{}\n{}", done.stdout, done.stderr);
    done
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn c_compiler(standard: &str) -> Command {
    let mut command = Command::new("gcc");
    command.args([standard, "-D_GNU_SOURCE", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]);
    command.arg("-I").arg(prefix().join("include"));
    command
}

/// Compiles an example in C++ into the place's folder, against the shared library.
fn cpp_example(place: &Place, name: &str) -> PathBuf {
    let to = place.folder().join(format!("{name}-cpp"));
    let lib = prefix().join("lib");
    let mut cpp = Command::new("g++");
    cpp.args(["-std=c++17", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&to);
    cpp.arg("-I").arg(prefix().join("include"));
    cpp.arg(source(&format!("agent-proc/examples/cpp/{name}.cpp"))).arg("-L").arg(&lib);
    good(cpp.arg(format!("-Wl,-rpath,{}", lib.display())).arg("-lrsw"));
    to
}

/// Compiles a C program into the place's folder, against the shared library.
fn compile(place: &Place, path: &str) -> PathBuf {
    compile_with(c_compiler("-std=c11"), place, path)
}

fn compile_with(mut command: Command, place: &Place, path: &str) -> PathBuf {
    let from = source(path);
    let to = place.folder().join(from.file_stem().expect("a name"));
    let lib = prefix().join("lib");
    command.arg("-o").arg(&to).arg(&from).arg("-L").arg(&lib);
    command.arg(format!("-Wl,-rpath,{}", lib.display())).args(["-lrsw", "-lpthread"]);
    good(&mut command);
    to
}

fn test_program(place: &Place, name: &str) -> PathBuf {
    compile(place, &format!("tests/tests/capi/{name}.c"))
}

fn example(place: &Place, name: &str) -> PathBuf {
    compile(place, &format!("agent-proc/examples/c/{name}.c"))
}

/// A program in the swarm's folder, with its environment.
fn command(place: &Place, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(place.folder());
    command.env("XDG_RUNTIME_DIR", place.run_base().parent().expect("a folder"));
    command.stdin(Stdio::null());
    command
}

fn swarm() -> Place {
    let place = Place::new();
    place.write("swarm.toml", SWARM);
    place
}

#[test]
fn headers_are_clean_in_c_and_in_cpp_and_know_rusts_layouts() {
    let place = Place::new();
    // The asserts of sizes and offsets are in the headers themselves.
    let user = place.write(
        "user.c",
        "#define ARROW_C_DATA_INTERFACE\n\
         struct ArrowSchema { int theirs; }; struct ArrowArray { int theirs; };\n\
         #include <rsw/rsw.h>\n#include <rsw/rsw.h>\nint main(void) { return (int)sizeof(rsw_event) - 128; }\n",
    );
    good(c_compiler("-std=c11").arg("-fsyntax-only").arg(&user));
    let mut cpp = Command::new("g++");
    cpp.args([
        "-std=c++17",
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        "-x",
        "c++",
    ]);
    good(cpp.arg("-I").arg(prefix().join("include")).arg(&user));
}

#[test]
fn symbols_are_versioned_and_are_those_of_the_list() {
    let library = prefix().join("lib/librsw.so.0");
    let done = good(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let mut symbols: Vec<&str> =
        done.stdout.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    symbols.sort_unstable();
    let listed = std::fs::read_to_string(source("runtime/capi/symbols.txt")).expect("the list");
    assert_eq!(symbols, listed.lines().collect::<Vec<_>>(), "a change of the ABI");
    let soname = good(Command::new("readelf").arg("-d").arg(&library)).stdout;
    assert!(soname.contains("Library soname: [librsw.so.0]"), "{soname}");
    for foreign in ["libsqlite", "libstdc++"] {
        assert!(!soname.contains(foreign), "{soname}");
    }
}

#[test]
fn pkg_config_leads_to_a_program_that_runs() {
    let place = swarm();
    place.up(&[]);
    let mut ask = Command::new("pkg-config");
    ask.args(["--cflags", "--libs", "rsw"]);
    ask.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let flags = good(&mut ask).stdout;
    let program = place.folder().join("knock");
    let mut cc = Command::new("cc");
    cc.arg("-o")
        .arg(&program)
        .arg(source("tests/tests/capi/knock.c"))
        .args(flags.split_whitespace());
    good(&mut cc);
    let mut run = command(&place, &program, &[]);
    let done = good(run.env("LD_LIBRARY_PATH", prefix().join("lib")));
    assert_eq!(done.stdout.lines().next(), Some("0"), "{}", done.stdout);
}

#[test]
fn the_examples_in_c_say_what_the_swarm_says() {
    let place = swarm();
    let names = ["watch-board", "tail-events", "field-heatmap", "metrics-batches", "my-agent"];
    let programs = names.map(|name| example(&place, name));
    place.up(&[]);
    let run = |at: usize, args: &[&str]| good(&mut command(&place, &programs[at], args)).stdout;

    let board = run(0, &[]);
    let cells = place.json(&["peek"])["cells"].as_array().expect("cells").len();
    assert_eq!(board.lines().count(), cells + 1, "{board}");
    assert!(board.contains(&format!("{cells} cells of ticks ")), "{board}");

    let events = run(1, &["500"]);
    let sequences: Vec<u64> = events
        .lines()
        .take(500)
        .map(|line| line.split(' ').next().and_then(|n| n.parse().ok()).expect("a sequence"))
        .collect();
    assert_eq!(sequences, (0..500).collect::<Vec<u64>>(), "from the first event on");
    assert!(events.ends_with("received 500, lost 0\n"), "{events}");
    assert!(events.starts_with("0 kind 12 source 0 "), "a plane begins with its generation");

    let heatmap = run(2, &["ci.pgm"]);
    assert!(heatmap.starts_with("ci 32 x 32, "), "{heatmap}");
    let image = std::fs::read(place.folder().join("ci.pgm")).expect("the image");
    assert_eq!(image.len(), "P5\n32 32\n255\n".len() + 32 * 32);

    let batches = run(3, &["3"]);
    assert_eq!(batches.lines().count(), 3, "{batches}");
    for line in batches.lines() {
        // Two agents over four ticks.
        assert!(line.contains(", 8 rows, mean ci "), "{line}");
    }

    let reports = run(4, &["5"]);
    assert_eq!(reports.lines().count(), 5, "{reports}");
    down_with_the_same_matrices(&place, &reports);
}

/// What an example reported once its window was full is what both built-in agents reported, to the last bit.
fn down_with_the_same_matrices(place: &Place, reports: &str) {
    // A window of 32 ticks and a report every 16: two reports see less than the built-in agents.
    for line in reports.lines().skip(2) {
        // They may come to that tick later than the example, and the recorder later still.
        wait_until(&format!("both report: {line}"), || same_reports(place, line) == 2);
    }
    place.down_and_gone(&[]);
    place.verified();
}

/// How many built-in agents recorded the matrix of an example's line, at its tick.
fn same_reports(place: &Place, line: &str) -> usize {
    let sql = "SELECT hex(payload) FROM rs_event WHERE kind = 6 AND source IN (1, 2)";
    let payloads: Vec<String> = place.rows(sql).iter().map(|row| row[0].to_string()).collect();
    let tick = line.trim_start_matches("tick ").split(':').next().and_then(|n| n.parse().ok());
    let tick: u64 = tick.expect("a tick");
    let crc = line.split("matrix ").nth(1).expect("a matrix");
    let crc = u32::from_str_radix(crc, 16).expect("hex, and sent");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let (tick, crc) = (hex(&tick.to_le_bytes()), hex(&crc.to_le_bytes()));
    let same =
        |payload: &&String| payload.trim_matches('"').starts_with(&tick) && payload.contains(&crc);
    payloads.iter().filter(same).count()
}

#[test]
fn the_examples_in_cpp_say_what_those_in_c_say() {
    let place = swarm();
    let c_tail = example(&place, "tail-events");
    let names = ["watch-board", "tail-events", "field-heatmap", "metrics-batches", "my-agent"];
    let programs = names.map(|name| cpp_example(&place, name));
    place.up(&[]);
    let run = |at: usize, args: &[&str]| good(&mut command(&place, &programs[at], args)).stdout;
    let board = run(0, &[]);
    assert!(board.lines().last().is_some_and(|line| line.contains(" cells of ticks ")), "{board}");
    assert_eq!(run(1, &["500"]), good(&mut command(&place, &c_tail, &["500"])).stdout);
    assert!(run(2, &["cpp.pgm"]).starts_with("ci 32 x 32, "));
    let image = std::fs::read(place.folder().join("cpp.pgm")).expect("the image");
    assert_eq!(image.len(), "P5\n32 32\n255\n".len() + 32 * 32);
    assert_eq!(run(3, &["3"]).matches(", 8 rows, mean ci ").count(), 3);
    let reports = run(4, &["5"]);
    assert_eq!(reports.lines().count(), 5, "{reports}");
    down_with_the_same_matrices(&place, &reports);
}

/// Without an installation of its own: the package where it is, the library where it was installed.
fn python(place: &Place, script: &Path, args: &[&str]) -> Command {
    let mut python = command(place, Path::new("python3"), &[]);
    python.arg(script).args(args);
    python.env("PYTHONPATH", source("runtime/capi/python")).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("RSW_LIBRARY", prefix().join("lib/librsw.so.0"));
    python
}

#[test]
fn the_examples_in_python_say_what_those_in_c_say() {
    let place = swarm();
    let programs = ["tail-events", "field-heatmap"].map(|name| example(&place, name));
    place.up(&[]);
    let script = |name: &str| source(&format!("agent-proc/examples/python/{name}.py"));
    let run = |name: &str, args: &[&str]| good(&mut python(&place, &script(name), args)).stdout;

    assert_eq!(
        run("tail-events", &["500"]),
        good(&mut command(&place, &programs[0], &["500"])).stdout
    );
    let board = run("watch-board", &[]);
    assert!(board.lines().last().is_some_and(|line| line.contains(" cells of ticks ")), "{board}");
    let reports = run("my-agent", &["5"]);
    assert_eq!(reports.lines().count(), 5, "{reports}");
    assert!(run("field-heatmap", &["python.pgm"]).starts_with("ci 32 x 32, "));
    let image = std::fs::read(place.folder().join("python.pgm")).expect("the image");
    assert_eq!(image.len(), "P5\n32 32\n255\n".len() + 32 * 32);
    good(&mut python(&place, &source("tests/tests/capi/python.py"), &[]));
    let has_pyarrow = Command::new("python3").args(["-c", "import pyarrow"]).output();
    if has_pyarrow.is_ok_and(|answer| answer.status.success()) {
        assert_eq!(run("metrics-batches", &["3"]).lines().count(), 3);
    }
    down_with_the_same_matrices(&place, &reports);
}

#[test]
fn a_c_agent_runs_in_the_sandbox_and_reports() {
    for isolation in ["sandboxed", "strict"] {
        let place = Place::new();
        let agent = place.folder().join("my-agent");
        let lib = prefix().join("lib/librsw.a");
        let mut cc = c_compiler("-std=c11");
        cc.arg("-o").arg(&agent).arg(source("agent-proc/examples/c/my-agent.c")).arg(lib);
        good(cc.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]));
        let mine =
            std::fs::read_to_string(source("agent-proc/examples/swarm.toml")).expect("a file");
        let words = format!(
            "{SWARM}{mine}isolation = \"{isolation}\"
"
        );
        place.write("swarm.toml", &words);
        place.up(&[]);
        wait_until("it has reported", || {
            let logs = place.ok(&["logs", "mine", "-n", "50"]).stdout;
            assert!(!logs.contains("not sent"), "{logs}");
            logs.matches(": cs ").count() >= 2
        });
        let row = place.process("mine");
        assert_eq!(
            (&row["isolation"], &row["state"]),
            (&isolation.into(), &"running".into()),
            "{row}"
        );
        place.down_and_gone(&[]);
        let reports = place.rows("SELECT count(*) FROM rs_event WHERE kind = 6 AND source = 3");
        assert!(reports[0][0].to_string().trim_matches('"').parse::<u64>().expect("a count") >= 2);
        place.verified();
    }
}

#[test]
fn every_mistake_of_a_caller_is_an_error() {
    let place = swarm();
    let hostile = test_program(&place, "hostile");
    place.up(&[]);
    assert_eq!(good(&mut command(&place, &hostile, &[])).stdout, "hostile: ok\n");
    let valgrind = Command::new("valgrind").arg("--version").output();
    if valgrind.is_ok_and(|answer| answer.status.success()) {
        let mut checked = command(&place, Path::new("valgrind"), &["-q", "--error-exitcode=9"]);
        good(checked.args(["--leak-check=full", "--errors-for-leak-kinds=definite"]).arg(&hostile));
    }
}

#[test]
fn twenty_four_threads_poll_one_swarm() {
    let place = swarm();
    let threads = test_program(&place, "threads");
    place.up(&[]);
    assert_eq!(good(&mut command(&place, &threads, &["24", "1000"])).stdout, "threads: ok\n");
    place.ok(&["down"]);
    place.verified();
}

#[test]
fn a_polling_agent_follows_restarts_of_the_kernel() {
    follows_restarts(&["3"]);
}

/// The same in an event loop, which sleeps in `poll` on the library's descriptor.
#[test]
fn an_event_loop_follows_restarts_of_the_kernel() {
    follows_restarts(&["3", "fd"]);
}

fn follows_restarts(words: &[&str]) {
    let place = swarm();
    let follow = test_program(&place, "follow");
    place.up(&[]);
    let said = place.folder().join("said");
    let out = std::fs::File::create(&said).expect("a file");
    let mut child = command(&place, &follow, words)
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()
        .map(Leash)
        .expect("the follower");
    let said = || std::fs::read_to_string(&said).expect("what it said");
    wait_until("it follows", || said().contains("following"));
    for generation in 2..=4 {
        let kernel = place.process("kernel")["pid"].as_u64().expect("a pid");
        kill(kernel as u32);
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

/// The headers in `capi/old` are those of the library before it had `rsw_wake_fd`; a program that was built with them runs on.
#[test]
fn programs_built_with_older_headers_run_on_this_library() {
    let place = swarm();
    let program = |name: &str| {
        let mut gcc = Command::new("gcc");
        gcc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-I"]);
        gcc.arg(source("tests/tests/capi/old"));
        compile_with(gcc, &place, &format!("agent-proc/examples/c/{name}.c"))
    };
    let names = ["watch-board", "tail-events", "field-heatmap", "metrics-batches", "my-agent"];
    let programs = names.map(program);
    place.up(&[]);
    let args = [&[][..], &["500"], &["ci.pgm"], &["3"], &["3"]];
    for ((program, args), lines) in programs.iter().zip(args).zip([10, 501, 1, 3, 3]) {
        let told = good(&mut command(&place, program, args)).stdout;
        assert!(told.lines().count() >= lines, "{told}");
    }
    place.down_and_gone(&[]);
    place.verified();
}

/// 32 programs of others' at once: each attaches, reports, is seen, and leaves.
#[test]
fn thirty_two_agents_of_others_report_side_by_side() {
    const AGENTS: usize = 32;
    let place = swarm();
    let agent = example(&place, "my-agent");
    place.up(&[]);
    let mut agents: Vec<Leash> = (0..AGENTS)
        .map(|k| {
            let name = format!("other-{k}");
            let mut run = command(&place, &agent, &["1000000"]);
            run.env("RSW_AGENT_NAME", name).stdout(Stdio::null()).stderr(Stdio::null());
            run.spawn().map(Leash).expect("an agent")
        })
        .collect();
    let reported = || {
        let sql = "SELECT count(DISTINCT source) FROM rs_event WHERE kind = 6 AND source > 2";
        place.rows(sql)[0][0].as_u64()
    };
    wait_until("every one of them reported", || reported() == Some(AGENTS as u64));
    let told = place.json(&["ps"]).to_string();
    assert!((0..AGENTS).all(|k| told.contains(&format!("\"other-{k}\""))), "{told}");
    for agent in &mut agents {
        assert!(agent.0.try_wait().expect("its state").is_none(), "it runs on");
    }
    drop(agents);
    let left = |told: &str| (0..AGENTS).all(|k| !told.contains(&format!("\"other-{k}\"")));
    wait_until("all of them are gone", || left(&place.json(&["ps"]).to_string()));
    place.down_and_gone(&[]);
    place.verified();
}

/// A process that does not outlive its test.
struct Leash(Child);

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn attaching_again_and_again_leaves_nothing_behind() {
    let place = swarm();
    let churn = test_program(&place, "churn");
    place.up(&[]);
    let fds = |name: &str| {
        let pid = place.process(name)["pid"].as_u64().expect("a pid");
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
    };
    // The gateway connects to its agents' subscriptions when it lends next: let it finish that.
    good(&mut command(&place, &churn, &["5"]));
    wait_until("frames were lent", || place.tick() > 400);
    let before = (fds("gateway"), fds("kernel"));
    let done = good(&mut command(&place, &churn, &["150"]));
    assert!(done.stdout.ends_with("churn: ok\n"), "{}", done.stdout);
    wait_until("the gateway has noticed", || (fds("gateway"), fds("kernel")) == before);
    place.ok(&["down"]);
    place.verified();
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
    let place = Place::new();
    let program = test_program(&place, "knock");
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
    let place = Place::new();
    let program = test_program(&place, "knock");
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

/// The blocks of a language in a section of the README.
fn blocks(section: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let ends = section.split(&start).skip(1);
    ends.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_readmes_sixty_seconds_work_as_they_are_written() {
    let place = swarm();
    let readme = std::fs::read_to_string(source("README.md")).expect("the README");
    let section =
        readme.split("## Attach your agent in sixty seconds").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    // The install command but for its first words, which build what is built already.
    let words = "cargo xtask ";
    let install = section.lines().find_map(|line| line.trim().strip_prefix(words));
    let xtask = binary("xtask");
    let mut shell = vec![format!("{} {}", xtask.display(), install.expect("the install command"))];
    place.write("hello.c", &blocks(section, "c").concat());
    place.write("hello.py", &blocks(section, "python").concat());
    shell.extend(blocks(section, "sh"));
    place.up(&[]);
    let mut run = command(&place, Path::new("sh"), &["-e", "-c", &shell.join("\n")]);
    let done = good(run.env("HOME", place.folder()).env("PYTHONDONTWRITEBYTECODE", "1"));
    assert!(done.stdout.contains(" events from "), "{}", done.stdout);
    assert!(done.stdout.contains("complexity of (32, 32) cells, borrowed: "), "{}", done.stdout);
    place.ok(&["down"]);
    place.verified();
}
