//! The real gateway process, with this test as supervisor, kernel and every kind of client.

// A test that cannot go on panics; the helpers are part of the tests.
#![allow(clippy::unwrap_used)]

mod swarm;

mod wakers;

use std::os::fd::AsFd;

use bytemuck::Zeroable;
use rsw_attach::{AttachError, Client, ClientEvent, Mailbox, MailboxWord, Sent, codec, page};
use rsw_loans::{LoanDomain, METRICS};
use rsw_os::packet;
use rsw_schemas::event::{Alert, EventKind, Presence, Report};
use rsw_schemas::wire::{
    Admitted, AgentSeat, Hello, Isolation, PacketKind, ProcessText, RefusalCode, Refused,
    hello_flag,
};
use rsw_schemas::{ABI_MAJOR, LAYOUT_HASH, exit, text};
use swarm::{NX, NY, PATIENCE, SITES, Swarm, eventually, next, spawn};

fn report(tick: u64) -> Report {
    Report {
        tick,
        window_ticks: 10,
        seen_ticks: 10,
        agents: 2,
        pairs_defined: 1,
        cs_mean: 0.25,
        cs_self: f64::NAN,
        r_min: 0.25,
        r_max: 0.25,
        ..Report::zeroed()
    }
}

fn said<P: bytemuck::Pod>(admitted: &Admitted, kind: EventKind) -> P {
    assert_eq!(admitted.kind, kind as u16);
    assert_eq!(usize::from(admitted.len_bytes), size_of::<P>());
    bytemuck::pod_read_unaligned(&admitted.payload[..size_of::<P>()])
}

#[test]
fn a_guest_joins_reports_and_leaves() {
    let swarm = Swarm::start();
    let (mut client, attached) = swarm.guest("probe");
    let welcome = attached.welcome;
    assert_eq!(welcome.agent_id, SITES + 1);
    assert_eq!((welcome.incarnation, welcome.generation, welcome.loans), (1, 1, 1));
    assert_eq!((welcome.site_count, welcome.report_ticks), (SITES, 100));
    assert_eq!(welcome.isolation, Isolation::None as u32);
    assert_eq!(text::unpack(&welcome.loan_root), swarm.loan_root.path().to_str().unwrap());
    assert_eq!(attached.plane.generation(), 1);

    let message = swarm.order(PacketKind::Attached);
    let seat: AgentSeat = message.body().unwrap();
    assert_eq!((seat.agent_id, seat.pid), (SITES + 1, std::process::id()));
    let [mailbox] = message.take_fds().unwrap();
    attached.mailbox.as_ref().unwrap().store(MailboxWord::Tick, 77);
    let mailbox = page::MailboxReader::from_fd(mailbox).unwrap();
    assert_eq!(mailbox.load(MailboxWord::Tick), 77);

    let joined: Presence = said(&swarm.admitted(), EventKind::Joined);
    assert_eq!((joined.agent_id, text::unpack(&joined.name).as_str()), (SITES + 1, "probe"));
    assert_eq!(client.report(report(9)).unwrap(), Sent::Done);
    let admitted = swarm.admitted();
    assert_eq!(admitted.source, SITES + 1, "identity comes from the channel");
    let body: Report = said(&admitted, EventKind::Report);
    assert_eq!((body.tick, body.cs_mean), (9, 0.25));

    drop(client);
    let left: Presence = said(&swarm.admitted(), EventKind::Left);
    assert_eq!(left.agent_id, SITES + 1);
    assert_eq!(swarm.order(PacketKind::Detached).body::<AgentSeat>().unwrap(), seat);
}

#[test]
fn an_observer_gets_the_plane_and_nothing_else() {
    let swarm = Swarm::start();
    let mut observer = Client::connect(&swarm.socket()).unwrap();
    observer.hello("looker", hello_flag::OBSERVER).unwrap();
    let attached = observer.welcome(PATIENCE).unwrap();
    assert_eq!(attached.welcome.agent_id, 0);
    assert!(attached.mailbox.is_none());
    let _ = observer.report(report(1)).unwrap();
    let error = eventually("the refusal", || observer.poll().err());
    let code = Some(RefusalCode::Protocol);
    assert!(matches!(error, AttachError::Refused { code: c, .. } if c == code), "{error}");
    assert!(swarm.admitted_now().is_none(), "observers neither join nor report");
}

