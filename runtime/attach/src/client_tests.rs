//! Attaching against a gateway played by the test: real sockets, real planes, and every way to lie.

use rsw_os::memfd;
use rsw_plane::{PlaneSpec, PlaneWriter};
use rsw_schemas::wire::hello_flag;

use super::*;
use crate::page::{MailboxReader, MailboxWord, create_for_peer};

const PATIENCE: Duration = Duration::from_secs(20);

struct Gateway {
    sock: OwnedFd,
}

impl Gateway {
    fn pair() -> (Gateway, Client) {
        let (ours, theirs) = packet::pair().unwrap();
        (Gateway { sock: ours }, Client::from_fd(theirs))
    }

    fn send<B: bytemuck::Pod>(&self, kind: PacketKind, body: &B, fds: &[&OwnedFd]) {
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
        assert_eq!(codec::send(self.sock.as_fd(), kind, body, &fds).unwrap(), Sent::Done);
    }

    fn receive(&self) -> Message {
        match codec::recv(self.sock.as_fd(), 0).unwrap() {
            Incoming::Packet(message) => message,
            other => panic!("no packet: {other:?}"),
        }
    }
}

fn plane(generation: u64, first_sequence: u64) -> (PlaneWriter, OwnedFd) {
    PlaneWriter::create(&PlaneSpec {
        run_id: [1; 16],
        generation,
        first_sequence,
        nx: 8,
        ny: 8,
        tick_period_ns: 1,
        ring_slots: 64,
        cells: Vec::new(),
        fields: Vec::new(),
        arena_bytes: 1 << 16,
    })
    .unwrap()
}

fn welcome(agent_id: u32, generation: u64, plane: &OwnedFd) -> Welcome {
    Welcome {
        agent_id,
        isolation: 1,
        generation,
        total_bytes: memfd::size_bytes(plane).unwrap(),
        window_ticks: 256,
        report_ticks: 10,
        site_count: 4,
        loans: 0,
        incarnation: 1,
        loan_root: [0; 200],
        name: text::pack("a"),
        wait: [0; 32],
        hello_flags: 0,
        wake_fd: 0,
    }
}

fn changed(generation: u64, first_sequence: u64, plane: &OwnedFd) -> PlaneChanged {
    PlaneChanged { generation, total_bytes: memfd::size_bytes(plane).unwrap(), first_sequence }
}

#[test]
fn an_agent_attaches_with_plane_and_mailbox() {
    let (gateway, mut client) = Gateway::pair();
    client.hello("watcher", 0).unwrap();
    let hello: Hello = gateway.receive().body().unwrap();
    assert_eq!((hello.abi_major, hello.layout_hash), (ABI_MAJOR, LAYOUT_HASH));
    assert_eq!(text::unpack(&hello.name), "watcher");

    let (_writer, fd) = plane(3, 100);
    let page = create_for_peer("mailbox").unwrap();
    gateway.send(PacketKind::Welcome, &welcome(2, 3, &fd), &[&fd, &page]);
    let attached = client.welcome(PATIENCE).unwrap();
    assert_eq!((attached.welcome.agent_id, attached.plane.generation()), (2, 3));
    assert_eq!(attached.plane.ring_cursor(), 100);
    attached.mailbox.unwrap().store(MailboxWord::Tick, 9);
    assert_eq!(MailboxReader::from_fd(page).unwrap().load(MailboxWord::Tick), 9);

    let mut report: Report = bytemuck::Zeroable::zeroed();
    report.tick = 77;
    assert_eq!(client.report(report).unwrap(), Sent::Done);
    let arrived: AgentReport = gateway.receive().body().unwrap();
    assert_eq!(arrived.report.tick, 77);
}

#[test]
fn an_observer_gets_a_plane_only() {
    let (gateway, mut client) = Gateway::pair();
    client.hello("", hello_flag::OBSERVER).unwrap();
    let (_writer, fd) = plane(1, 0);
    gateway.send(PacketKind::Welcome, &welcome(0, 1, &fd), &[&fd]);
    assert!(client.welcome(PATIENCE).unwrap().mailbox.is_none());
}

