//! Handles: numbers that look like pointers and are never followed, so that a closed one is an error for ever.
//!
//! # Layout
//!
//! A handle is `generation << 18 | slot << 4 | kind`. The table has a fixed number of slots; each remembers the whole
//! handle that it stands for (its tag), so one comparison refuses what is closed, of another kind, or made up.
//!
//! # States
//!
//! Slot: free (tag 0), or open, with an owner: the thread that used it last. Thread: outside, or inside one handle,
//! which its mark says. A thread's mark belongs to its thread pointer and is found by it; it is never given back, and a
//! later thread with the same pointer goes on with it.
//!
//! # Invariants
//!
//! - I1: an object is touched only by its slot's owner, and only while the owner's mark names the handle.
//! - I2: a mark is stored to only by its own thread.
//! - I3: slots change owner, open and close only under the mutex.
//! - I4: a slot changes owner, or closes, only while no mark names its handle.
//!
//! # Ordering
//!
//! Entering is a store to one's own mark and then a load of the owner. A thread that takes a handle over stores the
//! owner and then loads the mark. Each side must see the other's store or be seen, which needs a full barrier between
//! store and load on both. The frequent side has none: the other one calls `membarrier`, which puts one into every
//! thread. So a call through a handle that stays with its thread costs no locked instruction (about 20 cycles each, half
//! of a poll), and moving one costs some microseconds.
//!
//! | store | load | what becomes visible |
//! |---|---|---|
//! | H1: mark = handle, then (by the other's barrier) load of the owner | H2: owner = none, barrier, load of the mark | one of the two sees the other and gives way |
//! | H3: mark = 0, release | H2: mark, acquire | what the last user did to the object, to the next owner |
//! | H4: tag, under the mutex | any thread that was given the handle | the caller hands a handle over by means of his own that order |
//!
//! # Death
//!
//! A thread that ends inside a call takes the handle with it: everybody else gets RSW_E_BUSY. A forked child has the
//! handles of its parent; it must not use them, and the header says so.
//!
//! # Limits
//!
//! [`SLOTS`] handles at once, [`MARKS`] thread pointers ever. Generations wrap at 2^46 openings of one slot.
//!
//! # Checked by
//!
//! `handle::tests`; `tests/hostile.rs` in C.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::status::{Answer, Error, RSW_E_BUSY, RSW_E_HANDLE, RSW_E_LIMIT};

const SLOT_BITS: u32 = 14;
/// Handles at once.
pub(crate) const SLOTS: usize = 1 << SLOT_BITS;
const KIND_BITS: u32 = 4;
const MARK_BITS: u32 = 12;
/// Threads, ever, that use different thread pointers.
const MARKS: usize = 1 << MARK_BITS;

/// What a handle may stand for.
pub(crate) trait Object: Send + Sized + 'static {
    /// The opaque type of the header.
    type C;
    /// A number of its own, below 16.
    const KIND: u64;
    /// What it is called in errors.
    const WHAT: &'static str;
}

/// Where a thread says which handle it is inside. On a line of its own: it is stored to at every call.
#[repr(align(64))]
struct Mark {
    /// Thread pointer; 0: nobody's yet.
    thread: AtomicUsize,
    inside: AtomicU64,
}

/// One place of the table.
#[repr(align(64))]
struct Slot {
    /// The handle; 0: free.
    tag: AtomicU64,
    /// Who may enter without asking; null: nobody.
    owner: AtomicPtr<Mark>,
    /// A boxed object of the tag's kind.
    object: UnsafeCell<*mut ()>,
}

// SAFETY: tag and owner are atomics; the object is touched as I1 says, and every `Object` is `Send`.
unsafe impl Sync for Slot {}

static SLOT: [Slot; SLOTS] = [const {
    Slot {
        tag: AtomicU64::new(0),
        owner: AtomicPtr::new(core::ptr::null_mut()),
        object: UnsafeCell::new(core::ptr::null_mut()),
    }
}; SLOTS];

static MARK: [Mark; MARKS] =
    [const { Mark { thread: AtomicUsize::new(0), inside: AtomicU64::new(0) } }; MARKS];

/// What only [`open`] and [`close`] need: which slots are free, and the last generation.
struct Free {
    /// Slots that were open and are not any more.
    slots: Vec<usize>,
    /// Slots below this were open at some time.
    used: usize,
    generation: u64,
}

