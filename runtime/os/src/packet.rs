//! Packets between processes of one machine: `SOCK_SEQPACKET` sockets, which keep message boundaries,
//! tell the death of the peer and carry descriptors.
//!
//! Nothing here blocks but [`connect_within`]: the kernel process never waits for an agent.

use crate::OsError;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// The most descriptors one packet may carry.
pub const FDS_PER_PACKET_MAX: usize = 16;

/// The longest socket path in bytes: `sun_path` is 108 with its terminator.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Two connected ends, close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), OsError> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| OsError::new("create", "a socket pair", errno))
}

/// A listening socket at `path`, usable by this uid only (mode 0600). An existing file at `path` is an
/// error (`AddrInUse`): whoever holds the swarm's lock knows whether it may be removed.
pub fn listen(path: &Path) -> Result<OwnedFd, OsError> {
    const OPERATION: &str = "listen on socket";
    const BACKLOG: i32 = 64;
    let fail = |errno: Errno| OsError::new(OPERATION, path.display(), errno);
    let address = address(OPERATION, path)?;
    let fd = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(fail)?;
    // bind(2) gives the file the mode of the socket itself, so there is no moment at which it is open
    // to others, whatever the umask.
    rustix::fs::fchmod(&fd, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).map_err(fail)?;
    rustix::net::bind(&fd, &address).map_err(fail)?;
    rustix::net::listen(&fd, BACKLOG).map_err(fail)?;
    Ok(fd)
}

/// Connects to the socket at `path`; an error of kind `WouldBlock` if as many wait there as may.
pub fn connect(path: &Path) -> Result<OwnedFd, OsError> {
    const OPERATION: &str = "connect to socket";
    let fail = |errno: Errno| OsError::new(OPERATION, path.display(), errno);
    let address = address(OPERATION, path)?;
    let fd = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(fail)?;
    rustix::net::connect(&fd, &address).map_err(fail)?;
    // A program that inherits it may want to wait on it.
    let flags = rustix::fs::fcntl_getfl(&fd).map_err(fail)?;
    rustix::fs::fcntl_setfl(&fd, flags - rustix::fs::OFlags::NONBLOCK).map_err(fail)?;
    Ok(fd)
}

/// As [`connect`], but waits for as long as that for its turn: a listener that stands still holds nobody for ever.
pub fn connect_within(path: &Path, patience: Duration) -> Result<OwnedFd, OsError> {
    const LOOK: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + patience;
    loop {
        match connect(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(LOOK);
            }
            done => return done,
        }
    }
}

/// Takes the next connection of a [`listen`] socket; `None` if none waits.
pub fn accept(fd: impl AsFd) -> Result<Option<OwnedFd>, OsError> {
    let fd = fd.as_fd();
    match rustix::net::accept_with(fd, SocketFlags::CLOEXEC) {
        Ok(connection) => Ok(Some(connection)),
        // The peer may have gone between its connect and our accept; that is no connection either.
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(errno) => Err(OsError::new("accept on", describe(fd), errno)),
    }
}

/// Who connected (or created the pair): fixed by the kernel at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCred {
    /// Its process, 0 if it lives in a pid namespace that is not visible from here.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The process at the other end of `fd`.
pub fn peer_cred(fd: impl AsFd) -> Result<PeerCred, OsError> {
    let fd = fd.as_fd();
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length_bytes = size_of::<libc::ucred>() as libc::socklen_t;
    // libc and not rustix: rustix reads the pid into a non-zero type, and it is 0 for a peer of another
    // pid namespace.
    // SAFETY: `cred` is writable for `length_bytes` bytes, both live across the call, and any bits are
    // a valid `ucred`.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut length_bytes,
        )
    };
    if result != 0 {
        let source = std::io::Error::last_os_error();
        return Err(OsError::new("read the peer of", describe(fd), source));
    }
    Ok(PeerCred { pid: u32::try_from(cred.pid).unwrap_or(0), uid: cred.uid, gid: cred.gid })
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The peer can receive it.
    Done,
    /// The peer's queue is full; nothing was sent.
    WouldBlock,
}

/// Why a packet could not be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer is gone.
    #[error("the peer closed the connection")]
    Closed,
    /// Anything else.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// Sends one packet with `fds`; never blocks, never raises SIGPIPE.
