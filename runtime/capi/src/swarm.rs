//! A swarm: connect, look how it is, leave.

use core::ffi::c_char;
use std::io::ErrorKind;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsw_attach::place;
use rsw_os::clock::mono_ns;
use rsw_os::{lock, packet, process};
use rsw_plane::PlaneReader;
use rsw_schemas::control::KernelState;
use rsw_schemas::text;
use rsw_schemas::wire::hello_flag;

use crate::abi::{self, Growing, abi};
use crate::handle::{self, Object};
use crate::link::{Hello, Link, Newest, SILENT_NS_MIN, Seen};
use crate::status::{
    Answer, Error, RSW_E_ARGUMENT, RSW_E_CHANGED, RSW_E_DEAD, RSW_E_NOT_FOUND, RSW_E_PERMISSION,
    RSW_E_STARTING, RSW_E_SYSTEM, RSW_E_TIMEOUT, RSW_ENDED, RSW_OK, RSW_REATTACHED, RSW_STALE,
    call,
};

/// A connection to a swarm. One thread at a time; rsw_dup makes a handle for another one.
pub struct rsw_swarm {
    _opaque: [u8; 0],
}

/// Only look: no page, no name, no reports, not in `runtime ps`.
pub const RSW_CONNECT_OBSERVER: u32 = 1;

/// Ask for what rsw_wake_fd hands out.
pub const RSW_CONNECT_WAKE_FD: u32 = 2;

/// How long rsw_connect waits for the welcome unless told, milliseconds.
pub const RSW_CONNECT_TIMEOUT_MS: u32 = 10000;

/// Which swarm, and as who. Everything but struct_size may be zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_options {
    /// sizeof(struct rsw_options)
    pub struct_size: u32,
    /// Bits RSW_CONNECT_*.
    pub flags: u32,
    /// Name of the project; NULL: whatever swarm runs in the folder.
    pub project: *const c_char,
    /// Folder of the project; NULL: the working folder.
    pub folder: *const c_char,
    /// Path of the swarm's socket; NULL: the one of project and folder.
    pub socket: *const c_char,
    /// Name of this agent; NULL: RSW_AGENT_NAME of the environment, else the program's. A launched agent has its name from
    /// the swarm file.
    pub name: *const c_char,
    /// A connected socket, as a launched agent inherits it; 0: none. It stays the caller's.
    pub socket_fd: i32,
    /// Longest wait for the welcome; 0: RSW_CONNECT_TIMEOUT_MS.
    pub timeout_ms: u32,
}
abi!(rsw_options: 48 {
    struct_size: 0,
    flags: 4,
    project: 8,
    folder: 16,
    socket: 24,
    name: 32,
    socket_fd: 40,
    timeout_ms: 44,
});
// SAFETY: it begins with `struct_size`; integers and pointers take any bytes.
unsafe impl Growing for rsw_options {}

/// The plane exists, the first tick does not.
pub const RSW_STATE_STARTING: i32 = 1;
/// Ticking.
pub const RSW_STATE_RUNNING: i32 = 2;
/// The last tick is there; the kernel lives on.
pub const RSW_STATE_FINISHED: i32 = 3;
/// The kernel stopped in order.
pub const RSW_STATE_STOPPED: i32 = 4;
/// The kernel shows no sign of life; the supervisor will bring another one.
pub const RSW_STATE_SILENT: i32 = 5;
/// The kernel is dead; the supervisor will bring another one.
pub const RSW_STATE_DEAD: i32 = 6;