static FREE: Mutex<Free> = Mutex::new(Free { slots: Vec::new(), used: 0, generation: 0 });

/// A panic cannot leave anything half done in there.
fn free() -> MutexGuard<'static, Free> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts an object behind a new handle, which this thread owns.
pub(crate) fn open<T: Object>(object: T) -> Answer<*mut T::C> {
    const { assert!(T::KIND < 1 << KIND_BITS) };
    let mark = my_mark()?;
    let object = Box::into_raw(Box::new(object)).cast::<()>();
    let mut free = free();
    let unused = (free.used < SLOTS).then_some(free.used);
    let Some(at) = free.slots.pop().or(unused) else {
        drop(free);
        // SAFETY: made by `Box::into_raw` above and given to nobody.
        drop(unsafe { Box::from_raw(object.cast::<T>()) });
        let words = format!("{SLOTS} handles are open: close what is not needed");
        return Err(Error::new(RSW_E_LIMIT, words));
    };
    free.used = free.used.max(at + 1);
    free.generation += 1;
    let tag = free.generation << (SLOT_BITS + KIND_BITS) | (at as u64) << KIND_BITS | T::KIND;
    let slot = &SLOT[at];
    // SAFETY: the slot is free, so nobody has its handle, and the mutex is held (I3).
    unsafe { *slot.object.get() = object };
    slot.owner.store(mark.as_ptr(), Ordering::Release);
    slot.tag.store(tag, Ordering::Release); // H4
    Ok(core::ptr::without_provenance_mut(tag as usize))
}

/// Does something with the object behind a handle, exclusively.
#[inline]
pub(crate) fn enter<T: Object, R>(
    handle: *mut T::C,
    work: impl FnOnce(&mut T) -> Answer<R>,
) -> Answer<R> {
    let inside = Inside::enter::<T>(handle.addr() as u64)?;
    // SAFETY: `inside` proves that we are the owner and that our mark names the handle (I1): nobody else touches the slot.
    let object = unsafe { *inside.slot.object.get() }.cast::<T>();
    // SAFETY: its kind says that the object is a `T`, and again I1: the borrow ends before `inside` is dropped, since
    // `work` does not outlive it.
    let object = unsafe { &mut *object };
    work(object)
}

/// Takes the object away from its handle, which is dead from now on.
pub(crate) fn close<T: Object>(handle: *mut T::C) -> Answer<T> {
    let tag = handle.addr() as u64;
    let inside = Inside::enter::<T>(tag)?;
    let slot = inside.slot;
    let object = {
        let mut free = free();
        slot.tag.store(0, Ordering::Relaxed);
        slot.owner.store(core::ptr::null_mut(), Ordering::Release);
        free.slots.push(index(tag));
        // SAFETY: as in `enter`; and from here on no handle leads to it.
        unsafe { core::mem::replace(&mut *slot.object.get(), core::ptr::null_mut()) }
    };
    drop(inside);
    // SAFETY: made by `open::<T>` (the kind is in the tag) and taken out of the slot, once.
    Ok(*unsafe { Box::from_raw(object.cast::<T>()) })
}

/// This thread is inside a handle; ends when dropped, in a panic too.
struct Inside {
    slot: &'static Slot,
    mark: &'static Mark,
}

impl Inside {
    #[inline]
    fn enter<T: Object>(tag: u64) -> Answer<Self> {
        let mark = my_mark()?;
        let slot = &SLOT[index(tag)];
        if slot.tag.load(Ordering::Acquire) != tag || tag & ((1 << KIND_BITS) - 1) != T::KIND {
            return Err(no_handle(tag, T::WHAT));
        }
        if mark.inside.load(Ordering::Relaxed) != 0 {
            return Err(nested(T::WHAT));
        }
        mark.inside.store(tag, Ordering::Release); // H1
        compiler_fence(Ordering::SeqCst);
        if slot.owner.load(Ordering::Acquire) != mark.as_ptr() {
            mark.inside.store(0, Ordering::Release);
            return take_over(slot, mark, tag, T::WHAT);
        }
        Ok(Self { slot, mark })
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        self.mark.inside.store(0, Ordering::Release); // H3
    }
}

