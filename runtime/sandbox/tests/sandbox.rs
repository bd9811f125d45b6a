//! Real programs under real policies: what they can still do, seen from inside and from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use rsw_os::packet;
use rsw_os::poll::{Interest, PollFd};
use rsw_sandbox::{Applied, Launch, Launched, Policy, Profile};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

/// Descriptors are inheritable while a launch is under way, so tests of one process take turns.
static TURN: Mutex<()> = Mutex::new(());

fn my_turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Tests lie one folder below the programs they test.
    // SAFETY: whoever reads the environment in this process does so through the standard library,
    // which locks it, or while it holds `turn`.
    unsafe { std::env::set_var("RSW_LAUNCH", env!("CARGO_BIN_EXE_rsw-launch")) };
    turn
}

const PROBE: &str = env!("CARGO_BIN_EXE_rsw-probe");
const EPERM: i32 = libc::EPERM;
const EACCES: i32 = libc::EACCES;

/// Starts `program` and returns it with the reading end of its output.
fn start(
    policy: Policy,
    program: impl AsRef<Path>,
    args: &[&str],
    fds: Vec<BorrowedFd<'_>>,
) -> (Launched, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let launch = Launch {
        policy,
        program: program.as_ref().to_path_buf(),
        args: args.iter().map(OsString::from).collect(),
        env: BTreeMap::new(),
        keep_fds: fds,
        stdout: OwnedFd::from(writer).into(),
        // Not inherited: where ours is a regular file, a confined process that complains dies of SIGXFSZ.
        stderr: Stdio::null(),
    };
    (launch.spawn().unwrap(), reader)
}

fn finish(launched: &Launched, mut output: impl Read) -> (rsw_os::pidfd::Exit, String) {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    (exit_of(&launched.pidfd), text)
}

fn exit_of(pidfd: &OwnedFd) -> rsw_os::pidfd::Exit {
    wait_end(pidfd);
    rsw_os::pidfd::try_wait(pidfd).unwrap().unwrap()
}

fn wait_end(pidfd: &OwnedFd) {
    let mut fds = [PollFd::new(pidfd.as_fd(), Interest::READ)];
    while rsw_os::poll::poll(&mut fds, None).unwrap() == 0 {}
}

/// A process of this user that does nothing, to be attacked.
struct Victim(Child);