/// How a swarm is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_state_info {
    /// sizeof(struct rsw_state_info)
    pub struct_size: u32,
    /// RSW_STATE_*.
    pub state: i32,
    /// Generation of the plane: 1 for the first kernel of a run, one more for each restart.
    pub generation: u64,
    /// Last committed tick.
    pub tick: u64,
    /// Nanoseconds since the kernel's last sign of life.
    pub age_ns: u64,
    /// Sequence of the next event to be published.
    pub cursor: u64,
    /// Sequence of the first event of this generation.
    pub first_sequence: u64,
    /// Nominal nanoseconds of field time from one tick to the next.
    pub tick_period_ns: u64,
    /// Identity of the run: all generations of one `runtime up` share it.
    pub run_id: [u8; 16],
}
abi!(rsw_state_info: 72 {
    struct_size: 0,
    state: 4,
    generation: 8,
    tick: 16,
    age_ns: 24,
    cursor: 32,
    first_sequence: 40,
    tick_period_ns: 48,
    run_id: 56,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_state_info {}

/// Launched by the supervisor behind Landlock and seccomp, with loans.
pub const RSW_ISOLATION_SANDBOXED: u32 = 1;
/// As above, without any file and so without loans.
pub const RSW_ISOLATION_STRICT: u32 = 2;
/// Kept by the seals of the plane alone.
pub const RSW_ISOLATION_NONE: u32 = 3;

/// Who we are in a swarm, as the gateway said it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_self_info {
    /// sizeof(struct rsw_self_info)
    pub struct_size: u32,
    /// Id of this agent, from 1; 0 for an observer.
    pub agent_id: u32,
    /// RSW_ISOLATION_*.
    pub isolation: u32,
    /// 1 if loans are offered to this agent.
    pub loans: u32,
    /// Agents with a site in the field: ids 1 to this.
    pub site_count: u32,
    /// Ticks in the synchronisation window.
    pub window_ticks: u32,
    /// Ticks from one report to the next.
    pub report_ticks: u32,
    /// Zero.
    pub reserved: u32,
    /// Incarnation of the gateway.
    pub incarnation: u64,
    /// Name of this agent.
    pub name: [c_char; 64],
}
abi!(rsw_self_info: 104 {
    struct_size: 0,
    agent_id: 4,
    isolation: 8,
    loans: 12,
    site_count: 16,
    window_ticks: 20,
    report_ticks: 24,
    reserved: 28,
    incarnation: 32,
    name: 40,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_self_info {}

/// Attaches to a swarm. Without options (NULL): as a launched agent on the socket that RSW_SOCKET_FD names, else at the
/// path in RSW_SOCKET, else to the swarm of project RSW_PROJECT, or of whatever project, in the working folder.
///
/// Any thread; blocks for the handshake, at most timeout_ms; not for signal handlers. *swarm is set to NULL first, and
/// after RSW_OK lives until rsw_close. After fork() a child must not use it but connect itself. Cost: some hundred
/// microseconds, and the plane mapped read-only.
/// Errors: RSW_E_NOT_FOUND (no such swarm), RSW_E_STARTING (not there yet), RSW_E_DEAD (was there), RSW_E_PERMISSION
/// (another user's), RSW_E_VERSION (another build), RSW_E_LIMIT (no room), RSW_E_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_connect(
    options: *const rsw_options,
    swarm: *mut *mut rsw_swarm,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("swarm", swarm, core::ptr::null_mut()) }?;
        let wish = if options.is_null() {
            Wish::default()
        } else {
            // SAFETY: this function's contract.
            let options = unsafe { abi::read("options", options) }?;
            // SAFETY: this function's contract.
            unsafe { Wish::of(&options) }?
        };
        let link = wish.connect()?;
        let handle = handle::open(Swarm { newest: link.newest(), link })?;
        // SAFETY: this function's contract.
        unsafe { abi::put("swarm", swarm, handle) }?;
        Ok(RSW_OK)
    })
}

/// A second handle on the same connection, for another thread. As rsw_connect, but without a handshake: some
/// microseconds, never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_dup(swarm: *mut rsw_swarm, other: *mut *mut rsw_swarm) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("other", other, core::ptr::null_mut()) }?;
        let link = enter(swarm, |swarm| Ok(swarm.link.clone()))?;
        let handle = handle::open(Swarm { newest: link.newest(), link })?;
        // SAFETY: this function's contract.
        unsafe { abi::put("other", other, handle) }?;
        Ok(RSW_OK)
    })
}

/// Gives a handle up. The connection ends with the last handle that came from it: swarm, ring, sync, field, batches; loans
/// hold no connection. One thread at a time; blocks for no other process; not for signal handlers. RSW_E_HANDLE if it is
/// closed already, RSW_E_BUSY while another thread is inside.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_close(swarm: *mut rsw_swarm) -> i32 {
    call(|| handle::close::<Swarm>(swarm).map(|_| RSW_OK))
}

/// How the swarm is: RSW_OK if its kernel lives, RSW_STALE if it shows no sign of life, RSW_ENDED if nothing will come.
/// What *info says holds for the moment. One thread at a time; never blocks; not for signal handlers. Cost: some hundred
/// nanoseconds while the kernel lives, else a look into /proc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_state(swarm: *mut rsw_swarm, info: *mut rsw_state_info) -> i32 {
    call(|| {
        let (status, found) = enter(swarm, |swarm| {
            let ended = swarm.link.has_ended();
            let found = state_of(swarm.plane());
            Ok((status_of(found.state, ended), found))
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::write("info", info, found) }?;
        Ok(status)
    })
}

