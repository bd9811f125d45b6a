//! Our ring: two planes, one written by each process, read by the other through a read-only mapping.

use rsw_plane::{
    EventHead, PlaneReader, PlaneSpec, PlaneWriter, Polled, RingReader, StartAt, WaitStrategy,
    Waiter,
};
use rsw_schemas::event::{PAYLOAD_BYTES, Slot};

use super::{End, WORDS_MAX, value_of};
use crate::Failure;
use crate::pair::Patience;

/// How long one wait lasts before the patience is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// One end with the ring it writes and the ring it reads.
pub(crate) struct Ring<const WORDS: usize> {
    writer: PlaneWriter,
    reader: RingReader,
    waiter: Waiter,
    wakes: bool,
}

/// A plane with a ring of `slots` and little else.
pub(crate) fn plane(slots: u64) -> Result<(PlaneWriter, PlaneReader), Failure> {
    let (writer, fd) = PlaneWriter::create(&spec(slots))?;
    Ok((writer, PlaneReader::attach(fd)?))
}

/// What [`plane`] makes.
pub(crate) fn spec(slots: u64) -> PlaneSpec {
    PlaneSpec {
        run_id: [1; 16],
        generation: 1,
        first_sequence: 0,
        nx: 1,
        ny: 1,
        tick_period_ns: 0,
        ring_slots: slots,
        cells: Vec::new(),
        fields: Vec::new(),
        arena_bytes: 4096,
    }
}

/// Both ends, to be split between two processes. With a strategy that sleeps every send wakes the other side,
/// which is a system call; one that spins needs none.
pub(crate) fn pair<const WORDS: usize>(wait: WaitStrategy) -> Result<[Ring<WORDS>; 2], Failure> {
    let wakes = !matches!(wait, WaitStrategy::BusySpin | WaitStrategy::Yield);
    let [(one, of_one), (two, of_two)] = [plane(65_536)?, plane(65_536)?];
    Ok([(one, of_two), (two, of_one)].map(|(writer, other)| Ring {
        writer,
        reader: other.ring(StartAt::Oldest),
        waiter: Waiter::new(wait),
        wakes,
    }))
}

/// What an event of a benchmark says about itself.
pub(crate) const HEAD: EventHead = EventHead { kind: 1, source: 0, generation: 1, t_ns: 0 };

/// The first `WORDS` words of a payload.
#[inline(always)]
pub(crate) fn words<const WORDS: usize>(slot: &Slot) -> [u64; WORDS] {
    let words: [u64; PAYLOAD_BYTES / 8] = bytemuck::cast(slot.payload);
    core::array::from_fn(|at| words[at])
}

impl<const WORDS: usize> End for Ring<WORDS> {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        const { assert!(WORDS <= WORDS_MAX) };
        self.writer.ring.push(HEAD, bytemuck::cast_slice(&[value; WORDS]));
        if self.wakes {
            self.writer.commit();
        } else {
            self.writer.ring.commit();
        }
    }

    #[inline(always)]
    fn receive(&mut self) -> u64 {
        let mut patience = Patience::new();
        loop {
            if self.reader.wait(&self.waiter, LOOK) {
                match self.reader.poll() {
                    Polled::Event { slot, .. } => return value_of(&words::<WORDS>(&slot)),
                    Polled::Lapped { from, to } => panic!("lapped in a ping-pong: {from}..{to}"),
                    Polled::Empty => {}
                }
            }
            patience.look();
        }
    }
}
