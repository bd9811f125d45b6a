//! Two ends that pass one value back and forth: what the latency suite measures.
//!
//! Every end really writes its payload and really reads the one it gets: each word of it carries the value.

pub(crate) mod bare;
pub(crate) mod floor;
pub(crate) mod iox;
pub(crate) mod ring;
pub(crate) mod stream;
pub(crate) mod thread;

/// Words of the largest event payload.
pub(crate) const WORDS_MAX: usize = rsw_schemas::event::PAYLOAD_BYTES / 8;

/// One end.
pub(crate) trait End {
    /// Sends `value` in every word of the payload.
    fn send(&mut self, value: u64);
    /// The value of the next message, once it came; every word of the payload was read.
    fn receive(&mut self) -> u64;
}

/// The value that ends an echo.
pub(crate) const STOP: u64 = u64::MAX;

/// Sends back whatever comes, until [`STOP`].
pub(crate) fn echo(mut end: impl End) {
    loop {
        let value = end.receive();
        end.send(value);
        if value == STOP {
            return;
        }
    }
}

/// The value that all words carry; ends the process if they differ, since then nothing measured means anything.
#[inline(always)]
pub(crate) fn value_of(words: &[u64]) -> u64 {
    let value = words[0];
    let differing = words.iter().fold(0, |seen, word| seen | (word ^ value));
    assert!(differing == 0, "a torn message: {words:?}");
    value
}
