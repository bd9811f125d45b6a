//! What the process tests share: a swarm in a folder of its own, driven through the command line.

#![forbid(unsafe_code)]

pub mod c;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Patience of every wait: a limit against hanging, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with everything that a swarm in it may touch; the swarm is stopped when this is dropped.
pub struct Place {
    root: tempfile::TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Done {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A fresh one.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("rsw-test-").tempdir().expect("a folder");
        let place = Self { root };
        for folder in ["swarm", "run", "state"] {
            std::fs::create_dir(place.path(folder)).expect("a folder");
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The swarm's folder.
    pub fn folder(&self) -> PathBuf {
        self.path("swarm")
    }

    /// Where sockets and locks of all its swarms lie.
    pub fn run_base(&self) -> PathBuf {
        self.path("run").join("rsw")
    }

    /// Writes a file into the swarm's folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// `runtime` with these words, to be run in the swarm's folder.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary("runtime"));
        command
            .args(words)
            .current_dir(self.folder())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs `runtime` to its end.
    pub fn run(&self, words: &[&str]) -> Done {
        Done::of(self.command(words).output().expect("the runtime"))
    }

    /// Runs `runtime` to its end, which must be good.
    pub fn ok(&self, words: &[&str]) -> Done {
        let done = self.run(words);
        assert_eq!(done.code, 0, "runtime {words:?}\n{}\n{}", done.stdout, done.stderr);
        done
    }

    /// The document that a verb prints under `--json`.
    pub fn json(&self, words: &[&str]) -> Json {
        let mut all = words.to_vec();
        all.push("--json");
        let done = self.ok(&all);
        serde_json::from_str(&done.stdout)
            .unwrap_or_else(|e| panic!("{words:?}: {e}: {}", done.stdout))
    }

    /// Starts a swarm in the background and waits until every agent is attached.
    pub fn up(&self, words: &[&str]) {
        let mut all = vec!["up", "-d", "--wait=60"];
        all.extend(words);
        self.ok(&all);
    }

    /// Starts `runtime up` in the foreground.
    pub fn foreground(&self, words: &[&str]) -> Child {
        let mut command = self.command(&["up"]);
        command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the runtime")
    }

    /// Every process of the running swarm: name and pid.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let ps = self.json(&["ps"]);
        ps["processes"]
            .as_array()
            .expect("processes")
            .iter()
            .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["pid"].as_u64()? as u32)))
            .collect()
    }

    /// The rows of a query.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Json>> {
        let answer = self.json(&["query", sql]);
        serde_json::from_value(answer["rows"].clone()).expect("rows")
    }

    /// Every process that the running swarm shows, by name.
    pub fn process(&self, name: &str) -> Json {
        let ps = self.json(&["ps"]);
        let rows = ps["processes"].as_array().expect("processes");
        rows.iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("{name} in {ps}"))
            .clone()
    }

    /// The pid of a process that runs.
    pub fn pid(&self, name: &str) -> u32 {
        self.process(name)["pid"].as_u64().expect("a pid") as u32
    }

    /// The generation that `status` shows.
    pub fn generation(&self) -> u64 {
        self.json(&["status"])["generation"].as_u64().expect("a generation")
    }

    /// Every generation of the recording, oldest first: its number, the tick it went on from, and the last one of the
    /// generation before it. The last two come from an event that the recording may have lost.
    pub fn generations(&self) -> Vec<(u64, Option<u64>, Option<u64>)> {
        let sql =
            "SELECT generation, resumed_tick, previous_tick FROM rs_generation ORDER BY generation";
        let rows = self.rows(sql);
        let number = |row: &Vec<Json>| row[0].as_u64().expect("a generation");
        rows.iter().map(|row| (number(row), row[1].as_u64(), row[2].as_u64())).collect()
    }

    /// Waits until a swarm that was just started answers.
    pub fn wait_until_it_answers(&self) {
        wait_until("the swarm runs", || self.run(&["status"]).code == 0);
    }

    /// The tick that `status` shows.
    pub fn tick(&self) -> u64 {
        number(&self.json(&["status"])["tick"])
    }

    /// Waits until every process has state `running`.
    pub fn wait_until_whole(&self) {
        let mut last = Json::Null;
        let whole = || {
            last = self.json(&["ps"]);
            last["processes"]
                .as_array()
                .is_some_and(|rows| rows.iter().all(|row| row["state"] == "running"))
        };
        let patient = waited(whole);
        assert!(patient, "not every process runs again: {last}");
    }

    /// Stops the swarm, and looks for anything that it left behind: these processes and loan folders, and
    /// whatever lies where swarms of this place live.
    pub fn down_and_gone(&self, pids: &[(String, u32)]) {
        let loans = self.loan_folders();
        self.ok(&["down"]);
        self.assert_gone(pids, &loans);
    }

    /// As [`Self::down_and_gone`], of a swarm that has ended by itself.
    pub fn assert_gone(&self, pids: &[(String, u32)], loans: &[PathBuf]) {
        for (name, pid) in pids {
            assert!(!alive(*pid), "{name} (pid {pid}) outlived the swarm");
        }
        let left: Vec<_> =
            std::fs::read_dir(self.run_base()).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        for folder in loans {
            assert!(!folder.exists(), "{} stayed behind", folder.display());
        }
    }

    /// The recording is whole: `verify` says so, and every run has published = recorded + lost. Gives the
    /// last run: published, recorded, lost.
    pub fn verified(&self) -> (u64, u64, u64) {
        let verified = self.json(&["verify"]);
        assert_eq!(
            (verified["schema"].as_str(), verified["ok"].as_bool()),
            (Some("rsw.verify/1"), Some(true)),
            "{verified}"
        );
        let runs = verified["runs"].as_array().expect("runs");
        let parts = |run: &Json| {
            (number(&run["published"]), number(&run["recorded"]), number(&run["lost"]))
        };
        for run in runs {
            assert_eq!(run["complete"], true, "{run}");
            let (published, recorded, lost) = parts(run);
            assert_eq!(published, recorded + lost, "{run}");
            let gaps = run["gaps"].as_array().expect("gaps").iter();
            let told: u64 = gaps.map(|gap| number(&gap["to"]) - number(&gap["from"])).sum();
            assert_eq!(told, lost, "{run}");
            assert_eq!(run["integrity"], "ok", "{run}");
        }
        parts(runs.last().expect("a run"))
    }

    /// Loan folders of swarms in this place.
    pub fn loan_folders(&self) -> Vec<PathBuf> {
        let names = std::fs::read_dir(self.run_base()).into_iter().flatten().flatten();
        let base = PathBuf::from(format!("/dev/shm/rsw-{}", rsw_os::process::uid()));
        names.map(|entry| base.join(entry.file_name())).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Done {
    /// From what the standard library says.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The error document that `--json` puts on standard error.
    pub fn error(&self) -> Json {
        let text = self.stderr.lines().last().unwrap_or_default();
        let document: Json =
            serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {}", self.stderr));
        document["error"].clone()
    }
}

/// A program of this build.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let folder = test.parent().and_then(Path::parent).expect("target/PROFILE");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --release` first", path.display());
    path
}