/// The handle was used by another thread before: makes sure that it is outside, and stays so.
#[cold]
fn take_over(
    slot: &'static Slot,
    mark: &'static Mark,
    tag: u64,
    what: &'static str,
) -> Answer<Inside> {
    let _held = free();
    if slot.tag.load(Ordering::Relaxed) != tag {
        return Err(no_handle(tag, what));
    }
    let before = slot.owner.swap(core::ptr::null_mut(), Ordering::SeqCst); // H2
    let give_back = |words: String| {
        slot.owner.store(before, Ordering::Release);
        Err(Error::new(RSW_E_BUSY, words))
    };
    if let Err(error) = rsw_os::membarrier::all_threads() {
        return give_back(format!("this {what} stays with the thread that opened it: {error}"));
    }
    // SAFETY: owners are marks, which are statics.
    let busy = unsafe { before.as_ref() }
        .is_some_and(|before| before.inside.load(Ordering::Acquire) == tag);
    if busy {
        return give_back(format!("another thread is inside this {what}: one thread at a time"));
    }
    slot.owner.store(mark.as_ptr(), Ordering::Release);
    mark.inside.store(tag, Ordering::Release);
    Ok(Inside { slot, mark })
}

#[cold]
fn no_handle(tag: u64, what: &str) -> Error {
    if tag == 0 {
        return Error::null(what);
    }
    Error::new(RSW_E_HANDLE, format!("{tag:#x} is no open {what}: it was closed, or never opened"))
}

#[cold]
fn nested(what: &str) -> Error {
    let words =
        format!("{what}: this thread is inside a call already; signal handlers must not call");
    Error::new(RSW_E_BUSY, words)
}

#[inline]
fn index(tag: u64) -> usize {
    (tag >> KIND_BITS) as usize & (SLOTS - 1)
}

impl Mark {
    fn as_ptr(&self) -> *mut Self {
        core::ptr::from_ref(self).cast_mut()
    }
}

#[inline]
fn my_mark() -> Answer<&'static Mark> {
    let thread = thread_pointer();
    let mark = &MARK[place_of(thread)];
    if mark.thread.load(Ordering::Relaxed) == thread {
        return Ok(mark);
    }
    look_for_mark(thread)
}

/// Thread pointers are far apart and aligned: their middle bits differ.
#[inline]
fn place_of(thread: usize) -> usize {
    ((thread as u64 >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - MARK_BITS)) as usize
}

/// Open addressing; marks are never given back, so whoever finds a free one has passed his own if there is one.
#[cold]
fn look_for_mark(thread: usize) -> Answer<&'static Mark> {
    for step in 0..MARKS {
        let mark = &MARK[(place_of(thread) + step) % MARKS];
        let claimed = mark.thread.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_ok() || claimed == Err(thread) {
            return Ok(mark);
        }
    }
    Err(Error::new(RSW_E_LIMIT, format!("more than {MARKS} threads have used this library")))
}