///
/// An empty packet is refused (`InvalidInput`): its receiver could not tell it from the end.
pub fn send(fd: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Sent, SendError> {
    const OPERATION: &str = "send on";
    let fd = fd.as_fd();
    let refuse = |reason: &str| {
        OsError::refused(OPERATION, describe(fd), ErrorKind::InvalidInput, reason.to_owned())
    };
    if bytes.is_empty() {
        return Err(refuse("a packet needs at least one byte").into());
    }
    if fds.len() > FDS_PER_PACKET_MAX {
        return Err(refuse("more than 16 descriptors in one packet").into());
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let result = if fds.is_empty() {
        rustix::net::send(fd, bytes, flags)
    } else {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_PACKET_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        debug_assert!(fits, "the space is for FDS_PER_PACKET_MAX descriptors");
        rustix::net::sendmsg(fd, &[IoSlice::new(bytes)], &mut control, flags)
    };
    match result {
        Ok(_) => Ok(Sent::Done),
        Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => Ok(Sent::WouldBlock),
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(SendError::Closed),
        Err(errno) => Err(OsError::new(OPERATION, describe(fd), errno).into()),
    }
}

/// What [`recv`] found.
#[derive(Debug)]
pub enum Received {
    /// Nothing waits.
    WouldBlock,
    /// The peer is gone, and everything it sent was received.
    Closed,
    /// A packet whose descriptors could not be taken, because this process may open no more. It is lost.
    NoDescriptor,
    /// One packet.
    Packet {
        /// Bytes written to the buffer.
        len: usize,
        /// Its descriptors, close-on-exec, at most `fds_max`.
        fds: Vec<OwnedFd>,
        /// The packet was longer than the buffer, or had more descriptors than `fds_max` (0 excepted:
        /// then they are dropped without a word). The rest is lost.
        truncated: bool,
    },
}

/// Receives one packet into `buf` with at most `fds_max` descriptors; never blocks.
///
/// With `fds_max` 0 the kernel itself drops descriptors that a peer sends: always use that for agents.
pub fn recv(fd: impl AsFd, buf: &mut [u8], fds_max: usize) -> Result<Received, OsError> {
    let fd = fd.as_fd();
    let mut receive = || match fds_max {
        0 => recv_bytes(fd, buf),
        _ => recv_with_fds(fd, buf, fds_max),
    };
    let result = match receive() {
        // A peer that closes, or dies, with packets of ours unread leaves this in front of its last words
        // (`sock_error` comes first in Linux' `__skb_try_recv_datagram`); they follow once it is taken.
        Err(Errno::CONNRESET) => receive(),
        result => result,
    };
    match result {
        Ok(received) => Ok(received),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Received::WouldBlock),
        Err(Errno::CONNRESET) => Ok(Received::Closed),
        Err(errno) => Err(OsError::new("receive on", describe(fd), errno)),
    }
}

fn recv_bytes(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<Received, Errno> {
    // MSG_TRUNC makes the kernel return the true length of the packet.
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    let room = buf.len();
    let (_, length) = rustix::net::recv(fd, buf, flags)?;
    if length == 0 {
        return Ok(Received::Closed);
    }
    Ok(Received::Packet { len: length.min(room), fds: Vec::new(), truncated: length > room })
}

fn recv_with_fds(fd: BorrowedFd<'_>, buf: &mut [u8], fds_max: usize) -> Result<Received, Errno> {
    let fds_max = fds_max.min(FDS_PER_PACKET_MAX);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_PACKET_MAX))];
    let space = &mut space[..rustix::cmsg_space!(ScmRights(fds_max))];
    let mut control = RecvAncillaryBuffer::new(space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = rustix::net::recvmsg(fd, &mut [IoSliceMut::new(buf)], &mut control, flags)?;
    let mut fds = Vec::with_capacity(fds_max);
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    // Alignment of the control buffer may leave room for one descriptor more than asked for.
    let surplus = fds.len() > fds_max;
    fds.truncate(fds_max);
    if message.bytes == 0 {
        return Ok(Received::Closed);
    }
    // Of a packet with too many the first ones arrive.
    if message.flags.contains(ReturnFlags::CTRUNC) && fds.len() < fds_max {
        return Ok(Received::NoDescriptor);
    }
    let cut = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Received::Packet { len: message.bytes, fds, truncated: cut || surplus })
}

