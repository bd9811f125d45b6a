//! In-process references, between two threads: the disruptor crate and crossbeam's channel.

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use disruptor::{
    BusySpin, EventPoller, ProcessorSettings, Producer, Sequence, SingleConsumerBarrier,
    SingleProducer, SingleProducerBarrier, build_single_producer,
};

use super::{End, WORDS_MAX, value_of};
use crate::pair::Patience;

/// A message as a thread channel passes it: by value.
pub(crate) type Message = [u64; WORDS_MAX];

/// One end of two bounded channels.
pub(crate) struct Channel {
    sends: Sender<Message>,
    receives: Receiver<Message>,
    words: usize,
}

/// Both ends.
pub(crate) fn channels(words: usize) -> [Channel; 2] {
    let [(a, b), (c, d)] = [crossbeam_channel::bounded(1024), crossbeam_channel::bounded(1024)];
    [Channel { sends: a, receives: d, words }, Channel { sends: c, receives: b, words }]
}

impl End for Channel {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let mut message = [0; WORDS_MAX];
        message[..self.words].fill(value);
        self.sends.send(message).expect("the other side is there");
    }

    #[inline(always)]
    fn receive(&mut self) -> u64 {
        let mut patience = Patience::new();
        loop {
            match self.receives.try_recv() {
                Ok(message) => return value_of(&message[..self.words]),
                Err(TryRecvError::Empty) => patience.look(),
                Err(TryRecvError::Disconnected) => panic!("the other side is gone"),
            }
        }
    }
}

/// An event of the disruptor, as large as ours: 96 bytes of payload in a slot of two cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub(crate) struct Event {
    /// The head, which ours carries too.
    pub(crate) head: [u64; 4],
    /// The payload.
    pub(crate) payload: Message,
}

/// An empty one.
pub(crate) const EMPTY: Event = Event { head: [0; 4], payload: [0; WORDS_MAX] };

/// The types that a disruptor with one producer and one polled consumer has.
pub(crate) type Poller = EventPoller<Event, SingleProducerBarrier>;
/// As above.
pub(crate) type Disruptor = SingleProducer<Event, SingleConsumerBarrier>;

/// A disruptor of `slots`; its consumer is polled by whoever holds it.
pub(crate) fn disruptor(slots: usize) -> (Disruptor, Poller) {
    let (poller, builder) = build_single_producer(slots, || EMPTY, BusySpin).new_event_poller();
    (builder.build(), poller)
}

/// A disruptor of `slots` whose consumer is a thread of its own on `core`.
pub(crate) fn disruptor_with(
    slots: usize,
    core: usize,
    each: impl FnMut(&Event, Sequence, bool) + Send + 'static,
) -> Disruptor {
    build_single_producer(slots, || EMPTY, BusySpin)
        .pin_at_core(core)
        .handle_events_with(each)
        .build()
}

/// One end of two disruptors.
pub(crate) struct Disrupted {
    sends: Disruptor,
    receives: Poller,
    words: usize,
}

/// Both ends.
pub(crate) fn disruptors(words: usize) -> [Disrupted; 2] {
    let [(a, b), (c, d)] = [disruptor(1024), disruptor(1024)];
    [Disrupted { sends: a, receives: d, words }, Disrupted { sends: c, receives: b, words }]
}

impl End for Disrupted {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let words = self.words;
        self.sends.publish(|event| event.payload[..words].fill(value));
    }

    #[inline(always)]
    fn receive(&mut self) -> u64 {
        let mut patience = Patience::new();
        loop {
            if let Ok(mut events) = self.receives.take(1)
                && let Some(event) = (&mut events).next()
            {
                return value_of(&event.payload[..self.words]);
            }
            patience.look();
        }
    }
}
