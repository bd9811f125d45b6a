//! Sound packets arrive whole with their descriptors; unsound ones are named and leave the socket usable.

use std::os::fd::AsFd;

use rsw_os::memfd;
use rsw_schemas::wire::{Hello, Isolation, TickMark, Welcome};

use super::*;

fn pair() -> (OwnedFd, OwnedFd) {
    packet::pair().unwrap()
}

fn head(kind: u32, len_bytes: u32) -> Vec<u8> {
    bytemuck::bytes_of(&Packet { magic: PACKET_MAGIC, kind, len_bytes, reserved: 0 }).to_vec()
}

/// What the receiver makes of these very bytes, and that it goes on working.
fn hostile(bytes: &[u8], fds: usize) -> CodecError {
    let (peer, sock) = pair();
    let file = memfd::create("beside", 1).unwrap();
    let _ = packet::send(&peer, bytes, &vec![file.as_fd(); fds]).unwrap();
    let error = recv(sock.as_fd(), 2).unwrap_err();
    assert_eq!(send_empty(peer.as_fd(), PacketKind::Stop, &[]).unwrap(), Sent::Done);
    let Incoming::Packet(next) = recv(sock.as_fd(), 2).unwrap() else { panic!("out of step") };
    assert_eq!(next.kind(), PacketKind::Stop);
    error
}

#[test]
fn body_and_descriptors_arrive() {
    let (peer, sock) = pair();
    assert!(matches!(recv(sock.as_fd(), 0).unwrap(), Incoming::WouldBlock));
    let mark = TickMark { tick: 7, cursor: 9 };
    let (small, large) = (memfd::create("s", 11).unwrap(), memfd::create("l", 22).unwrap());
    let fds = [small.as_fd(), large.as_fd()];
    assert_eq!(send(peer.as_fd(), PacketKind::Finished, &mark, &fds).unwrap(), Sent::Done);
    let Incoming::Packet(message) = recv(sock.as_fd(), 2).unwrap() else { panic!() };
    assert_eq!(message.kind(), PacketKind::Finished);
    assert_eq!(message.body::<TickMark>().unwrap(), mark);
    let [a, b] = message.take_fds().unwrap();
    assert_eq!(memfd::size_bytes(&a).unwrap(), 11);
    assert_eq!(memfd::size_bytes(&b).unwrap(), 22);
}

#[test]
fn the_largest_packet_fits() {
    let (peer, sock) = pair();
    let mut welcome = Welcome::zeroed();
    welcome.isolation = Isolation::Strict as u32;
    welcome.wait = [7; 32];
    assert_eq!(send(peer.as_fd(), PacketKind::Welcome, &welcome, &[]).unwrap(), Sent::Done);
    let Incoming::Packet(message) = recv(sock.as_fd(), 0).unwrap() else { panic!() };
    assert_eq!(message.body::<Welcome>().unwrap(), welcome);
    assert!(matches!(message.body::<Hello>(), Err(CodecError::BadLength { found_bytes: 352, .. })));
    assert!(message.no_body().is_err());
}

#[test]
fn unsound_packets_are_named() {
    assert!(matches!(hostile(b"x", 0), CodecError::Short { found_bytes: 1 }));
    assert!(matches!(hostile(&[0; 15], 2), CodecError::Short { found_bytes: 15 }));
    assert!(matches!(hostile(&[0; 16], 0), CodecError::BadMagic { found: 0 }));
    assert!(matches!(hostile(&head(999, 0), 1), CodecError::UnknownKind { found: 999 }));
    let mut long = head(PacketKind::Stop as u32, 0);
    long.push(1);
    assert!(matches!(hostile(&long, 0), CodecError::BadLength { found_bytes: 1, .. }));
    let short = head(PacketKind::Finished as u32, 16);
    assert!(matches!(hostile(&short, 0), CodecError::BadLength { expected_bytes: 16, .. }));
    let mut boast = head(PacketKind::Finished as u32, u32::MAX);
    boast.extend([0; 16]);
    assert!(matches!(hostile(&boast, 0), CodecError::BadLength { found_bytes: 16, .. }));
    assert!(matches!(hostile(&[0; PACKET_BYTES_MAX + 1], 0), CodecError::Truncated));
}

#[test]
fn surplus_and_missing_descriptors_are_named() {
    assert!(matches!(hostile(&head(PacketKind::Stop as u32, 0), 3), CodecError::Truncated));
    let (peer, sock) = pair();
    let file = memfd::create("one", 1).unwrap();
    for (sent, wanted) in [(0, 1), (2, 1)] {
        let fds = vec![file.as_fd(); sent];
        assert_eq!(send_empty(peer.as_fd(), PacketKind::Link, &fds).unwrap(), Sent::Done);
        let Incoming::Packet(message) = recv(sock.as_fd(), 2).unwrap() else { panic!() };
        assert_eq!(message.fd_count(), sent);
        let error = message.take_fds::<1>().unwrap_err();
        assert!(
            matches!(error, CodecError::WrongFds { expected, found, .. } if (expected, found) == (wanted, sent))
        );
    }
}

#[test]
fn refused_descriptors_are_closed() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (peer, sock) = pair();
    for count in 1..=3 {
        let _ = packet::send(&peer, &[0; 16], &vec![writer.as_fd(); count]).unwrap();
        assert!(recv(sock.as_fd(), 2).is_err());
    }
    drop(writer);
    assert_eq!(rustix::io::read(&reader, &mut [0u8; 1][..]), Ok(0), "a descriptor leaked");
}

#[test]
fn last_words_survive_unread_packets() {
    let (peer, sock) = pair();
    assert_eq!(send_empty(sock.as_fd(), PacketKind::Stop, &[]).unwrap(), Sent::Done);
    for tick in [1, 2] {
        let mark = TickMark { tick, cursor: 0 };
        assert_eq!(send(peer.as_fd(), PacketKind::Finished, &mark, &[]).unwrap(), Sent::Done);
    }
    drop(peer);
    for tick in [1, 2] {
        let Incoming::Packet(message) = recv(sock.as_fd(), 0).unwrap() else {
            panic!("tick {tick}")
        };
        assert_eq!(message.body::<TickMark>().unwrap().tick, tick);
    }
    assert!(matches!(recv(sock.as_fd(), 0).unwrap(), Incoming::Closed));
    assert_eq!(send_empty(sock.as_fd(), PacketKind::Stop, &[]).unwrap(), Sent::Closed);
}

#[test]
fn a_full_peer_is_told_apart_from_a_dead_one() {
    let (peer, sock) = pair();
    let mark = TickMark { tick: 1, cursor: 1 };
    while send(peer.as_fd(), PacketKind::Finished, &mark, &[]).unwrap() == Sent::Done {}
    assert_eq!(send(peer.as_fd(), PacketKind::Finished, &mark, &[]).unwrap(), Sent::WouldBlock);
    drop(sock);
    assert_eq!(send(peer.as_fd(), PacketKind::Finished, &mark, &[]).unwrap(), Sent::Closed);
}
