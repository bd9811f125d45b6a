//! The bounded memory between ring and disk: the drain thread fills it, the writer thread empties it.

use bytemuck::Zeroable;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rsw_schemas::event::Slot;

use crate::entry::{Block, Entry};

/// Events in one block: 128 KiB, a few microseconds of copying.
pub const BLOCK_EVENTS: usize = 1024;
/// With more entries than this waiting, the writer is behind.
const CALM_ENTRIES_MAX: usize = 16;

/// The writer is gone; nobody will ever empty the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer thread is gone")]
pub struct WriterGone;

/// The filling end. Never blocks: whoever fills it has a heart to keep beating.
#[derive(Debug)]
pub struct Spool {
    entries: Sender<Entry>,
    used: Receiver<Vec<Slot>>,
    block: Vec<Slot>,
    first: u64,
    filled: usize,
}

/// The emptying end.
#[derive(Debug)]
pub struct SpoolReader {
    /// What is to be recorded, in order.
    pub entries: Receiver<Entry>,
    /// Blocks to be filled again.
    pub used: Sender<Vec<Slot>>,
}

/// A spool for about `events` events.
pub fn spool(events: u64) -> (Spool, SpoolReader) {
    let blocks = usize::try_from(events).unwrap_or(usize::MAX).div_ceil(BLOCK_EVENTS).max(2);
    let (entries, taken) = bounded(blocks);
    let (give_back, used) = bounded(blocks);
    let block = vec![Slot::zeroed(); BLOCK_EVENTS];
    let spool = Spool { entries, used, block, first: 0, filled: 0 };
    (spool, SpoolReader { entries: taken, used: give_back })
}

impl Spool {
    /// Where the next events go; empty when the spool is full.
    pub fn room(&mut self) -> Result<&mut [Slot], WriterGone> {
        if self.filled == BLOCK_EVENTS {
            self.hand_over()?;
        }
        Ok(&mut self.block[self.filled..])
    }

    /// The first `count` slots of the room now hold consecutive events from `first` on.
    pub fn filled(&mut self, first: u64, count: usize) {
        if self.filled == 0 {
            self.first = first;
        }
        self.filled += count;
    }

    /// Hands the block over if the writer has nothing else to do. While the writer is busy the block goes on
    /// filling, so that a stall costs blocks by the thousand events and not by the wake-up.
    pub fn offer(&mut self) -> Result<(), WriterGone> {
        if self.filled > 0 && self.entries.is_empty() { self.hand_over() } else { Ok(()) }
    }

    /// Whether the writer keeps up, so that large things may be handed over.
    pub fn is_calm(&self) -> bool {
        self.entries.len() < CALM_ENTRIES_MAX
    }

    /// Whether there are events that the writer has not been given.
    pub fn holds_back(&self) -> bool {
        self.filled > 0
    }

    /// Hands over everything before `entry`, then `entry`; gives it back where there is no room for it.
    pub fn push(&mut self, entry: Entry) -> Result<Option<Entry>, WriterGone> {
        if !self.finish()? {
            return Ok(Some(entry));
        }
        match self.entries.try_send(entry) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(entry)) => Ok(Some(entry)),
            Err(TrySendError::Disconnected(_)) => Err(WriterGone),
        }
    }

    /// Hands over everything. Returns whether there was room for it.
    pub fn finish(&mut self) -> Result<bool, WriterGone> {
        self.hand_over()?;
        Ok(!self.holds_back())
    }

    fn hand_over(&mut self) -> Result<(), WriterGone> {
        if self.filled == 0 {
            return Ok(());
        }
        let next = self.used.try_recv().unwrap_or_default();
        let mut slots = std::mem::replace(&mut self.block, next);
        slots.truncate(self.filled);
        match self.entries.try_send(Entry::Events(Block { first: self.first, slots })) {
            Ok(()) => self.filled = 0,
            Err(TrySendError::Full(Entry::Events(block))) => self.block = block.slots,
            Err(_) => return Err(WriterGone),
        }
        self.block.resize(BLOCK_EVENTS, Slot::zeroed());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(spool: &mut Spool, first: u64, count: usize) -> usize {
        let room = spool.room().unwrap();
        let count = count.min(room.len());
        for (slot, seq) in room.iter_mut().zip(first..).take(count) {
            slot.stamp = seq;
        }
        spool.filled(first, count);
        count
    }

    fn take(reader: &SpoolReader) -> (u64, usize) {
        let Ok(Entry::Events(block)) = reader.entries.try_recv() else { panic!("no block") };
        assert!(block.slots.iter().zip(block.first..).all(|(slot, seq)| slot.stamp == seq));
        let answer = (block.first, block.slots.len());
        reader.used.try_send(block.slots).unwrap();
        answer
    }

    #[test]
    fn an_idle_writer_gets_small_blocks_and_a_busy_one_large_blocks() {
        let (mut spool, reader) = spool(4096);
        fill(&mut spool, 0, 3);
        spool.offer().unwrap();
        fill(&mut spool, 3, 4);
        spool.offer().unwrap();
        fill(&mut spool, 7, 5);
        spool.offer().unwrap();
        assert_eq!(take(&reader), (0, 3));
        spool.offer().unwrap();
        assert_eq!(take(&reader), (3, 9));
    }

    #[test]
    fn a_full_spool_has_no_room_and_loses_nothing() {
        let (mut spool, reader) = spool(2048);
        let mut next = 0;
        loop {
            let count = fill(&mut spool, next, 1000);
            if count == 0 {
                break;
            }
            next += count as u64;
        }
        assert_eq!(next, 3 * BLOCK_EVENTS as u64);
        let gap = |to| Entry::Gap { from: 0, to, cause: crate::entry::GapCause::Overrun };
        assert!(matches!(spool.push(gap(7)), Ok(Some(Entry::Gap { to: 7, .. }))));
        assert_eq!(spool.finish(), Ok(false));
        assert_eq!(take(&reader), (0, BLOCK_EVENTS));
        assert_eq!(fill(&mut spool, next, 10), 10);
        assert_eq!(take(&reader), (1024, BLOCK_EVENTS));
        assert_eq!(take(&reader), (2048, BLOCK_EVENTS));
        assert!(matches!(spool.push(gap(1)), Ok(None)));
        assert!(!spool.holds_back());
        assert_eq!(take(&reader), (3072, 10));
        assert!(matches!(reader.entries.try_recv(), Ok(Entry::Gap { .. })));
    }

    #[test]
    fn a_dead_writer_is_noticed() {
        let (mut spool, reader) = spool(2048);
        drop(reader);
        fill(&mut spool, 0, 1);
        assert_eq!(spool.finish(), Err(WriterGone));
    }
}