#[test]
fn fields_and_batches_are_lent_and_losses_counted() {
    let mut swarm = Swarm::start();
    let (_client, attached) = swarm.guest("reader");
    let root = text::unpack(&attached.welcome.loan_root);
    let domain = LoanDomain::new(root.as_ref(), attached.welcome.incarnation).unwrap();
    let mut wave = domain.subscribe_field("wave").unwrap();
    let mut batches = domain.subscribe_batches(METRICS).unwrap();
    assert!(domain.subscribe_field(rsw_schemas::field::CHECKPOINT).is_err(), "never lent");

    swarm.frame(41, 1000.0);
    let loan = eventually("a frame", || wave.receive_latest().unwrap());
    let info = loan.info();
    assert_eq!((info.generation, info.frame, info.tick, info.t_ns), (1, 1, 41, 5));
    assert_eq!((info.nx, info.ny, info.min), (NX, NY, 1000.0));
    let cells: Vec<f32> = (0..NX * NY).map(|cell| 1000.0 + cell as f32).collect();
    assert_eq!(loan.data(), cells, "odd sizes keep their last cell");

    swarm.batch(b"first batch", false);
    let first = eventually("a batch", || batches.receive().unwrap());
    assert_eq!((first.data(), first.info().batch), (b"first batch".as_slice(), 1));
    swarm.batch(b"second, damaged", true);
    swarm.batch(&[7; 60 << 10], false); // fits the arena, not a loan
    swarm.batch(b"fourth", false);
    let fourth = eventually("a batch", || batches.receive().unwrap());
    assert_eq!((fourth.data(), fourth.info().batch), (b"fourth".as_slice(), 4));
    assert_eq!((batches.received(), batches.missed()), (2, 2));
}

#[test]
fn another_build_is_refused_with_both_versions() {
    let mut swarm = Swarm::start();
    let sock = packet::connect(&swarm.socket()).unwrap();
    let mut hello = Hello::zeroed();
    (hello.abi_major, hello.layout_hash) = (ABI_MAJOR, LAYOUT_HASH ^ 1);
    let _ = codec::send(sock.as_fd(), PacketKind::Hello, &hello, &[]).unwrap();
    let message = next(&sock).unwrap();
    assert_eq!(message.kind(), PacketKind::Refused);
    let refused: Refused = message.body().unwrap();
    assert_eq!(refused.code, RefusalCode::Layout as u32);
    let words = text::unpack(&refused.text);
    for hash in [LAYOUT_HASH, LAYOUT_HASH ^ 1] {
        assert!(words.contains(&format!("{hash:016x}")), "{words}");
    }
    assert!(next(&sock).is_none(), "then the socket ends");
    assert!(swarm.is_alive());
}

#[test]
fn whatever_a_client_sends_costs_only_that_client() {
    let mut swarm = Swarm::start();
    let (mut honest, _) = swarm.guest("honest");
    let head = [0x31575352u32, PacketKind::Hello as u32, 88, 0];
    let wrong_length: Vec<u8> = bytemuck::cast_slice(&head).to_vec();
    let supervisor_only = {
        let head = [0x31575352u32, PacketKind::Stop as u32, 0, 0];
        bytemuck::cast_slice::<u32, u8>(&head).to_vec()
    };
    let attacks: [&[u8]; 5] = [b"x", &[0xff; 300], &[0; 5000], &wrong_length, &supervisor_only];
    for attack in attacks {
        let sock = packet::connect(&swarm.socket()).unwrap();
        packet::send(&sock, attack, &[]).unwrap();
        let refused = next(&sock).map(|message| message.kind());
        assert_eq!(refused, Some(PacketKind::Refused), "{attack:?}");
        assert!(next(&sock).is_none());
    }
    // Descriptors that nobody asked for: dropped by the kernel, the hello is answered.
    let sock = packet::connect(&swarm.socket()).unwrap();
    let mut hello = Hello::zeroed();
    (hello.abi_major, hello.layout_hash) = (ABI_MAJOR, LAYOUT_HASH);
    let fds = [sock.as_fd(); 3];
    let _ = codec::send(sock.as_fd(), PacketKind::Hello, &hello, &fds).unwrap();
    assert_eq!(next(&sock).unwrap().kind(), PacketKind::Welcome);
    // A seat that misbehaves is cut off although the supervisor keeps a duplicate of its socket.
    let (agent, seat) = swarm.seat(1, Isolation::Sandboxed);
    swarm.give(&seat);
    assert_eq!(next(&agent).unwrap().kind(), PacketKind::Welcome);
    packet::send(&agent, b"garbage", &[]).unwrap();
    assert_eq!(next(&agent).unwrap().kind(), PacketKind::Refused);
    assert!(next(&agent).is_none());

    assert!(swarm.is_alive());
    let _ = honest.report(report(1)).unwrap();
    eventually("the honest report", || {
        swarm.admitted_now().filter(|admitted| admitted.kind == EventKind::Report as u16)
    });
}

