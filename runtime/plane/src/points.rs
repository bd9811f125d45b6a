//! Named points: where a test makes a process die, or lets the other side run, between two steps of a protocol.
//!
//! Only in `rsw-plane-points`: the crate that ships has neither this module nor the calls. A point is armed for its
//! own thread, which makes every run with it deterministic.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

#[derive(Default)]
struct State {
    hits: BTreeMap<&'static str, u64>,
    armed: Option<Armed>,
}

struct Armed {
    name: String,
    left: u64,
    action: Box<dyn FnOnce()>,
}

/// Runs `action` when this thread comes to the point `name` for the `count`-th time from now on (from 1), once. The
/// action may come to points itself, and may arm the next one.
pub fn arm(name: &str, count: u64, action: impl FnOnce() + 'static) {
    let armed = Armed { name: name.to_owned(), left: count, action: Box::new(action) };
    STATE.with_borrow_mut(|state| state.armed = Some(armed));
}

/// How often this thread came to each point.
pub fn hits() -> BTreeMap<&'static str, u64> {
    STATE.with_borrow(|state| state.hits.clone())
}

/// Kills this process at once, as the kernel would: no handler, no destructor, no flush.
pub fn die() -> ! {
    let own = rsw_os::pidfd::open(std::process::id());
    let sent = own.and_then(|fd| rsw_os::pidfd::send_signal(fd, rsw_os::Signal::Kill));
    unreachable!("a process outlived its SIGKILL: {sent:?}")
}

pub(crate) fn point(name: &'static str) {
    let due = STATE.with_borrow_mut(|state| {
        *state.hits.entry(name).or_default() += 1;
        let armed = state.armed.as_mut().filter(|armed| armed.name == name)?;
        armed.left -= 1;
        if armed.left > 0 {
            return None;
        }
        state.armed.take()
    });
    if let Some(armed) = due {
        (armed.action)();
    }
}
