//! The C library from outside: headers through real compilers, C programs against a real swarm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rsw_tests::c::{
    Door, Leash, SWARM, c_compiler, command, compile_with, good, prefix, source, swarm,
};
use rsw_tests::{Done, Place, binary, rust_example, wait_until};

/// The programs that there are in each language.
const EXAMPLES: [&str; 5] =
    ["watch-board", "tail-events", "field-heatmap", "metrics-batches", "my-agent"];

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

fn example(place: &Place, name: &str) -> PathBuf {
    Door::Library.compile(place, &format!("agent-proc/examples/c/{name}.c"))
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
    let programs = EXAMPLES.map(|name| example(&place, name));
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
    let programs = EXAMPLES.map(|name| cpp_example(&place, name));
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

#[test]
fn the_examples_in_rust_say_what_those_in_c_say() {
    let place = swarm();
    let in_c = ["watch-board", "tail-events"].map(|name| example(&place, name));
    place.up(&[]);
    let run = |at: usize, args: &[&str]| {
        good(&mut command(&place, &rust_example(EXAMPLES[at]), args)).stdout
    };
    let cells = |board: &str| -> Vec<String> {
        board.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
    };
    let board = run(0, &[]);
    assert!(board.lines().last().is_some_and(|line| line.contains(" cells of ticks ")), "{board}");
    let board_in_c = good(&mut command(&place, &in_c[0], &[])).stdout;
    assert_eq!(cells(&board), cells(&board_in_c));
    assert_eq!(run(1, &["500"]), good(&mut command(&place, &in_c[1], &["500"])).stdout);
    assert!(run(2, &["rust.pgm"]).starts_with("ci 32 x 32, "));
    let image = std::fs::read(place.folder().join("rust.pgm")).expect("the image");
    assert_eq!(image.len(), "P5\n32 32\n255\n".len() + 32 * 32);
    assert_eq!(run(3, &["3"]).matches(", 8 rows, mean ci ").count(), 3);

    // It is seen while it runs.
    let mut agent = command(&place, &rust_example(EXAMPLES[4]), &["5"]);
    let agent = agent.env("RSW_AGENT_NAME", "rusty").stdout(Stdio::piped()).spawn();
    let agent = agent.expect("the agent");
    wait_until("ps shows it", || place.json(&["ps"]).to_string().contains("\"rusty\""));
    let done = Done::of(agent.wait_with_output().expect("its end"));
    assert_eq!((done.code, done.stdout.lines().count()), (0, 5), "{}", done.stdout);
    down_with_the_same_matrices(&place, &done.stdout);
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
        static_example(&place, "my-agent");
        let mine = swarm_file("my-agent");
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

/// The lines of a swarm file that launch an example.
fn swarm_file(name: &str) -> String {
    let path = source(&format!("agent-proc/examples/swarms/{name}.toml"));
    std::fs::read_to_string(path).expect("a file")
}

/// Compiles an example for the sandbox, which opens no library outside the system's folders.
fn static_example(place: &Place, name: &str) {
    let mut cc = c_compiler("-std=c11");
    cc.arg("-o").arg(place.folder().join(name));
    cc.arg(source(&format!("agent-proc/examples/c/{name}.c"))).arg(prefix().join("lib/librsw.a"));
    good(cc.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]));
}

#[test]
fn every_example_in_c_runs_in_the_sandbox() {
    let place = swarm();
    EXAMPLES.iter().for_each(|name| static_example(&place, name));
    examples_run_in_the_sandbox(&place);
}

#[test]
fn every_example_in_rust_runs_in_the_sandbox() {
    let place = swarm();
    for name in EXAMPLES {
        std::fs::copy(rust_example(name), place.folder().join(name)).expect("a copy");
    }
    examples_run_in_the_sandbox(&place);
}

/// All five at once, as their swarm files say.
fn examples_run_in_the_sandbox(place: &Place) {
    place.write("swarm.toml", &format!("{SWARM}{}", EXAMPLES.map(swarm_file).concat()));
    place.ok(&["up", "-d"]);
    let told = [
        ("board", " cells of ticks ", 1),
        ("tail", "received 500, lost 0", 1),
        ("heatmap", "ci 32 x 32, ", 1),
        ("batches", " rows, mean ci ", 3),
        ("mine", ": cs ", 2),
    ];
    for (agent, words, times) in told {
        wait_until(&format!("{agent} says: {words}"), || {
            let logs = place.ok(&["logs", agent, "-n", "2000"]).stdout;
            assert!(!logs.contains("not sent"), "{logs}");
            logs.matches(words).count() >= times
        });
        let state = if agent == "mine" { "running" } else { "exited" };
        wait_until(state, || place.process(agent)["state"] == state);
        let row = place.process(agent);
        assert_eq!(
            (&row["isolation"], &row["restarts"]),
            (&"sandboxed".into(), &0.into()),
            "{row}"
        );
    }
    place.down_and_gone(&[]);
    place.verified();
}

#[test]
fn every_mistake_of_a_caller_is_an_error() {
    let place = swarm();
    let hostile = Door::Library.test_program(&place, "hostile");
    place.up(&[]);
    assert_eq!(good(&mut command(&place, &hostile, &[])).stdout, "hostile: ok\n");
    let valgrind = Command::new("valgrind").arg("--version").output();
    if valgrind.is_ok_and(|answer| answer.status.success()) {
        let mut checked = command(&place, Path::new("valgrind"), &["-q", "--error-exitcode=9"]);
        good(checked.args(["--leak-check=full", "--errors-for-leak-kinds=definite"]).arg(&hostile));
    }
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
    let programs = EXAMPLES.map(program);
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
    for (name, program) in ["hello.c", "look.c"].into_iter().zip(blocks(section, "c")) {
        place.write(name, &program);
    }
    place.write("hello.py", &blocks(section, "python").concat());
    shell.extend(blocks(section, "sh"));
    place.up(&[]);
    let mut run = command(&place, Path::new("sh"), &["-e", "-c", &shell.join("\n")]);
    let done = good(run.env("HOME", place.folder()).env("PYTHONDONTWRITEBYTECODE", "1"));
    assert!(done.stdout.contains(" events from "), "{}", done.stdout);
    assert!(done.stdout.contains("complexity 0."), "{}", done.stdout);
    assert!(done.stdout.contains("complexity of (32, 32) cells, borrowed: "), "{}", done.stdout);
    place.ok(&["down"]);
    place.verified();
}