/// Who we are: id, name, isolation, and what the swarm file says about synchronisation. One thread at a time; never
/// blocks; not for signal handlers; some hundred nanoseconds. After a restart of the gateway a guest has another id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_self(swarm: *mut rsw_swarm, info: *mut rsw_self_info) -> i32 {
    call(|| {
        let welcome = enter(swarm, |swarm| Ok(swarm.link.welcome()))?;
        let found = rsw_self_info {
            struct_size: 0,
            agent_id: welcome.agent_id,
            isolation: welcome.isolation,
            loans: welcome.loans,
            site_count: welcome.site_count,
            window_ticks: welcome.window_ticks,
            report_ticks: welcome.report_ticks,
            reserved: 0,
            incarnation: welcome.incarnation,
            name: abi::pack(&text::unpack(&welcome.name)),
        };
        // SAFETY: this function's contract.
        unsafe { abi::write("info", info, found) }?;
        Ok(RSW_OK)
    })
}

/// Looks whether the kernel or the gateway was restarted, and takes up what is new: RSW_REATTACHED if so, RSW_OK if not,
/// RSW_STALE or RSW_ENDED as rsw_state. rsw_ring_wait does this by itself; who never waits calls it now and then (every
/// 100 ms, say). A gateway that is gone is asked again once a second.
/// One thread at a time; never blocks; not for signal handlers; one system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_reattach(swarm: *mut rsw_swarm) -> i32 {
    call(|| {
        enter(swarm, |swarm| {
            let before = swarm.newest.epoch;
            while swarm.link.look()? == Seen::Changed {}
            let state = state_of(swarm.plane()).state;
            let status = status_of(state, swarm.link.has_ended());
            Ok(if swarm.newest.epoch != before { RSW_REATTACHED } else { status })
        })
    })
}

/// What is behind an `rsw_swarm`.
pub(crate) struct Swarm {
    pub(crate) link: Arc<Link>,
    newest: Newest,
}

impl Object for Swarm {
    type C = rsw_swarm;
    const KIND: u64 = 1;
    const WHAT: &'static str = "swarm";
}

impl Swarm {
    /// The newest plane.
    #[inline]
    pub(crate) fn plane(&mut self) -> &PlaneReader {
        self.refresh();
        &self.newest.plane
    }

    /// Number of the plane that this handle has.
    pub(crate) fn epoch(&self) -> u64 {
        self.newest.epoch
    }

    #[inline]
    fn refresh(&mut self) {
        if self.link.epoch() != self.newest.epoch {
            self.newest = self.link.newest();
        }
    }

    /// The number by which the caller knows the cell or field at `index`: good as long as the swarm has the same ones.
    pub(crate) fn number(&mut self, index: usize) -> u32 {
        self.refresh();
        (index as u32 & 0xffff) | u32::from(self.newest.shape) << 16
    }

    /// The index behind such a number.
    #[inline]
    pub(crate) fn index(&mut self, number: u32) -> Answer<usize> {
        self.refresh();
        if number >> 16 != u32::from(self.newest.shape) {
            let words = "the swarm was started anew with other cells or fields: find them again";
            return Err(Error::new(RSW_E_CHANGED, words));
        }
        Ok((number & 0xffff) as usize)
    }
}

/// Enters a swarm's handle.
#[inline]
pub(crate) fn enter<R>(
    swarm: *mut rsw_swarm,
    work: impl FnOnce(&mut Swarm) -> Answer<R>,
) -> Answer<R> {
    handle::enter::<Swarm, R>(swarm, work)
}

/// How a plane's kernel is.
pub(crate) fn state_of(plane: &PlaneReader) -> rsw_state_info {
    let header = plane.header();
    let age_ns = mono_ns().saturating_sub(plane.heartbeat_mono_ns());
    let state = match plane.state() {
        Some(KernelState::Stopped) => RSW_STATE_STOPPED,
        _ if age_ns > SILENT_NS_MIN / 4 && is_gone(plane) => RSW_STATE_DEAD,
        _ if age_ns > SILENT_NS_MIN => RSW_STATE_SILENT,
        Some(KernelState::Running) => RSW_STATE_RUNNING,
        Some(KernelState::Finished) => RSW_STATE_FINISHED,
        _ => RSW_STATE_STARTING,
    };
    rsw_state_info {
        struct_size: 0,
        state,
        generation: header.generation,
        tick: plane.tick(),
        age_ns,
        cursor: plane.ring_cursor(),
        first_sequence: header.first_sequence,
        tick_period_ns: header.tick_period_ns,
        run_id: header.run_id,
    }
}

