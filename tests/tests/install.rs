//! What `cargo xtask install` puts in place, used as its users would: CMake, pip, a shell, `man`; the C ABI of the
//! headers beside that of the oldest ones; programs of others, confined.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rsw_tests::c::{Leash, c_compiler, command, compile_with, good, prefix, source, swarm};
use rsw_tests::{Done, Place, binary, signal, wait_until};

const CMAKE: &str = "cmake_minimum_required(VERSION 3.16)\nproject(user C)\nfind_package(Rsw 0.1 REQUIRED)\n\
                     add_executable(shared user.c)\ntarget_link_libraries(shared Rsw::rsw)\n\
                     add_executable(static user.c)\ntarget_link_libraries(static Rsw::static)\n";
const USER: &str = "#include <rsw/rsw.h>\n#include <stdio.h>\n\
                    int main(void) { return printf(\"%u\\n\", (unsigned)rsw_abi_version()) < 0; }\n";

#[test]
fn cmake_finds_both_libraries() {
    let place = Place::new();
    let folder = place.folder();
    place.write("CMakeLists.txt", CMAKE);
    place.write("user.c", USER);
    let mut configure = Command::new("cmake");
    configure
        .args(["-S", ".", "-B", "build"])
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display()));
    good(configure.current_dir(&folder));
    good(Command::new("cmake").args(["--build", "build"]).current_dir(&folder));
    let said = ["shared", "static"]
        .map(|name| good(&mut Command::new(folder.join("build").join(name))).stdout);
    assert!(said[0].trim().parse::<u32>().is_ok_and(|version| version > 0), "{said:?}");
    assert_eq!(said[0], said[1]);
}

