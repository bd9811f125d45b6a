//! Programs in C: compiled by real compilers, run in a swarm's folder, through one of the two doors from C into a swarm.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::{Done, Place, binary};

/// A swarm that is quick to start and has something to say.
pub const SWARM: &str = "[field]\nsize = [32, 32]\n[tick]\nrate_hz = 200\n[metrics]\nbatch_ticks = 4\n\
                     [sync]\nwindow_ticks = 32\nreport_ticks = 16\n[source.a]\nat = [9, 9]\n\
                     frequency = 0.05\n[agent.watcher]\nreplicas = 2\n";

/// What a C program reads a swarm through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `rsw.h` and the shared library.
    Library,
    /// `rsw_reader.h`, and nothing linked. The program is the same: `capi/as_reader.h` gives its names to the reader. It
    /// runs under AddressSanitizer and UndefinedBehaviorSanitizer.
    Reader,
}

impl Door {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Library, Self::Reader];

    /// Compiles a program of this repository into the place's folder.
    pub fn compile(self, place: &Place, path: &str) -> PathBuf {
        match self {
            Self::Library => compile_with(c_compiler("-std=c11"), place, path),
            Self::Reader => {
                let to = place.folder().join(format!("{}-reader", stem(path)));
                let mut gcc = c_compiler("-std=c11");
                gcc.args(["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
                gcc.arg("-include").arg(source("tests/tests/capi/as_reader.h"));
                gcc.arg("-o").arg(&to).arg(source(path)).arg("-lpthread");
                good(&mut gcc);
                to
            }
        }
    }

    /// As [`Self::compile`], of a program of the tests.
    pub fn test_program(self, place: &Place, name: &str) -> PathBuf {
        self.compile(place, &format!("tests/tests/capi/{name}.c"))
    }
}

/// Everything as it is installed, once for all tests of a program.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let xtask = binary("xtask");
        let built = xtask.parent().and_then(Path::parent).expect("target/PROFILE");
        let prefix = built.join("tmp/capi-prefix");
        good(Command::new(&xtask).args(["install", "--prefix"]).arg(&prefix));
        prefix
    })
}

/// Runs a command that must end well.
pub fn good(command: &mut Command) -> Done {
    let done = Done::of(command.output().expect("a command that can be started"));
    assert_eq!(done.code, 0, "{command:?}\n{}\n{}", done.stdout, done.stderr);
    done
}

/// A file of this repository.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn stem(path: &str) -> String {
    Path::new(path).file_stem().expect("a name").to_string_lossy().into_owned()
}

/// A compiler to which every warning is an error, with the installed headers.
pub fn c_compiler(standard: &str) -> Command {
    let mut command = Command::new("gcc");
    command.args([standard, "-D_GNU_SOURCE", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]);
    command.arg("-I").arg(prefix().join("include"));
    command
}

/// Compiles a C program into the place's folder, against the shared library.
pub fn compile_with(mut command: Command, place: &Place, path: &str) -> PathBuf {
    let to = place.folder().join(stem(path));
    let lib = prefix().join("lib");
    command.arg("-o").arg(&to).arg(source(path)).arg("-L").arg(&lib);
    command.arg(format!("-Wl,-rpath,{}", lib.display())).args(["-lrsw", "-lpthread"]);
    good(&mut command);
    to
}

/// A program in the swarm's folder, with its environment.
pub fn command(place: &Place, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(place.folder());
    command.env("XDG_RUNTIME_DIR", place.run_base().parent().expect("a folder"));
    command.stdin(Stdio::null());
    command
}

/// A place with a swarm file for programs to look at.
pub fn swarm() -> Place {
    let place = Place::new();
    place.write("swarm.toml", SWARM);
    place
}

/// A process that does not outlive its test.
#[derive(Debug)]
pub struct Leash(pub Child);

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