/// The status that goes with a state.
pub(crate) fn status_of(state: i32, ended: bool) -> i32 {
    match state {
        _ if ended => RSW_ENDED,
        RSW_STATE_SILENT | RSW_STATE_DEAD => RSW_STALE,
        _ => RSW_OK,
    }
}

/// Whether the writer is known to be dead. Who may not look into `/proc` does not know.
fn is_gone(plane: &PlaneReader) -> bool {
    let header = plane.header();
    match process::start_ticks(header.writer_pid) {
        Ok(ticks) => ticks != header.writer_start_ticks,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// What a caller asked for, owned.
#[derive(Debug, Default)]
struct Wish {
    /// Bits RSW_CONNECT_*, all of them known.
    flags: u32,
    project: Option<String>,
    folder: Option<PathBuf>,
    socket: Option<PathBuf>,
    name: Option<String>,
    socket_fd: Option<i32>,
    timeout_ms: u32,
}

impl Wish {
    /// # Safety
    /// The pointers are NULL or texts.
    unsafe fn of(options: &rsw_options) -> Answer<Self> {
        if options.flags & !(RSW_CONNECT_OBSERVER | RSW_CONNECT_WAKE_FD) != 0 {
            let words = format!("flags {:#x} are not known to this library", options.flags);
            return Err(Error::new(RSW_E_ARGUMENT, words));
        }
        // SAFETY: this function's contract, as are the three below.
        let project = unsafe { abi::text("project", options.project) }?;
        // SAFETY: as above.
        let folder = unsafe { abi::text("folder", options.folder) }?.map(PathBuf::from);
        // SAFETY: as above.
        let socket = unsafe { abi::text("socket", options.socket) }?.map(PathBuf::from);
        // SAFETY: as above.
        let name = unsafe { abi::text("name", options.name) }?;
        Ok(Self {
            flags: options.flags,
            project,
            folder,
            socket,
            name,
            socket_fd: (options.socket_fd != 0).then_some(options.socket_fd),
            timeout_ms: options.timeout_ms,
        })
    }

    fn connect(mut self) -> Answer<Arc<Link>> {
        let told = self.socket_fd.is_some()
            || self.socket.is_some()
            || self.project.is_some()
            || self.folder.is_some();
        if !told {
            self.take_environment()?;
        }
        let name = self.name.clone().or_else(|| variable("RSW_AGENT_NAME"));
        let timeout_ms =
            if self.timeout_ms == 0 { RSW_CONNECT_TIMEOUT_MS } else { self.timeout_ms };
        let hello = Hello {
            name: name.unwrap_or_else(program_name),
            flags: self.hello_flags(),
            timeout: Duration::from_millis(u64::from(timeout_ms)),
        };
        if let Some(number) = self.socket_fd {
            return Link::open(duplicate(number)?, None, hello);
        }
        let path = self.path()?;
        let deadline = Instant::now() + hello.timeout;
        let socket = connect_to(&path, hello.timeout)?;
        let timeout = deadline.saturating_duration_since(Instant::now());
        Link::open(socket, Some(path), Hello { timeout, ..hello })
    }

    fn hello_flags(&self) -> u32 {
        let flags = [
            (RSW_CONNECT_OBSERVER, hello_flag::OBSERVER),
            (RSW_CONNECT_WAKE_FD, hello_flag::WAKE_FD),
        ];
        let asked = flags.into_iter().filter(|(ours, _)| self.flags & ours != 0);
        asked.fold(0, |flags, (_, theirs)| flags | theirs)
    }

    fn take_environment(&mut self) -> Answer<()> {
        if let Some(number) = variable("RSW_SOCKET_FD") {
            let number = number.parse().map_err(|_| {
                let words = format!("RSW_SOCKET_FD is \"{number}\", which is no descriptor");
                Error::new(RSW_E_ARGUMENT, words)
            })?;
            self.socket_fd = Some(number);
        } else if let Some(path) = variable("RSW_SOCKET") {
            self.socket = Some(path.into());
        } else {
            self.project = variable("RSW_PROJECT");
        }
        Ok(())
    }

    /// The socket's path.
    fn path(&self) -> Answer<PathBuf> {
        if let Some(path) = &self.socket {
            return Ok(path.clone());
        }
        let folder = self.folder.clone().unwrap_or_else(|| ".".into());
        let folder = folder.canonicalize().map_err(|error| {
            Error::new(RSW_E_NOT_FOUND, format!("folder {}: {error}", folder.display()))
        })?;
        if let Some(project) = &self.project {
            let run_dir = place::run_base().join(place::id(project, &folder));
            return Ok(run_dir.join(place::SOCKET));
        }
        let found = place::of_folder(&folder);
        match found.as_slice() {
            [] => {
                let words = format!(
                    "no swarm runs in {}; start one there with `runtime up`",
                    folder.display()
                );
                Err(Error::new(RSW_E_NOT_FOUND, words))
            }
            [one] => Ok(one.join(place::SOCKET)),
            several => {
                let words = format!(
                    "{} swarms run in {}; say which project",
                    several.len(),
                    folder.display()
                );
                Err(Error::new(RSW_E_ARGUMENT, words))
            }
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn program_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_name);
    name.map_or_else(|| "agent".into(), |name| name.to_string_lossy().into_owned())
}

/// A descriptor of our own behind the caller's number.
fn duplicate(number: i32) -> Answer<OwnedFd> {
    let fail =
        |why: String| Error::new(RSW_E_ARGUMENT, format!("socket descriptor {number}: {why}"));
    if number < 0 {
        return Err(fail("is negative".into()));
    }
    // SAFETY: only asked for a duplicate, which the system refuses for a number that is not open; and not -1.
    let theirs = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_dupfd_cloexec(theirs, 3).map_err(|errno| fail(errno.to_string()))
}

/// Connects to a public socket, or says which of the four ways of not being there it is.
fn connect_to(path: &Path, timeout: Duration) -> Answer<OwnedFd> {
    let shown = path.display();
    let foreign = |owner: u32| {
        let words = format!("{shown} belongs to user {owner}; run as that user");
        Error::new(RSW_E_PERMISSION, words)
    };
    let ours = process::uid();
    match std::fs::metadata(path) {
        Ok(found) => {
            let owner = std::os::unix::fs::MetadataExt::uid(&found);
            if owner != ours {
                return Err(foreign(owner));
            }
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let words = format!("{shown} is in a folder of another user: {error}");
            return Err(Error::new(RSW_E_PERMISSION, words));
        }
        Err(_) => return Err(not_there(path)),
    }
    let socket = packet::connect_within(path, timeout).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Error::new(RSW_E_PERMISSION, error.to_string()),
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => not_there(path),
        ErrorKind::WouldBlock => {
            let words =
                format!("as many wait at {shown} as may, and none is heard: see `runtime status`");
            Error::new(RSW_E_TIMEOUT, words)
        }
        _ => Error::new(RSW_E_SYSTEM, error.to_string()),
    })?;
    let peer =
        packet::peer_cred(&socket).map_err(|error| Error::new(RSW_E_SYSTEM, error.to_string()))?;
    if peer.uid != ours { Err(foreign(peer.uid)) } else { Ok(socket) }
}

/// Nobody listens at `path`: not yet, not any more, or never.
fn not_there(path: &Path) -> Error {
    let shown = path.display();
    let held_by = path
        .parent()
        .and_then(|run_dir| lock::holder_pid(&run_dir.join(place::LOCK)).ok().flatten());
    match held_by {
        Some(pid) if process::status(pid).is_ok_and(|status| status.state != 'Z') => {
            let words =
                format!("the swarm at {shown} is not there yet (supervisor {pid} is): try again");
            Error::new(RSW_E_STARTING, words)
        }
        Some(pid) => {
            let words = format!(
                "the swarm at {shown} is dead (its supervisor was {pid}); start it again with `runtime up`"
            );
            Error::new(RSW_E_DEAD, words)
        }
        None if path.exists() => {
            let words =
                format!("nobody listens at {shown}: its swarm is dead; `runtime up` starts one");
            Error::new(RSW_E_DEAD, words)
        }
        None => {
            let words = format!("no swarm at {shown}; start one with `runtime up`");
            Error::new(RSW_E_NOT_FOUND, words)
        }
    }
}
