//! The AgentDB file: how it is opened for recording, opened for reading, made, and set aside when damaged.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::fingerprint;
use crate::vec_extension;

/// Name of the database in its folder.
pub const FILE_NAME: &str = "agentdb.sqlite";
/// Name of the lock that keeps a second recorder out; the kernel drops it with its holder.
const LOCK_NAME: &str = "agentdb.lock";
/// End of the name of a file that asks for a check.
const CHECK_SUFFIX: &str = "-check";
/// `PRAGMA application_id`: "RSWA".
pub const APPLICATION_ID: i32 = 0x5253_5741;
/// `PRAGMA user_version`.
pub const FORMAT_VERSION: i32 = 1;
/// How long a statement waits for somebody else's lock.
pub const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The WAL-reset corruption bug was fixed here; older libraries must not write.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// Loss of power: the log is synchronised at every commit.
    Power,
    /// Death of the process: the log is synchronised at checkpoints.
    Process,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No recording there.
    #[error("no recording in {dir}: {FILE_NAME} does not exist")]
    Missing {
        /// The folder.
        dir: PathBuf,
    },
    /// The operating system says no.
    #[error("{path} cannot be opened: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another recorder has it.
    #[error("{dir} is being recorded by another process")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// It is a healthy database of somebody else.
    #[error("{path} is a SQLite database of another program (application id {found:#x})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application id.
        found: i32,
    },
    /// It is newer than this program.
    #[error("{path} has format {found}, this program knows {FORMAT_VERSION}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// The library is too old to write safely.
    #[error("SQLite {found} can damage a database in WAL mode; 3.51.3 is the oldest that does not")]
    Library {
        /// Its version.
        found: &'static str,
    },
    /// SQLite says no.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Whether rights are what is missing.
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
            }
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly)
            ),
            _ => false,
        }
    }
}

/// A database open for recording.
#[derive(Debug)]
pub struct Database {
    /// The only writing connection.
    pub connection: Connection,
    /// The file.
    pub path: PathBuf,
    /// Where a damaged predecessor went, if there was one.
    pub set_aside: Option<PathBuf>,
    /// Whoever holds it is the recorder of this folder.
    pub lock: File,
}

impl Database {
    /// Opens the recording in `dir`, or makes one; never overwrites anything. A damaged file is renamed to
    /// `agentdb.sqlite.corrupt-<wall_ns>` (with its log) and a new one begins, with a note in `rs_meta`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, durability: Durability, wall_ns: u64) -> Result<Self, OpenError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(OpenError::Library { found: rusqlite::version() });
        }
        let path = dir.join(FILE_NAME);
        std::fs::create_dir_all(dir).map_err(|source| io_error(dir, source))?;
        let lock = lock(dir)?;
        vec_extension::register().map_err(|source| sqlite_error(&path, source))?;
        create_private(&path)?;
        let (connection, set_aside) = match open_checked(&path, durability) {
            Err(OpenError::Sqlite { source, .. }) if is_damage(&source) => {
                let aside = set_aside(&path, wall_ns).map_err(|error| io_error(&path, error))?;
                create_private(&path)?;
                let connection = open_checked(&path, durability)?;
                note_damage(&connection, &aside, &source, wall_ns)
                    .map_err(|source| sqlite_error(&path, source))?;
                (connection, Some(aside))
            }
            other => (other?, None),
        };
        Ok(Self { connection, path, set_aside, lock })
    }
}

/// Opens the recording in `dir` for reading; works while it is being written. Nothing can be changed
/// through the connection.
///
/// # Errors
/// [`OpenError`].
pub fn open_read_only(dir: &Path) -> Result<Connection, OpenError> {
    let path = dir.join(FILE_NAME);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::Missing { dir: dir.to_owned() });
        }
        Err(source) => return Err(io_error(&path, source)),
        Ok(_) => {}
    }
    let fail = |source| sqlite_error(&path, source);
    vec_extension::register().map_err(fail)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(fail)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    if version.is_err_and(|error| !is_damage(&error)) && !sibling(&path, "-wal").exists() {
        // Without the right to make -wal and -shm, a database at rest can still be read as a plain file.
        let uri = format!("file:{}?immutable=1", encode_uri(&path));
        connection =
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).map_err(fail)?;
    }
    connection.busy_timeout(BUSY_WAIT).map_err(fail)?;
    check_identity(&connection, &path)?;
    Ok(connection)
}

/// Has the next recorder look through the file before it goes on, because damage was met while recording.
pub fn ask_for_check(path: &Path) {
    // If even this cannot be written, the log that is left behind asks for the same.
    let _ = File::create(sibling(path, CHECK_SUFFIX));
}