impl Victim {
    fn new() -> Victim {
        Victim(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The outcome of every attempt of the probe under `profile`, by name, and what was in force.
fn attack(profile: Profile) -> (BTreeMap<String, i32>, String, Applied) {
    let victim = Victim::new();
    let folder = tempfile::tempdir().unwrap();
    let plane = rsw_os::memfd::create("plane", 4096).unwrap();
    rsw_os::memfd::seal_plane(&plane).unwrap();
    let word = rsw_os::memfd::reopen_read_only(&plane).unwrap();
    // Somebody else's descriptor that forgot to be close-on-exec: the launcher must close it.
    let stray = rsw_os::memfd::create("stray", 4096).unwrap();
    rsw_os::process::set_inheritable(&stray, true).unwrap();
    let mut policy = Policy::new(profile);
    if profile == Profile::Sandboxed {
        policy.write_folders.push(folder.path().to_path_buf());
    }
    let args = [
        "attack",
        &victim.0.id().to_string(),
        folder.path().to_str().unwrap(),
        &word.as_raw_fd().to_string(),
    ];
    let (launched, output) = start(policy, PROBE, &args, vec![word.as_fd()]);
    let applied = launched.wait_applied().unwrap();
    let (exit, text) = finish(&launched, output);
    assert_eq!(exit.code, Some(0), "{exit:?} {text}");
    let mut open_fds = String::new();
    let mut outcomes = BTreeMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once('=').unwrap();
        match name {
            "open_fds" => open_fds = value.to_owned(),
            _ => drop(outcomes.insert(name.to_owned(), value.parse().unwrap())),
        }
    }
    assert_eq!(open_fds, format!("0,1,2,{}", word.as_raw_fd()));
    assert!(outcomes.len() > 50, "{text}");
    (outcomes, text, applied)
}

/// What works, or gets past the gate, under `profile`; everything else must be refused.
fn expect(profile: Profile, outcomes: &BTreeMap<String, i32>, text: &str) {
    let allowed_here = |name: &str| match name {
        _ if name.starts_with("may_") => true,
        "map_plane" | "exec_reaches_landlock" => true,
        "create_inside" | "mkdir_inside" => profile == Profile::Sandboxed,
        _ => false,
    };
    for (name, &errno) in outcomes {
        if name == "may_write_null" && profile == Profile::Strict {
            assert_eq!(errno, EPERM, "strict opens nothing for writing");
        } else if name == "clone3" {
            assert_eq!(errno, libc::ENOSYS, "clone3 must look absent");
        } else if allowed_here(name) {
            assert_eq!(errno, 0, "{name} must work\n{text}");
        } else {
            assert!([EPERM, EACCES].contains(&errno), "{name} must be refused: {errno}\n{text}");
        }
    }
}

#[test]
fn a_sandboxed_process_is_confined() {
    let _turn = my_turn();
    let (outcomes, text, applied) = attack(Profile::Sandboxed);
    expect(Profile::Sandboxed, &outcomes, &text);
    assert!(applied.landlock_abi.unwrap() >= 3);
    assert!(applied.seccomp_rules > 80 && applied.no_new_privs);
    assert_eq!(applied.rlimits["RLIMIT_CORE"], 0);
    assert_eq!(applied.rlimits["RLIMIT_FSIZE"], 64 << 20);
}

#[test]
fn a_strict_process_changes_no_file() {
    let _turn = my_turn();
    let (outcomes, text, applied) = attack(Profile::Strict);
    expect(Profile::Strict, &outcomes, &text);
    assert_eq!(applied.rlimits["RLIMIT_FSIZE"], 0);
}

/// The positive control: without confinement the same attempts get through, so that a refusal above is
/// the work of the sandbox. Attempts that a container may refuse by itself are left out.
#[test]
fn an_unconfined_process_is_not() {
    let _turn = my_turn();
    for profile in [Profile::None, Profile::Trusted] {
        let (outcomes, text, applied) = attack(profile);
        for name in [
            "read_passwd",
            "list_root",
            "read_proc_victim",
            "create_tmp",
            "create_inside",
            "chmod_by_name",
            "chmod_open_file",
            "signal_by_descriptor",
            "symlink_inside",
            "socket_tcp",
            "socket_udp",
            "socket_unix",
            "datagram_pair",
            "connect",
            "bind",
            "listen",
            "send_to_address",
            "fork",
            "vfork",
            "execveat",
            "kill_victim",
            "kill_nobody",
            "tgkill_nobody",
            "tgkill_victim",
            "tkill_victim",
            "pidfd_victim",
            "prlimit_victim",
            "affinity_victim",
            "memfd_create",
            "flock",
            "unshare",
            "change_death_signal",
            "wake_shared",
            "requeue_shared",
        ] {
            assert_eq!(outcomes[name], 0, "{name} must work unconfined\n{text}");
        }
        // The seal holds without any sandbox.
        assert_eq!(outcomes["map_plane_writable"], EACCES);
        let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        if !yama.is_ok_and(|scope| scope.trim() != "0") {
            for name in ["ptrace_victim", "read_victim_memory", "write_victim_memory"] {
                assert_eq!(outcomes[name], 0, "{name} must work unconfined\n{text}");
            }
        }
        assert_eq!(applied.landlock_abi, None);
        assert_eq!(applied.seccomp_rules, 0);
        assert_eq!(applied.rlimits.is_empty(), profile == Profile::None);
    }
}

#[test]
fn every_thread_shows_its_confinement_to_the_outside() {
    let _turn = my_turn();
    for (profile, mode) in [(Profile::Sandboxed, 2), (Profile::Strict, 2), (Profile::Trusted, 0)] {
        let (near, far) = packet::pair().unwrap();
        let mut policy = Policy::new(profile);
        policy.cpus = rsw_os::affinity::allowed().unwrap()[..1].to_vec();
        let fd = far.as_raw_fd().to_string();
        let (launched, output) = start(policy, PROBE, &["hold", &fd], vec![far.as_fd()]);
        drop(output);
        let plane = rsw_os::memfd::create("plane", 4096).unwrap();
        assert_eq!(rustix::io::pwrite(&plane, b"R", 0), Ok(1));
        rsw_os::memfd::seal_plane(&plane).unwrap();
        let reader = rsw_os::memfd::reopen_read_only(&plane).unwrap();
        packet::send(&near, b"attach", &[reader.as_fd()]).unwrap();
        // Without our copy of its end, the death of the process is an end and not a long wait.
        drop(far);
        let mut fds = [PollFd::new(near.as_fd(), Interest::READ)];
        while rsw_os::poll::poll(&mut fds, None).unwrap() == 0 {}
        let mut answer = [0; 4];
        packet::recv(&near, &mut answer, 0).unwrap();
        assert_eq!(answer[0], b'R', "{profile:?} must attach");
        let tasks = std::fs::read_dir(format!("/proc/{}/task", launched.pid)).unwrap();
        let tasks: Vec<u32> = tasks
            .map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(tasks.len(), 2, "two threads");
        for task in tasks {
            let status = rsw_os::process::status(task).unwrap();
            assert_eq!(status.seccomp_mode, mode, "{profile:?}");
            assert_eq!(status.no_new_privs, mode == 2);
            if mode == 2 {
                assert_eq!(status.cap_eff, 0);
            }
            let text = std::fs::read_to_string(format!("/proc/{task}/status")).unwrap();
            let cpus = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            assert_eq!(cpus.unwrap().trim(), rsw_os::affinity::allowed().unwrap()[0].to_string());
        }
        drop(near);
        assert_eq!(exit_of(&launched.pidfd).code, Some(0));
    }
}

#[test]
fn a_confined_process_dies_with_its_supervisor() {
    let _turn = my_turn();
    let mut middle = Command::new(PROBE).arg("middle").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(middle.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let agent = rsw_os::pidfd::open(line.trim().parse().unwrap()).unwrap();
    middle.kill().unwrap();
    middle.wait().unwrap();
    // Returns only when the agent is gone; it holds both ends of its socket, so nothing else ends it.
    wait_end(&agent);
}

#[test]
fn a_launcher_whose_supervisor_is_gone_refuses() {
    let _turn = my_turn();
    let run = |policy: &str, program: &str| {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, policy.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        rsw_os::process::set_inheritable(&file, true).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_rsw-launch"))
            .args(["--policy-fd", &file.as_raw_fd().to_string(), "--", program])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, words) = run(r#"{"profile":"none","parent_pid":1}"#, "/bin/true");
    assert_eq!(code, Some(7));
    assert!(words.contains("supervisor") && words.contains("not 1"), "{words}");
    for (policy, program, expected) in [
        ("{", "/bin/true", "cannot read the policy"),
        (r#"{"profile":"none"}"#, "true", "absolute path"),
        (r#"{"profile":"none"}"#, "/no/such/program", "cannot execute"),
        (r#"{"profile":"strict"}"#, "/no/such/program", "cannot open"),
        (r#"{"profile":"strict","write_folders":["/tmp"]}"#, "/bin/true", "no write folders"),
        (r#"{"profile":"sandboxed","read_paths":["/no/such"]}"#, "/bin/true", "/no/such"),
    ] {
        let (code, words) = run(policy, program);
        assert_eq!(code, Some(7), "{words}");
        assert!(words.contains(expected), "{words}");
    }
    assert_eq!(run(r#"{"profile":"none"}"#, "/bin/true").0, Some(0));
}

#[test]
fn a_failed_start_is_reported_and_descriptors_stay_private() {
    let _turn = my_turn();
    let (near, _far) = packet::pair().unwrap();
    let (launched, _output) =
        start(Policy::new(Profile::None), "/no/such/program", &[], vec![near.as_fd()]);
    let error = launched.wait_applied().unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert_eq!(exit_of(&launched.pidfd).code, Some(7));
    let flags = rustix::io::fcntl_getfd(&near).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_shell_runs_confined_but_starts_no_programs() {
    let _turn = my_turn();
    let script = "echo alive; (echo forked); echo $?";
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    let (launched, output) =
        start(Policy::new(Profile::Strict), shell, &["-c", script], Vec::new());
    launched.wait_applied().unwrap();
    let (_, text) = finish(&launched, output);
    assert!(text.starts_with("alive\n") && !text.contains("forked"), "{text}");
}

#[test]
fn a_process_cannot_exec_what_its_policy_does_not_name() {
    let _turn = my_turn();
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    let program = Path::new("/bin/true").canonicalize().unwrap();
    for (named, code) in [(false, 126), (true, 0)] {
        let mut policy = Policy::new(Profile::Strict);
        if named {
            policy.execute_paths.push(program.clone());
        }
        let script = format!("exec {}", program.display());
        let (launched, output) = start(policy, &shell, &["-c", &script], Vec::new());
        launched.wait_applied().unwrap();
        let (exit, text) = finish(&launched, output);
        assert_eq!(exit.code, Some(code), "{exit:?} {text}");
    }
}

/// The interpreter on this machine with the folders of its library, if there is one.
fn python() -> Option<(PathBuf, Vec<PathBuf>)> {
    let ask = "import os,sys;print(os.path.realpath(sys.executable));print(sys.base_prefix)";
    let output = Command::new("python3").args(["-c", ask]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (program, prefix) = text.trim().split_once('\n')?;
    Some((program.into(), vec![Path::new(prefix).join("lib")]))
}

#[test]
fn python_runs_confined() {
    let _turn = my_turn();
    let Some((program, read_paths)) = python() else {
        return println!("skipped: no python3 here");
    };
    let script = "
import json, socket, threading, os
seen = []
thread = threading.Thread(target=lambda: seen.append(json.dumps({'ok': 1})))
thread.start(); thread.join()
print(seen[0])
for name, attempt in [('socket', lambda: socket.socket()), ('fork', os.fork),
                      ('passwd', lambda: open('/etc/passwd')), ('tmp', lambda: open('/tmp/rsw', 'w'))]:
    try:
        attempt()
        print(name, 'worked')
    except PermissionError:
        print(name, 'refused')
";
    let mut policy = Policy::new(Profile::Strict);
    policy.read_paths = read_paths;
    policy.limits.memory_bytes_max = Some(1 << 30);
    let (launched, output) = start(policy, program, &["-I", "-c", script], Vec::new());
    let applied = launched.wait_applied().unwrap();
    assert_eq!(applied.rlimits["RLIMIT_AS"], 1 << 30);
    let (exit, text) = finish(&launched, output);
    let expected = "{\"ok\": 1}\nsocket refused\nfork refused\npasswd refused\ntmp refused\n";
    assert_eq!(text, expected);
    assert_eq!(exit.code, Some(0));
}
