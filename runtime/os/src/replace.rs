//! A file that takes the place of another once it is whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Links that are followed to a file, as Linux does.
const LINKS_MAX: usize = 40;

/// Writes the file `path`: what is there stays until all of the new is written, and for good if that fails.
///
/// The new file is made beside the old one, and renamed; other names of the old one (hard links) keep what it had. Where the
/// folder takes no file, or the old one cannot be replaced, it is written in place. One that may not be written is refused. It gets the old one's permissions, and its owner where that is allowed; links to it are followed. What is no regular file
/// (a pipe, a terminal, `/dev/null`, `/dev/stdout` whatever that is) is written straight into. A process that is killed
/// meanwhile leaves `.rsw-PID-N.tmp` behind.
///
/// # Errors
/// Those of the file system and of `write`, without the name of the file.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let Some(place) = place(path)? else { return write(&mut File::create(path)?) };
    let old = match fs::metadata(&place) {
        Ok(old) if !old.is_file() => return write(&mut File::create(path)?),
        // Renaming would not ask for the permission to write.
        Ok(old) => OpenOptions::new().write(true).open(&place).map(|_| Some(old))?,
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (sibling, mut file) = match sibling(&place, old.is_some()) {
        // A folder that takes no other file than this one.
        Err(error)
            if old.is_some()
                && matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
        {
            return write(&mut File::create(&place)?);
        }
        made => made?,
    };
    let written = write(&mut file)
        .and_then(|()| old.as_ref().map_or(Ok(()), |old| succeed(&file, old)))
        // What is a mount point, or another user's in a folder like /tmp, can be written and not replaced.
        .and_then(|()| {
            fs::rename(&sibling, &place).or_else(|_| fs::copy(&sibling, &place).map(drop))
        });
    let _ = fs::remove_file(&sibling);
    written
}

/// The file that `path` leads to, itself no link, there or not; `None` for what no file can be made beside.
fn place(path: &Path) -> io::Result<Option<PathBuf>> {
    // A folder's name, whether there is one or not: the system says what is wrong with it.
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Ok(None);
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Some(name) = path.file_name() else { return Ok(None) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
        // What is there is an open file of a process, such as its standard output.
        if folder.starts_with("/proc") {
            return Ok(None);
        }
        let place = folder.join(name);
        match fs::read_link(&place) {
            Ok(target) => path = folder.join(target),
            Err(_) => return Ok(Some(place)),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "too many links lead to one another"))
}

/// A new file beside `place`; nobody else may read one that succeeds another, until it has its permissions.
fn sibling(place: &Path, private: bool) -> io::Result<(PathBuf, File)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(if private { 0o600 } else { 0o666 });
    let mut number = 0u32;
    loop {
        let path = place.with_file_name(format!(".rsw-{}-{number}.tmp", std::process::id()));
        match options.open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => {
                let reason = format!("no file can be made beside it: {error}");
                return Err(io::Error::new(error.kind(), reason));
            }
        }
    }
}

/// Gives `file` what is kept of the old one, which is given up only for what is on the disk.
fn succeed(file: &File, old: &Metadata) -> io::Result<()> {
    // Only root may give files away; a member may give them to a group. What another group was allowed, ours is not.
    let mut mode = old.mode() & 0o777;
    let given = fchown(file, Some(old.uid()), Some(old.gid()));
    if given.or_else(|_| fchown(file, None, Some(old.gid()))).is_err() {
        mode &= !0o070;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failure_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let fail = |file: &mut File| {
            file.write_all(b"half")?;
            Err(io::Error::other("no more"))
        };
        assert_eq!(replace(&path, fail).unwrap_err().to_string(), "no more");
        assert!(names(folder.path()).is_empty());
        fs::write(&path, "old").unwrap();
        assert_eq!(replace(&path, fail).unwrap_err().to_string(), "no more");
        assert_eq!(
            (names(folder.path()), fs::read(&path).unwrap()),
            (vec!["a".into()], b"old".into())
        );
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(
            (names(folder.path()), fs::read(&path).unwrap()),
            (vec!["a".into()], b"new".into())
        );
        assert!(replace(folder.path(), fail).unwrap_err().to_string().contains("directory"));
        assert!(
            replace(&folder.path().join("b/"), fail).unwrap_err().to_string().contains("directory")
        );
    }

    #[test]
    fn permissions_and_links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;
        File::create(at("plain")).unwrap();
        replace(&at("new"), |file| file.write_all(b"new")).unwrap();
        assert_eq!(mode("new"), mode("plain"));
        fs::set_permissions(at("new"), Permissions::from_mode(0o640)).unwrap();
        fs::create_dir(at("inside")).unwrap();
        symlink("../new", at("inside/link")).unwrap();
        replace(&at("inside/link"), |file| file.write_all(b"newer")).unwrap();
        assert_eq!((mode("new"), fs::read(at("new")).unwrap()), (0o640, b"newer".into()));
        symlink("not-yet", at("dangling")).unwrap();
        replace(&at("dangling"), |file| file.write_all(b"there")).unwrap();
        assert_eq!(fs::read(at("not-yet")).unwrap(), b"there");
        assert!(["inside/link", "dangling"].iter().all(|name| at(name).is_symlink()));
        symlink("round", at("round")).unwrap();
        assert!(replace(&at("round"), |_| Ok(())).unwrap_err().to_string().contains("links"));
    }

    #[test]
    fn what_is_no_file_is_written_into() {
        replace(Path::new("/dev/null"), |file| file.write_all(b"gone")).unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut text = String::new();
                File::open(path).unwrap().read_to_string(&mut text).map(|_| text)
            }
        });
        replace(&path, |file| file.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), "through");
        assert_eq!(names(folder.path()), ["pipe"]);
        // An open file of this process, as /dev/stdout is one: the same file is written, not another in its place.
        let file = File::create(folder.path().join("open")).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        replace(Path::new(&format!("/dev/fd/{fd}")), |file| file.write_all(b"seen")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4);
    }
}