fn seqpacket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn address(operation: &'static str, path: &Path) -> Result<SocketAddrUnix, OsError> {
    let length_bytes = path.as_os_str().len();
    if length_bytes > SOCKET_PATH_BYTES_MAX {
        let reason = format!(
            "the path has {length_bytes} bytes, a socket path at most {SOCKET_PATH_BYTES_MAX}; \
             choose a shorter run directory"
        );
        return Err(OsError::refused(operation, path.display(), ErrorKind::InvalidInput, reason));
    }
    SocketAddrUnix::new(path).map_err(|errno| OsError::new(operation, path.display(), errno))
}

fn describe(fd: BorrowedFd<'_>) -> String {
    format!("socket descriptor {}", fd.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn packets_keep_their_boundaries_and_carry_descriptors() {
        let (left, right) = pair().unwrap();
        let file = crate::memfd::create("carried", 4096).unwrap();
        assert_eq!(send(&left, b"one", &[]).unwrap(), Sent::Done);
        assert_eq!(send(&left, b"two!", &[file.as_fd(), file.as_fd()]).unwrap(), Sent::Done);
        let mut buf = [0; 16];
        let Received::Packet { len: 3, truncated: false, .. } = recv(&right, &mut buf, 2).unwrap()
        else {
            panic!("first packet")
        };
        let Received::Packet { len: 4, fds, truncated: false } = recv(&right, &mut buf, 2).unwrap()
        else {
            panic!("second packet")
        };
        assert_eq!(fds.len(), 2);
        assert_eq!(crate::memfd::size_bytes(&fds[0]).unwrap(), 4096);
        assert!(rustix::io::fcntl_getfd(&fds[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert!(matches!(recv(&right, &mut buf, 0).unwrap(), Received::WouldBlock));
        drop(left);
        assert!(matches!(recv(&right, &mut buf, 0).unwrap(), Received::Closed));
        assert!(matches!(recv(&right, &mut buf, 1).unwrap(), Received::Closed));
        assert!(matches!(send(&right, b"x", &[]), Err(SendError::Closed)));
    }

    #[test]
    fn unwanted_descriptors_do_not_arrive() {
        let (left, right) = pair().unwrap();
        // A pipe tells when the last copy of its other end is gone, also copies inside a socket.
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut buf = [0; 16];
        for fds_max in [0, 1] {
            let three = [writer.as_fd(); 3];
            send(&left, b"take this", &three).unwrap();
            let Received::Packet { fds, truncated, .. } = recv(&right, &mut buf, fds_max).unwrap()
            else {
                panic!("packet")
            };
            assert_eq!(fds.len(), fds_max);
            assert_eq!(truncated, fds_max > 0);
        }
        drop(writer);
        assert_eq!(rustix::io::read(&reader, &mut buf[..]), Ok(0), "a copy was kept");
    }

    #[test]
    fn long_packets_are_cut_and_said_to_be() {
        let (left, right) = pair().unwrap();
        for fds_max in [0, 1] {
            send(&left, b"0123456789", &[]).unwrap();
            let mut buf = [0; 4];
            let Received::Packet { len: 4, truncated: true, .. } =
                recv(&right, &mut buf, fds_max).unwrap()
            else {
                panic!("packet")
            };
            assert_eq!(&buf, b"0123");
        }
    }

    #[test]
    fn a_full_queue_does_not_block() {
        let (left, _right) = pair().unwrap();
        let mut sent = 0;
        while send(&left, &[0; 4096], &[]).unwrap() == Sent::Done {
            sent += 1;
        }
        assert!(sent > 0);
    }

    #[test]
    fn listening_is_private_and_knows_its_peer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swarm.sock");
        let listener = listen(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(accept(&listener).unwrap().is_none());
        let client = connect(&path).unwrap();
        let server = accept(&listener).unwrap().unwrap();
        let peer = peer_cred(&server).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::getuid().as_raw());
        assert_eq!(send(&client, b"hello", &[]).unwrap(), Sent::Done);
        assert_eq!(listen(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_path_too_long_says_so() {
        let path = Path::new("/tmp").join("x".repeat(200));
        let error = listen(&path).unwrap_err();
        assert!(error.to_string().contains("at most 107"), "{error}");
        assert!(send(pair().unwrap().0, b"", &[]).is_err());
    }
}
