//! Eventfds of the real gateway process: who gets one, what it tells, and what a hostile owner can do with it.

use std::os::fd::{AsFd, OwnedFd};

use crate::swarm::{PATIENCE, Swarm, eventually};
use rsw_attach::{Client, ClientEvent, WakeFd};
use rsw_os::eventfd;
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_plane::{Polled, StartAt};
use rsw_schemas::wire::{Isolation, hello_flag};

/// Waits until the eventfd tells of something.
fn woken(wake: impl AsFd) -> bool {
    let mut fds = [PollFd::new(wake.as_fd(), Interest::READ)];
    poll(&mut fds, Some(PATIENCE)).unwrap() == 1
}

#[test]
fn who_asks_is_told_of_every_commit() {
    let mut swarm = Swarm::start();
    let (_quiet, attached) = swarm.guest("quiet");
    assert!(attached.wake.is_none(), "nobody asked");
    assert_eq!(swarm.waker_threads(), 0);
    let (_client, wake) = swarm.waking_guest("loop");
    let mut observer = Client::connect(&swarm.socket()).unwrap();
    observer.hello("", hello_flag::OBSERVER | hello_flag::WAKE_FD).unwrap();
    let observed = observer.welcome(PATIENCE).unwrap();
    assert!(observed.mailbox.is_none());
    let mut ring = attached.plane.ring(StartAt::Latest);
    for tick in 1..=100 {
        swarm.frame(tick, 1.0);
        // The event is there already; the signal must come, once, whoever looks at the ring.
        assert!(woken(&wake), "nothing told of tick {tick}");
        assert_eq!(wake.clear().unwrap(), 1);
        assert!(matches!(ring.poll(), Polled::Event { .. }));
    }
    assert!(woken(observed.wake.as_ref().unwrap()), "one that nobody reads stays readable");
    assert_eq!(swarm.waker_threads(), 2);
    drop(observer);
    eventually("its thread has ended", || (swarm.waker_threads() == 1).then_some(()));
}

#[test]
fn it_goes_on_with_a_new_kernel_and_is_asked_for_again_of_a_new_gateway() {
    let mut swarm = Swarm::start();
    let (agent, seat) = swarm.seat(1, Isolation::Strict);
    swarm.give(&seat);
    let mut agent = Client::from_fd(agent);
    agent.hello("", hello_flag::WAKE_FD).unwrap();
    let wake = agent.welcome(PATIENCE).unwrap().wake.unwrap();
    swarm.restart_kernel(2);
    eventually("the new plane", || {
        matches!(agent.poll().unwrap(), ClientEvent::PlaneChanged(_)).then_some(())
    });
    assert!(woken(&wake), "a new plane is worth a look");
    eventually("the old plane is let go", || {
        wake.clear().unwrap();
        swarm.frame(1, 1.0);
        woken(&wake).then_some(())
    });

    swarm.kill_and_restart(2);
    swarm.give(&seat);
    let wake: WakeFd =
        eventually("an eventfd of the new gateway", || match agent.poll().unwrap() {
            ClientEvent::Welcome(attached) => attached.wake,
            ClientEvent::Nothing => None,
            other => panic!("{other:?}"),
        });
    swarm.frame(2, 1.0);
    assert!(woken(&wake));
    assert_eq!(swarm.waker_threads(), 1, "asked twice, given once");
}

/// An agent that takes the flag away and fills the counter, so that every signal to it blocks.
#[test]
fn an_agent_that_blocks_its_own_eventfd_harms_nobody_else() {
    let mut swarm = Swarm::start();
    let (mut honest, honest_wake) = swarm.waking_guest("honest");
    let (hostile_client, hostile) = swarm.waking_guest("hostile");
    let hostile: OwnedFd = hostile.into();
    rustix::fs::fcntl_setfl(&hostile, rustix::fs::OFlags::RDWR).unwrap();
    rustix::io::write(&hostile, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    for tick in 1..=50 {
        honest_wake.clear().unwrap();
        swarm.frame(tick, 1.0);
        assert!(woken(&honest_wake), "tick {tick}");
    }
    let (late, late_wake) = swarm.waking_guest("late");
    swarm.frame(60, 1.0);
    assert!(woken(&late_wake));
    drop((hostile_client, late));
    eventually("their threads have ended", || (swarm.waker_threads() == 1).then_some(()));
    assert!(eventfd::drain(&hostile).unwrap() <= 1, "its departure let the signal through");
    assert!(matches!(honest.poll().unwrap(), ClientEvent::Nothing));
    assert!(swarm.is_alive());
}