#[test]
fn a_flood_is_cut_to_the_rate_and_told_in_few_words() {
    let swarm = Swarm::start();
    let (mut client, _) = swarm.guest("flooder");
    swarm.plane.control.set_tick(1_000_000);
    let mut sent = 0;
    for tick in 1..=3000 {
        while client.report(report(tick)).unwrap() == Sent::WouldBlock {
            std::thread::yield_now();
        }
        sent += 1;
    }
    drop(client);
    let (mut reports, mut alerts) = (0, 0);
    loop {
        let admitted = swarm.admitted();
        match EventKind::from_u16(admitted.kind).unwrap() {
            EventKind::Report => reports += 1,
            EventKind::Alert => {
                let words = text::unpack(&said::<Alert>(&admitted, EventKind::Alert).text);
                assert!(words.starts_with("flooder: ") && words.contains("a second"), "{words}");
                alerts += 1;
            }
            EventKind::Left => break,
            kind => assert_eq!(kind, EventKind::Joined),
        }
    }
    assert!(reports >= 63, "the burst passes, of which the hello was one: {reports}");
    assert!(reports < sent / 2, "the flood does not: {reports} of {sent}");
    assert!((1..reports).contains(&alerts), "{alerts} alerts");
}

#[test]
fn reports_that_lie_are_refused_and_the_client_stays() {
    let swarm = Swarm::start();
    let (mut client, _) = swarm.guest("liar");
    let lies = [
        Report { cs_mean: 7.0, ..report(3) },
        Report { window_ticks: 0, ..report(3) },
        Report { tick: 5000, ..report(3) },
    ];
    for lie in lies {
        let _ = client.report(lie).unwrap();
    }
    let _ = client.report(report(3)).unwrap();
    let _ = client.report(report(3)).unwrap();
    let _ = client.report(report(4)).unwrap();
    let mut ticks = Vec::new();
    while ticks.len() < 2 {
        let admitted = swarm.admitted();
        if admitted.kind == EventKind::Report as u16 {
            ticks.push(said::<Report>(&admitted, EventKind::Report).tick);
        }
    }
    assert_eq!(ticks, [3, 4]);
}

#[test]
fn a_killed_gateway_is_replaced_under_its_seats() {
    let mut swarm = Swarm::start();
    let (agent, seat) = swarm.seat(1, Isolation::Sandboxed);
    let (strict, strict_seat) = swarm.seat(2, Isolation::Strict);
    swarm.give(&seat);
    swarm.give(&strict_seat);
    let (mut agent, mut strict) = (Client::from_fd(agent), Client::from_fd(strict));
    agent.hello("ignored", 0).unwrap();
    let attached = agent.welcome(PATIENCE).unwrap();
    assert_eq!(attached.welcome.agent_id, 1);
    assert_eq!(text::unpack(&attached.welcome.name), "agent-1");
    assert_eq!(text::unpack(&attached.welcome.wait), "block");
    let joined: Presence = said(&swarm.admitted(), EventKind::Joined);
    assert_eq!((joined.agent_id, joined.pid), (1, 7));
    strict.hello("", 0).unwrap();
    assert_eq!(strict.welcome(PATIENCE).unwrap().welcome.loans, 0, "strict agents get no loans");
    said::<Presence>(&swarm.admitted(), EventKind::Joined);
    let root = text::unpack(&attached.welcome.loan_root);
    let domain = LoanDomain::new(root.as_ref(), 1).unwrap();
    let mut wave = domain.subscribe_field("wave").unwrap();
    swarm.frame(1, 10.0);
    let held = eventually("a frame", || wave.receive_latest().unwrap());

    swarm.kill_and_restart(2);
    swarm.give(&seat);
    let event = eventually("the new welcome", || match agent.poll().unwrap() {
        ClientEvent::Welcome(attached) => Some(attached),
        ClientEvent::Nothing => None,
        other => panic!("{other:?}"),
    });
    assert_eq!((event.welcome.incarnation, event.welcome.agent_id), (2, 1));
    assert_eq!(held.data()[1], 11.0, "what is held stays");
    assert!(!swarm.loan_root.path().join("1").exists(), "the old loans' files are gone");
    let domain = LoanDomain::new(root.as_ref(), 2).unwrap();
    let mut wave = domain.subscribe_field("wave").unwrap();
    let again = eventually("the newest frame", || wave.receive_latest().unwrap());
    assert_eq!(again.info().frame, 1, "a late joiner gets what there is");
    let _ = agent.report(report(2)).unwrap();
    assert_eq!(swarm.admitted().source, 1, "nobody joins twice, reports go on");
    let _ = codec::send(swarm.control.as_fd(), PacketKind::SeatGone, &seat.seat, &[]).unwrap();
    let left: Presence = said(&swarm.admitted(), EventKind::Left);
    assert_eq!(left.agent_id, 1);
}