/// A number that no other living thread has.
#[cfg(target_arch = "x86_64")]
#[inline]
fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the word at fs:0 is the thread pointer itself (x86-64 psABI, TLS variant II); reading it changes nothing.
    unsafe {
        core::arch::asm!(
            "mov {}, qword ptr fs:[0]",
            out(reg) pointer,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    pointer
}

/// As above.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn thread_pointer() -> usize {
    // SAFETY: a question without side effects.
    unsafe { libc::pthread_self() as usize }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::status::RSW_E_NULL;

    struct Thing(u64);
    struct Other;
    struct CThing;
    struct COther;
    impl Object for Thing {
        type C = CThing;
        const KIND: u64 = 14;
        const WHAT: &'static str = "thing";
    }
    impl Object for Other {
        type C = COther;
        const KIND: u64 = 15;
        const WHAT: &'static str = "other thing";
    }

    /// A handle that is handed around as C does it.
    #[derive(Clone, Copy)]
    struct Handle(*mut CThing);
    // SAFETY: it is a number.
    unsafe impl Send for Handle {}
    // SAFETY: as above.
    unsafe impl Sync for Handle {}

    /// One test fills the table.
    static ALONE: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the handle whole: a closure that took its pointer alone could not be sent.
    fn use_it<R>(handle: Handle, work: impl FnOnce(&mut Thing) -> Answer<R>) -> Answer<R> {
        enter::<Thing, _>(handle.0, work)
    }

    fn read(handle: Handle) -> Answer<u64> {
        enter::<Thing, _>(handle.0, |thing| Ok(thing.0))
    }

    #[test]
    fn a_closed_handle_is_an_error_for_ever() {
        let _alone = alone();
        let first = Handle(open(Thing(1)).unwrap());
        assert_eq!(read(first).unwrap(), 1);
        assert_eq!(close::<Thing>(first.0).unwrap().0, 1);
        let others: Vec<Handle> = (0..100).map(|n| Handle(open(Thing(n)).unwrap())).collect();
        assert_eq!(read(first).unwrap_err().status(), RSW_E_HANDLE);
        assert_eq!(close::<Thing>(first.0).err().unwrap().status(), RSW_E_HANDLE);
        for (n, handle) in others.iter().enumerate() {
            assert_eq!(read(*handle).unwrap(), n as u64);
            close::<Thing>(handle.0).unwrap();
        }
    }

    #[test]
    fn what_is_no_handle_of_this_kind_is_refused() {
        let _alone = alone();
        let thing = open(Thing(1)).unwrap();
        let kind = |status: Answer<u64>| status.unwrap_err().status();
        assert_eq!(kind(enter::<Other, _>(thing.cast(), |_| Ok(0))), RSW_E_HANDLE);
        assert_eq!(kind(read(Handle(core::ptr::null_mut()))), RSW_E_NULL);
        let real = 0u64;
        for forged in [1, 16, usize::MAX, core::ptr::from_ref(&real).addr(), thing.addr() ^ 1 << 20]
        {
            let forged = Handle(core::ptr::without_provenance_mut(forged));
            assert_eq!(kind(read(forged)), RSW_E_HANDLE);
        }
        close::<Thing>(thing).unwrap();
    }

    #[test]
    fn a_handle_moves_between_threads_and_is_never_shared() {
        let _alone = alone();
        let handle = Handle(open(Thing(0)).unwrap());
        // Not atomic: two threads inside at once would lose counts, and a sanitizer would tell.
        let counted: u64 = std::thread::scope(|scope| {
            let count = || {
                let mut done = 0;
                while done < 2_000 {
                    let added = use_it(handle, |thing| {
                        let before = thing.0;
                        std::hint::black_box(&mut *thing);
                        thing.0 = before + 1;
                        Ok(())
                    });
                    match added {
                        Ok(()) => done += 1,
                        Err(error) => assert_eq!(error.status(), RSW_E_BUSY),
                    }
                }
                done
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(close::<Thing>(handle.0).unwrap().0, counted);
    }

    #[test]
    fn closing_what_another_thread_is_inside_is_refused() {
        let _alone = alone();
        let handle = Handle(open(Thing(5)).unwrap());
        let (entered, leave) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                use_it(handle, |thing| {
                    entered.store(true, Ordering::Release);
                    while !leave.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    Ok(thing.0)
                })
            });
            while !entered.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            assert_eq!(close::<Thing>(handle.0).err().unwrap().status(), RSW_E_BUSY);
            leave.store(true, Ordering::Release);
            assert_eq!(there.join().unwrap().unwrap(), 5);
        });
        close::<Thing>(handle.0).unwrap();
    }

    #[test]
    fn a_call_within_a_call_is_refused_and_a_panic_leaves_the_handle_usable() {
        let _alone = alone();
        let handle = Handle(open(Thing(5)).unwrap());
        let inner = enter::<Thing, _>(handle.0, |_| Ok(read(handle))).unwrap();
        assert_eq!(inner.unwrap_err().status(), RSW_E_BUSY);
        let panicked = std::panic::catch_unwind(|| {
            let _ = enter::<Thing, ()>(handle.0, |_| panic!("a bug"));
        });
        assert!(panicked.is_err());
        assert_eq!(read(handle).unwrap(), 5);
        close::<Thing>(handle.0).unwrap();
    }

    #[test]
    fn the_table_has_an_end_that_is_told() {
        let _alone = alone();
        let mut open_ones = Vec::new();
        let refused = loop {
            match open(Other) {
                Ok(handle) => open_ones.push(handle),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.status(), RSW_E_LIMIT);
        assert!(open_ones.len() > SLOTS / 2);
        for handle in open_ones {
            close::<Other>(handle).unwrap();
        }
    }
}