#[test]
fn restarts_are_announced_once() {
    let (gateway, mut client) = Gateway::pair();
    client.hello("a", 0).unwrap();
    let (_first, fd) = plane(1, 0);
    let page = create_for_peer("mailbox").unwrap();
    // A kernel that restarts while we attach: announced before the welcome.
    gateway.send(PacketKind::PlaneChanged, &changed(1, 0, &fd), &[&fd]);
    gateway.send(PacketKind::Welcome, &welcome(1, 1, &fd), &[&fd, &page]);
    client.welcome(PATIENCE).unwrap();
    assert!(matches!(client.poll().unwrap(), ClientEvent::Nothing));

    let (_second, next) = plane(2, 55);
    gateway.send(PacketKind::PlaneChanged, &changed(2, 55, &next), &[&next]);
    gateway.send(PacketKind::PlaneChanged, &changed(2, 55, &next), &[&next]);
    gateway.send(PacketKind::Welcome, &welcome(1, 2, &next), &[&next, &page]);
    let ClientEvent::PlaneChanged(reader) = client.poll().unwrap() else { panic!() };
    assert_eq!((reader.generation(), reader.ring_cursor()), (2, 55));
    assert!(matches!(client.poll().unwrap(), ClientEvent::Nothing), "a repetition was passed on");

    let reborn = Welcome { incarnation: 2, ..welcome(1, 2, &next) };
    gateway.send(PacketKind::Welcome, &reborn, &[&next, &page]);
    let ClientEvent::Welcome(attached) = client.poll().unwrap() else { panic!() };
    assert_eq!(attached.welcome.incarnation, 2);
    drop(gateway);
    assert!(matches!(client.poll().unwrap(), ClientEvent::GatewayGone));
}

/// Which of the welcomes to a client that asked for an eventfd is the answer, and who is asked again.
#[test]
fn an_eventfd_is_waited_for_and_asked_for_again() {
    let (gateway, mut client) = Gateway::pair();
    let asked = |gateway: &Gateway| gateway.receive().body::<Hello>().unwrap().flags;
    client.hello("a", hello_flag::WAKE_FD).unwrap();
    assert_eq!(asked(&gateway), hello_flag::WAKE_FD);
    let (_writer, fd) = plane(1, 0);
    let (page, wake) = (create_for_peer("mailbox").unwrap(), rsw_os::eventfd::create().unwrap());
    let unasked = welcome(1, 1, &fd);
    let answer = Welcome { hello_flags: hello_flag::WAKE_FD, wake_fd: 1, ..unasked };
    // A seat's welcome, sent before the hello was read; then the answer, then one to the hello said again.
    gateway.send(PacketKind::Welcome, &unasked, &[&fd, &page]);
    gateway.send(PacketKind::Welcome, &answer, &[&fd, &page, &wake]);
    gateway.send(PacketKind::Welcome, &answer, &[&fd, &page, &wake]);
    let theirs = client.welcome(PATIENCE).unwrap().wake.unwrap();
    assert!(matches!(client.poll().unwrap(), ClientEvent::Nothing), "a repetition was passed on");
    assert_eq!(asked(&gateway), hello_flag::WAKE_FD, "the hello may have been lost");
    rsw_os::eventfd::signal(&wake).unwrap();
    assert_eq!(theirs.clear().unwrap(), 1);

    // Its successor has not heard our hello: what it has is taken, and the rest asked for, once.
    let reborn = Welcome { incarnation: 2, ..unasked };
    for _ in 0..2 {
        gateway.send(PacketKind::Welcome, &reborn, &[&fd, &page]);
    }
    let ClientEvent::Welcome(attached) = client.poll().unwrap() else { panic!() };
    assert!(attached.wake.is_none());
    assert!(matches!(client.poll().unwrap(), ClientEvent::Nothing));
    assert_eq!(asked(&gateway), hello_flag::WAKE_FD);
    assert!(matches!(codec::recv(gateway.sock.as_fd(), 0).unwrap(), Incoming::WouldBlock));
    let reborn = Welcome { incarnation: 2, ..answer };
    gateway.send(PacketKind::Welcome, &reborn, &[&fd, &page, &wake]);
    let ClientEvent::Welcome(attached) = client.poll().unwrap() else { panic!() };
    assert!(attached.wake.is_some());

    // One that has no eventfd to give says so; nobody waits for it for ever.
    let (gateway, mut client) = Gateway::pair();
    client.hello("a", hello_flag::WAKE_FD).unwrap();
    let none = Welcome { hello_flags: hello_flag::WAKE_FD, ..unasked };
    gateway.send(PacketKind::Welcome, &none, &[&fd, &page]);
    assert!(client.welcome(PATIENCE).unwrap().wake.is_none());
}