/// Whether the file itself is bad, as opposed to the disk, the rights or the query.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn encode_uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// An error of ours in SQLite's terms.
pub(crate) fn failure(code: i32, text: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(text))
}

/// The file beside `path` whose name has `suffix` at its end.
pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn forget_check(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_file(sibling(path, CHECK_SUFFIX)) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(io_error(path, source)),
        _ => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_NAME);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| io_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// SQLite would make the file with the process's umask; a recording is private.
fn create_private(path: &Path) -> Result<(), OpenError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| io_error(path, source))
}

fn open_checked(path: &Path, durability: Durability) -> Result<Connection, OpenError> {
    let fail = |source| sqlite_error(path, source);
    let has = |suffix| std::fs::metadata(sibling(path, suffix));
    let unclean = has("-wal").is_ok_and(|log| log.len() > 0) || has(CHECK_SUFFIX).is_ok();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(BUSY_WAIT).map_err(fail)?;
    // A connection that finds damage must not move the log into the damaged file when it closes.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(fail)?;
    let empty = is_empty(&connection).map_err(fail)?;
    if empty {
        connection.pragma_update(None, "page_size", 8192).map_err(fail)?;
    } else {
        check_identity(&connection, path)?;
        if unclean {
            quick_check(&connection).map_err(fail)?;
            forget_check(path)?;
        }
    }
    configure(&connection, durability).map_err(fail)?;
    if empty {
        create_schema(&mut connection).map_err(fail)?;
    }
    connection.set_db_config(keep_log, false).map_err(fail)?;
    Ok(connection)
}

fn is_empty(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let query = "SELECT count(*) FROM sqlite_schema";
    connection.query_row(query, [], |row| row.get::<_, i64>(0)).map(|objects| objects == 0)
}

fn check_identity(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let fail = |source| sqlite_error(path, source);
    let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let found = value("application_id").map_err(fail)?;
    if found != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned(), found });
    }
    let found = value("user_version").map_err(fail)?;
    if found > FORMAT_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found });
    }
    Ok(())
}

/// A recording that was not closed is looked through before it is continued.
fn quick_check(connection: &Connection) -> Result<(), rusqlite::Error> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    Err(failure(rusqlite::ffi::SQLITE_CORRUPT, format!("quick_check: {answer}")))
}

fn configure(connection: &Connection, durability: Durability) -> Result<(), rusqlite::Error> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        let text = format!("the file system does not allow a shared log (journal mode {mode})");
        return Err(failure(rusqlite::ffi::SQLITE_CANTOPEN, text));
    }
    let synchronous = match durability {
        Durability::Power => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // This SQLite has STAT4: without this it plans a statement anew whenever a bound range changes, which
    // was a fifth of the writer's time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The writer decides when to checkpoint: never inside a commit.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn create_schema(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
    let vec_version: String =
        transaction.query_row("SELECT vec_version()", [], |row| row.get(0))?;
    let meta = [
        ("format", FORMAT_VERSION.to_string()),
        ("writer", concat!("recorder ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("sqlite", rusqlite::version().to_owned()),
        ("sqlite_vec", vec_version),
        ("time", "t_ns: field time; mono_ns: CLOCK_MONOTONIC; wall_ns: CLOCK_REALTIME".to_owned()),
        ("sequences", "ranges are half-open: [from, to)".to_owned()),
        ("crc32", "IEEE; of what, in which order: see crc.rs of the recorder".to_owned()),
        ("fingerprint", fingerprint::describe()),
    ];
    for (key, value) in meta {
        transaction.execute("INSERT INTO rs_meta (key, value) VALUES (?1, ?2)", (key, value))?;
    }
    transaction.commit()
}

fn set_aside(path: &Path, wall_ns: u64) -> std::io::Result<PathBuf> {
    let aside = sibling(path, &format!(".corrupt-{wall_ns}"));
    for suffix in ["-wal", "-shm", CHECK_SUFFIX, ""] {
        match std::fs::rename(sibling(path, suffix), sibling(&aside, suffix)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(aside)
}

fn note_damage(
    connection: &Connection,
    aside: &Path,
    error: &rusqlite::Error,
    wall_ns: u64,
) -> Result<(), rusqlite::Error> {
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    let text = format!("the database before this one was damaged ({error}); it is kept as {name}");
    let key = format!("note.{wall_ns}");
    connection.execute("INSERT INTO rs_meta (key, value) VALUES (?1, ?2)", (key, text)).map(drop)
}

fn io_error(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

fn sqlite_error(path: &Path, source: rusqlite::Error) -> OpenError {
    OpenError::Sqlite { path: path.to_owned(), source }
}