/// An example of this build, in Rust.
pub fn rust_example(name: &str) -> PathBuf {
    let runtime = binary("runtime");
    let path = runtime.with_file_name("examples").join(name);
    let way_out = "run `cargo build --release --workspace --examples` first";
    assert!(path.is_file(), "{} is missing: {way_out}", path.display());
    path
}

/// Waits until something is so; panics with `what` if it never is.
pub fn wait_until(what: &str, so: impl FnMut() -> bool) {
    assert!(waited(so), "never happened: {what}");
}

fn waited(mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// A number that JSON carries as text, because it may not fit a double.
pub fn number(value: &Json) -> u64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// Whether a process exists and is not a zombie.
pub fn alive(pid: u32) -> bool {
    rsw_os::process::status(pid).is_ok_and(|status| status.state != 'Z')
}

/// Kills a process of ours, at once.
pub fn kill(pid: u32) {
    signal(pid, rsw_os::Signal::Kill);
}

/// Sends a signal to a process of ours; one that is gone gets none.
pub fn signal(pid: u32, signal: rsw_os::Signal) {
    if let Ok(pidfd) = rsw_os::pidfd::open(pid) {
        let _ = rsw_os::pidfd::send_signal(&pidfd, signal);
    }
}

/// The recording of the design's data folder, if it is there.
pub fn daphnet() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/daphnet_s06r02e0.csv");
    if path.is_file() {
        return path.canonicalize().ok();
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}
