//! The C library as others get it: a shared library with a soname and symbol versions, and all of it in its places.
//!
//! Rust would make a shared library by itself, without symbol versions; so it is linked from the static one. Nothing
//! here compiles: `cargo build --release` comes first.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Beside the programs of this build.
const STATIC: &str = "librsw.a";
/// File, soname, and the name that `-lrsw` looks for.
const SHARED: [&str; 3] = ["librsw.so.0.1.0", "librsw.so.0", "librsw.so"];
/// What the Rust library needs of the system, as rustc says (`--print native-static-libs`).
const SYSTEM_LIBS: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];
/// Programs that a swarm needs.
const PROGRAMS: [&str; 9] = [
    "runtime",
    "rsw-launch",
    "solver-proc",
    "gateway",
    "recorder",
    "agent-proc",
    "rsw-bench",
    "rsw-solve",
    "rsw-analyze",
];

/// Symbols beginning with `rsw_` are versioned and visible, nothing else is.
const VERSIONS: &str = "RSW_0 {\n    global: rsw_*;\n    local: *;\n};\n";

/// Shell, and where its completions are looked for.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/runtime"),
    ("zsh", "share/zsh/site-functions/_runtime"),
    ("fish", "share/fish/vendor_completions.d/runtime.fish"),
];

/// Puts headers, libraries, pkg-config and CMake files, the Python package, programs, manual pages and
/// completions below `prefix`.
pub(crate) fn install(root: &Path, prefix: &Path) -> Result<(), String> {
    let built = built_folder()?;
    let (lib, bin) = (prefix.join("lib"), prefix.join("bin"));
    for folder in [&lib.join("pkgconfig"), &lib.join("cmake/Rsw"), &bin] {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    copy_files(&root.join("runtime/capi/include/rsw"), &prefix.join("include/rsw"))?;
    copy(&built.join(STATIC), &lib.join(STATIC))?;
    strip_debug(&lib.join(STATIC))?;
    link_shared(&built.join(STATIC), &lib)?;
    copy_files(&root.join("runtime/capi/python/rsw"), &prefix.join("share/rsw/python/rsw"))?;
    write(&lib.join("pkgconfig/rsw.pc"), PKG_CONFIG)?;
    write(&lib.join("cmake/Rsw/RswConfig.cmake"), CMAKE)?;
    write(&lib.join("cmake/Rsw/RswConfigVersion.cmake"), CMAKE_VERSION)?;
    for program in PROGRAMS {
        copy(&built.join(program), &bin.join(program))?;
    }
    words_of(&bin.join("runtime"), prefix)
}

/// Manual pages and completions, as the installed program tells them.
fn words_of(runtime: &Path, prefix: &Path) -> Result<(), String> {
    let pages = prefix.join("share/man/man1");
    std::fs::create_dir_all(&pages).map_err(|error| format!("{}: {error}", pages.display()))?;
    run(Command::new(runtime).arg("man").arg(&pages))?;
    for (shell, place) in COMPLETIONS {
        let script = Command::new(runtime).args(["completions", shell]).output();
        let script = script.map_err(|error| format!("{}: {error}", runtime.display()))?;
        if !script.status.success() {
            return Err(format!("{} completions {shell} failed", runtime.display()));
        }
        let place = prefix.join(place);
        let folder = place.parent().unwrap_or(prefix);
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        write(&place, &String::from_utf8_lossy(&script.stdout))?;
    }
    Ok(())
}

/// Links the shared library into `lib`, with its other two names.
fn link_shared(archive: &Path, lib: &Path) -> Result<(), String> {
    let [file, soname, name] = SHARED;
    let script = lib.join("rsw.map");
    write(&script, VERSIONS)?;
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-shared", "-Wl,--gc-sections", "-Wl,-O1", "-Wl,--strip-debug", "-Wl,-z,defs"]);
    command.arg(format!("-Wl,-soname,{soname}"));
    command.arg(format!("-Wl,--version-script={}", script.display()));
    command.arg("-o").arg(lib.join(file));
    command.arg("-Wl,--whole-archive").arg(archive).arg("-Wl,--no-whole-archive");
    run(command.args(SYSTEM_LIBS))?;
    std::fs::remove_file(&script).map_err(|e| format!("{}: {e}", script.display()))?;
    for alias in [soname, name] {
        let alias = lib.join(alias);
        // An earlier installation's.
        let _ = std::fs::remove_file(&alias);
        symlink(file, &alias).map_err(|e| format!("{}: {e}", alias.display()))?;
    }
    Ok(())
}

/// Nine tenths of the archive is debug information.
fn strip_debug(archive: &Path) -> Result<(), String> {
    run(Command::new("strip").arg("--strip-debug").arg(archive))
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}")) }
}

/// Where this program lies, and all that was built with it.
fn built_folder() -> Result<PathBuf, String> {
    let ours = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let folder = ours.parent().unwrap_or(Path::new("."));
    if folder.join(STATIC).is_file() {
        return Ok(folder.to_owned());
    }
    Err(format!("{STATIC} is not in {}: run `cargo build --release` first", folder.display()))
}

/// Copies the files of a folder, but no folders in it (caches of Python's).
fn copy_files(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |error| format!("{}: {error}", from.display());
    std::fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for entry in std::fs::read_dir(from).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() {
            copy(&path, &to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    // A program that runs cannot be overwritten, but it can be replaced.
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to)
        .map(drop)
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The prefix is where the file is, so that the whole may be moved.
const PKG_CONFIG: &str = "\
prefix=${pcfiledir}/../..
includedir=${prefix}/include
libdir=${prefix}/lib

Name: rsw
Description: Attach agents to a resonant swarm
Version: 0.1.0
Cflags: -I${includedir}
Libs: -L${libdir} -lrsw
Libs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl
";

const CMAKE: &str = r#"get_filename_component(_rsw_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET Rsw::rsw)
  add_library(Rsw::rsw SHARED IMPORTED)
  set_target_properties(Rsw::rsw PROPERTIES
    IMPORTED_LOCATION "${_rsw_prefix}/lib/librsw.so.0"
    IMPORTED_SONAME "librsw.so.0"
    INTERFACE_INCLUDE_DIRECTORIES "${_rsw_prefix}/include")
  add_library(Rsw::static STATIC IMPORTED)
  set_target_properties(Rsw::static PROPERTIES
    IMPORTED_LOCATION "${_rsw_prefix}/lib/librsw.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_rsw_prefix}/include"
    INTERFACE_LINK_LIBRARIES "gcc_s;util;rt;pthread;m;dl")
endif()
"#;

const CMAKE_VERSION: &str = r#"set(PACKAGE_VERSION "0.1.0")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
"#;