#[test]
fn a_new_generation_reaches_clients_and_loans() {
    let mut swarm = Swarm::start();
    let (agent, seat) = swarm.seat(1, Isolation::Sandboxed);
    swarm.give(&seat);
    let mut agent = Client::from_fd(agent);
    agent.hello("", 0).unwrap();
    agent.welcome(PATIENCE).unwrap();
    let (mut guest, attached) = swarm.guest("guest");
    swarm.order(PacketKind::Attached);
    let root = text::unpack(&attached.welcome.loan_root);
    let domain = LoanDomain::new(root.as_ref(), 1).unwrap();
    let mut wave = domain.subscribe_field("wave").unwrap();
    swarm.frame(90, 1.0);
    eventually("a frame", || wave.receive_latest().unwrap());
    let _ = guest.report(report(60)).unwrap();
    eventually("the report", || {
        swarm.admitted_now().filter(|admitted| admitted.kind == EventKind::Report as u16)
    });

    let (theirs, ours) = packet::pair().unwrap();
    swarm.kernel = ours;
    let fds = [theirs.as_fd()];
    let _ = codec::send_empty(swarm.control.as_fd(), PacketKind::Link, &fds).unwrap();
    swarm.restart_kernel(2);
    for client in [&mut agent, &mut guest] {
        let plane = eventually("the new plane", || match client.poll().unwrap() {
            ClientEvent::PlaneChanged(plane) => Some(plane),
            ClientEvent::Nothing => None,
            other => panic!("{other:?}"),
        });
        assert_eq!(plane.generation(), 2);
    }
    swarm.frame(50, 2.0);
    let loan = eventually("a frame", || wave.receive_latest().unwrap());
    assert_eq!((loan.info().generation, loan.info().frame), (2, 1));
    let _ = guest.report(report(51)).unwrap();
    let admitted = eventually("the report", || {
        swarm.admitted_now().filter(|admitted| admitted.kind == EventKind::Report as u16)
    });
    assert_eq!(said::<Report>(&admitted, EventKind::Report).tick, 51, "ticks may begin earlier");
}

#[test]
fn stop_and_a_vanished_supervisor_end_it_in_order() {
    for vanish in [false, true] {
        let mut swarm = Swarm::start();
        let (mut client, _) = swarm.guest("guest");
        if vanish {
            let (_, other) = packet::pair().unwrap();
            swarm.control = other;
        } else {
            let _ = codec::send_empty(swarm.control.as_fd(), PacketKind::Stop, &[]).unwrap();
        }
        assert_eq!(swarm.exit().code(), Some(0));
        assert!(!swarm.socket().exists());
        assert!(matches!(
            eventually("the end", || match client.poll().unwrap() {
                ClientEvent::Nothing => None,
                event => Some(event),
            }),
            ClientEvent::GatewayGone
        ));
    }
}

#[test]
fn a_failure_leaves_last_words_and_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, control, _kernel) = spawn(folder.path(), folder.path(), 1);
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(exit::CONFIG)));
    let message = next(&control).unwrap();
    assert_eq!(message.kind(), PacketKind::Failed);
    let words: ProcessText = message.body().unwrap();
    assert_eq!(words.exit_code, u32::from(exit::CONFIG));
    assert!(text::unpack(&words.text).contains("topology.json"), "{}", text::unpack(&words.text));
}

/// The mailbox of a guest is writable by it and has a sealed size.
#[test]
fn a_mailbox_cannot_shrink_under_its_readers() {
    let swarm = Swarm::start();
    let (_client, attached) = swarm.guest("guest");
    let mailbox: &Mailbox = attached.mailbox.as_ref().unwrap();
    mailbox.store(MailboxWord::Cursor, 3);
    let [fd] = swarm.order(PacketKind::Attached).take_fds().unwrap();
    assert!(rustix::fs::ftruncate(&fd, 0).is_err());
}