#[test]
fn a_refusal_names_both_versions_and_the_way_out() {
    let (gateway, mut client) = Gateway::pair();
    client.hello("a", 0).unwrap();
    let refused = Refused {
        code: RefusalCode::Layout as u32,
        abi_major: 7,
        abi_minor: 8,
        reserved: 0,
        layout_hash: 0xabcd,
        text: text::pack("run programs of one build"),
    };
    gateway.send(PacketKind::Refused, &refused, &[]);
    // The gateway closes with our hello unread, as one does that is full.
    drop(gateway);
    let error = client.welcome(PATIENCE).unwrap_err();
    assert_eq!(error.exit_code(), exit::LAYOUT);
    let words = error.to_string();
    for part in ["abi 7.8", "000000000000abcd", &Abi::OURS.to_string(), "run programs of one"] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn nobody_home() {
    let missing = Client::connect(Path::new("/nonexistent/swarm.sock")).unwrap_err();
    assert_eq!(missing.exit_code(), exit::NOT_RUNNING);
    assert!(missing.to_string().contains("runtime up"), "{missing}");

    let (gateway, mut client) = Gateway::pair();
    let silent = client.welcome(Duration::ZERO).unwrap_err();
    assert_eq!(silent.exit_code(), exit::TIMEOUT);
    drop(gateway);
    assert!(matches!(client.welcome(PATIENCE), Err(AttachError::Closed)));
    assert!(matches!(client.hello("a", 0), Err(AttachError::Closed)));
}

/// What the client says to this welcome, and that it can still attach afterwards.
fn lied_to(welcome_packet: &Welcome, fds: &[&OwnedFd]) -> AttachError {
    let (gateway, mut client) = Gateway::pair();
    gateway.send(PacketKind::Welcome, welcome_packet, fds);
    let error = client.welcome(PATIENCE).unwrap_err();
    let (_writer, fd) = plane(1, 0);
    gateway.send(PacketKind::Welcome, &welcome(0, 1, &fd), &[&fd]);
    client.welcome(PATIENCE).unwrap();
    error
}

#[test]
fn packet_and_descriptors_must_agree() {
    let (_writer, fd) = plane(4, 0);
    let page = create_for_peer("mailbox").unwrap();
    let honest = welcome(1, 4, &fd);
    let fds = |error| matches!(error, AttachError::Codec(CodecError::WrongFds { .. }));
    assert!(fds(lied_to(&honest, &[&fd])));
    assert!(fds(lied_to(&honest, &[])));
    let many = |error| matches!(error, AttachError::Unbelievable { announced: u32::MAX, .. });
    assert!(many(lied_to(&Welcome { site_count: u32::MAX, ..honest }, &[&fd, &page])));
    assert!(many(lied_to(&Welcome { window_ticks: u32::MAX, ..honest }, &[&fd, &page])));
    assert!(fds(lied_to(&welcome(0, 4, &fd), &[&fd, &page])));
    assert!(fds(lied_to(&honest, &[&fd, &page, &page])));
    let wakes = Welcome { wake_fd: 1, ..honest };
    assert!(fds(lied_to(&wakes, &[&fd, &page])));
    let surplus = lied_to(&honest, &[&fd, &page, &page, &page]);
    assert!(matches!(surplus, AttachError::Codec(CodecError::Truncated)));
    assert!(matches!(lied_to(&honest, &[&page, &fd]), AttachError::Mailbox(_)));
    assert!(matches!(lied_to(&honest, &[&page, &page]), AttachError::Plane(_)));
    let unsealed = memfd::create("unsealed", 4096).unwrap();
    assert!(matches!(lied_to(&honest, &[&fd, &unsealed]), AttachError::Mailbox(PageError::Seals)));
    assert!(matches!(lied_to(&honest, &[&unsealed, &page]), AttachError::Plane(_)));

    let other = Welcome { generation: 5, ..honest };
    let error = lied_to(&other, &[&fd, &page]);
    assert!(matches!(error, AttachError::Mismatch { what: "generation", announced: 5, found: 4 }));
    let other = Welcome { total_bytes: 1, ..honest };
    let error = lied_to(&other, &[&fd, &page]);
    assert!(matches!(error, AttachError::Mismatch { what: "size", announced: 1, .. }));
}

#[test]
fn packets_out_of_place_do_not_stop_the_client() {
    let (gateway, mut client) = Gateway::pair();
    let (_writer, fd) = plane(1, 0);
    gateway.send(PacketKind::Welcome, &welcome(0, 1, &fd), &[&fd]);
    client.welcome(PATIENCE).unwrap();
    gateway.send(PacketKind::Report, &(), &[]);
    let error = client.poll().unwrap_err();
    assert!(matches!(error, AttachError::Unexpected { kind: PacketKind::Report }));
    let (_second, next) = plane(2, 5);
    gateway.send(PacketKind::PlaneChanged, &changed(2, 6, &next), &[&next]);
    assert!(matches!(client.poll(), Err(AttachError::Mismatch { what: "first sequence", .. })));
    gateway.send(PacketKind::PlaneChanged, &changed(2, 5, &next), &[]);
    assert!(matches!(client.poll(), Err(AttachError::Codec(CodecError::WrongFds { .. }))));
    gateway.send(PacketKind::PlaneChanged, &changed(2, 5, &next), &[&next]);
    assert!(matches!(client.poll().unwrap(), ClientEvent::PlaneChanged(_)));
}
