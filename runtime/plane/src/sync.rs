//! The atomics of this crate, in one place: a model checker replaces them here and nowhere else.
//!
//! Every ordering that a protocol rests on carries its label (`latch.W1`); the protocol's file says what it pairs
//! with. Under the model checker a test can take one of them away, to show that its model notices. With `cfg(shuttle)`
//! beside `cfg(loom)` the checker is shuttle: no reordering, but schedules as long as one likes.
//!
//! Every store of a protocol is followed by a [`point`] with a name. In `rsw-plane-points`, which is this same source
//! compiled with `cfg(named_points)`, a test may kill its process there; everywhere else it is nothing.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(all(loom, not(shuttle)))]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(all(loom, shuttle))]
pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};

#[cfg(named_points)]
pub(crate) use crate::points::point;

#[cfg(all(loom, test))]
pub(crate) use modelled::point;

/// The place right after a store of a protocol, or between a reader's copy and its second look.
#[cfg(not(any(named_points, all(loom, test))))]
#[inline(always)]
pub(crate) const fn point(_name: &'static str) {}

/// A fence of a protocol.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn fence(_label: &'static str, order: Ordering) {
    core::sync::atomic::fence(order);
}

/// A release store of a protocol.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn release(_label: &'static str) -> Ordering {
    Ordering::Release
}

/// An acquire load of a protocol.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn acquire(_label: &'static str) -> Ordering {
    Ordering::Acquire
}

#[cfg(loom)]
pub(crate) use modelled::{acquire, fence, release};

#[cfg(loom)]
pub(crate) mod modelled {
    use super::Ordering;
    use std::cell::Cell;

    #[cfg(not(shuttle))]
    pub(crate) use loom as checker;
    #[cfg(shuttle)]
    pub(crate) use shuttle as checker;

    thread_local! {
        static SEEDED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Takes the ordering with this label away, on this thread.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn seed_bug(label: Option<&'static str>) {
        SEEDED.set(label);
    }

    /// What a writer unwinds with that died.
    #[cfg(test)]
    pub(crate) struct Death;

    #[cfg(test)]
    thread_local! {
        static STORES_LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From here on a writer dies after its `stores`-th store; `None`: nobody dies.
    #[cfg(test)]
    pub(crate) fn die_after(stores: Option<u64>) {
        STORES_LEFT.set(stores);
    }

    #[cfg(test)]
    pub(crate) fn point(name: &'static str) {
        let (true, Some(left)) = (name != "ring.copied", STORES_LEFT.get()) else { return };
        STORES_LEFT.set(left.checked_sub(1).filter(|left| *left > 0));
        if left == 1 {
            // No panic hook: this is no failure.
            std::panic::resume_unwind(Box::new(Death));
        }
    }

    fn seeded(label: &str) -> bool {
        SEEDED.get() == Some(label)
    }

    pub(crate) fn fence(label: &'static str, order: Ordering) {
        if !seeded(label) {
            checker::sync::atomic::fence(order);
        }
    }

    pub(crate) fn release(label: &'static str) -> Ordering {
        if seeded(label) { Ordering::Relaxed } else { Ordering::Release }
    }

    pub(crate) fn acquire(label: &'static str) -> Ordering {
        if seeded(label) { Ordering::Relaxed } else { Ordering::Acquire }
    }
}