/// Debian's own Python: it knows nothing of us, and has a pip.
#[test]
fn pip_installs_the_package_which_finds_the_library_it_is_told() {
    let place = swarm();
    place.up(&[]);
    // pip builds beside the sources.
    let sources = place.folder().join("sources");
    good(Command::new("cp").arg("-r").arg(source("runtime/capi/python")).arg(&sources));
    let site = place.folder().join("site");
    let mut pip = Command::new("/usr/bin/python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]);
    good(pip.arg("--target").arg(&site).arg(&sources));
    let words = "import rsw\nwith rsw.connect() as swarm: print(rsw.__file__, swarm['tick'] >= 0)";
    let mut python = command(&place, Path::new("/usr/bin/python3"), &["-c", words]);
    python.env("PYTHONPATH", &site).env("RSW_LIBRARY", prefix().join("lib/librsw.so.0"));
    let said = good(&mut python).stdout;
    assert!(said.starts_with(&*site.to_string_lossy()) && said.ends_with("True\n"), "{said}");
}

#[test]
fn pages_and_completions_are_in_their_places_and_can_be_read() {
    let share = prefix().join("share");
    for page in ["runtime.1", "runtime-up.1", "runtime-run.1", "runtime-events-tail.1"] {
        let text = std::fs::read_to_string(share.join("man/man1").join(page)).expect(page);
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    let bash = share.join("bash-completion/completions/runtime");
    let ask = "source \"$1\"; COMP_WORDS=(runtime ver); COMP_CWORD=1; _runtime runtime ver runtime; \
               echo \"${COMPREPLY[@]}\"";
    let completed = good(Command::new("bash").args(["-c", ask, "bash"]).arg(bash)).stdout;
    assert_eq!(completed.trim(), "verify version");
    for other in ["zsh/site-functions/_runtime", "fish/vendor_completions.d/runtime.fish"] {
        let script = std::fs::read_to_string(share.join(other)).expect(other);
        assert!(script.contains("events"), "{other}");
    }
}

/// Types and signatures as a header declares them, one exported pointer for each function of the list.
fn declared(place: &Place, headers: &Path, name: &str, functions: &str) -> PathBuf {
    let mut text = String::from("#include <rsw/rsw.h>\n");
    for function in functions.lines() {
        let _ = writeln!(text, "__typeof__(&{function}) of_{function};");
    }
    let from = place.write(&format!("{name}.c"), &text);
    let to = place.folder().join(format!("lib{name}.so"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-g", "-shared", "-fPIC", "-o"]).arg(&to).arg("-I").arg(headers);
    good(gcc.arg(&from));
    to
}

fn abidiff(old: &Path, new: &Path) -> Done {
    let mut command = Command::new("abidiff");
    // What is new does no harm to programs that do not know of it.
    command.args(["--no-added-syms"]).args([old, new]);
    Done::of(command.output().expect("abidiff"))
}

/// The oldest headers are the baseline: whatever they declare is still declared so.
#[test]
fn abidiff_finds_nothing_that_an_older_program_would_notice() {
    let place = Place::new();
    let old_headers = source("tests/tests/capi/old");
    let header = std::fs::read_to_string(old_headers.join("rsw/rsw.h")).expect("the old header");
    let all = std::fs::read_to_string(source("runtime/capi/symbols.txt")).expect("the list");
    let known = |name: &&str| header.contains(&format!("{name}("));
    let names = all.lines().filter_map(|line| line.split_once('@')).map(|(name, _)| name);
    let functions = names.filter(known).collect::<Vec<_>>().join("\n");
    assert!(functions.lines().count() > 40, "{functions}");
    let old = declared(&place, &old_headers, "old", &functions);
    let new = declared(&place, &prefix().join("include"), "new", &functions);
    let said = abidiff(&old, &new);
    assert_eq!(said.code, 0, "{}", said.stdout);
    // A tick that shrinks is noticed.
    let folder = place.folder().join("changed/rsw");
    good(
        Command::new("cp")
            .arg("-r")
            .arg(old_headers.join("rsw"))
            .arg(place.folder().join("copied")),
    );
    std::fs::create_dir_all(folder.parent().expect("a folder")).expect("a folder");
    std::fs::rename(place.folder().join("copied"), &folder).expect("moved");
    let changed = header.replacen("uint64_t tick;", "uint32_t tick;", 1);
    assert_ne!(changed, header);
    std::fs::write(folder.join("rsw.h"), without_asserts(&changed)).expect("written");
    let changed = declared(&place, &place.folder().join("changed"), "changed", &functions);
    assert_ne!(abidiff(&old, &changed).code, 0);
}

/// A header whose layout is wrong on purpose.
fn without_asserts(header: &str) -> String {
    let kept = header.lines().filter(|line| !line.contains("_assert("));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn a_program_runs_confined_ad_hoc_and_is_gone_when_it_is_asked_to() {
    let place = swarm();
    place.up(&[]);
    let program = compile_with(c_compiler("-std=c11"), &place, "agent-proc/examples/c/my-agent.c");
    let program = program.to_string_lossy();
    // Its library lies where nobody confined may look.
    let alone = place.run(&["run", "--", &program]);
    assert!(alone.code != 0 && alone.stderr.contains("--read PATH"), "{}", alone.stderr);
    let lib = prefix().join("lib");
    let mut run = command(&place, &binary("runtime"), &["run", "--name", "guest", "--read"]);
    run.arg(&lib).args(["--", &program]);
    let mut leash = Leash(run.spawn().expect("runtime run"));
    wait_until("the guest", || place.run(&["ps"]).stdout.contains("guest"));
    signal(leash.0.id(), rsw_os::Signal::Terminate);
    let status = leash.0.wait().expect("its end");
    assert_eq!(status.code(), Some(128 + 15));
    wait_until("its seat to be free", || !place.run(&["ps"]).stdout.contains("guest"));
    let wrong = place.run(&["run", "--read", "/nowhere", "--", &program]);
    assert!(
        wrong.code == 5 && wrong.stderr.contains("/nowhere does not exist"),
        "{}",
        wrong.stderr
    );
}

/// What a program's variables bring along runs in the program, not in the launcher before it is confined.
#[test]
fn a_preloaded_library_runs_confined() {
    let place = swarm();
    place.up(&[]);
    let text = "#include <fcntl.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
                __attribute__((constructor)) static void mark(void)\n\
                { close(open(getenv(\"MARK\"), O_CREAT | O_WRONLY, 0600)); write(1, \"loaded\\n\", 7); }\n";
    let (from, to) = (place.write("pre.c", text), place.folder().join("pre.so"));
    good(Command::new("gcc").args(["-w", "-shared", "-fPIC", "-o"]).arg(&to).arg(from));
    let mark = place.folder().join("mark");
    let [preload, marked] = [("LD_PRELOAD", &to), ("MARK", &mark)]
        .map(|(name, path)| format!("{name}={}", path.display()));
    let library = to.to_string_lossy();
    let words = ["run", "--env", &preload, "--env", &marked, "--read", &library, "--", "true"];
    let done = place.run(&words);
    assert_eq!((done.code, &*done.stdout), (0, "loaded\n"), "{}", done.stderr);
    assert!(!mark.exists());
}

/// An agent that may write no byte into a file still prints, wherever its output goes.
#[test]
fn what_a_strict_program_prints_reaches_a_file() {
    let place = swarm();
    place.up(&[]);
    let out = std::fs::File::create(place.folder().join("said")).expect("a file");
    let words = ["run", "--isolation", "strict", "--", "echo", "words"];
    let status = place.command(&words).stdout(out).status().expect("runtime run");
    let said = std::fs::read_to_string(place.folder().join("said")).expect("what it said");
    assert_eq!((status.code(), &*said), (Some(0), "words\n"));
}

#[test]
fn a_launched_program_has_the_files_and_variables_of_its_table() {
    let place = swarm();
    let program = compile_with(c_compiler("-std=c11"), &place, "agent-proc/examples/c/my-agent.c");
    let table = format!(
        "\n[agent.mine]\ncommand = [{:?}]\nreads = [{:?}]\nenvironment = [\"WHO=me\"]\n",
        program.to_string_lossy(),
        prefix().join("lib").to_string_lossy()
    );
    let file = std::fs::read_to_string(place.folder().join("swarm.toml")).expect("the swarm file");
    place.write("swarm.toml", &(file + &table));
    place.up(&[]);
    wait_until("a report", || place.run(&["logs", "mine"]).stdout.contains("cs 0."));
    let pid = place.pid("mine");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    assert!(environment.split(|byte| *byte == 0).any(|word| word == b"WHO=me"));
}
