//! What a reader says about itself, and how fast a count grows: both seen from outside, nothing is asked and the
//! publish path knows nothing of it.

use rsw_attach::{MailboxReader, MailboxWord, RecorderPageReader, RecorderWord};
use serde_json::{Map, Value as Json, json};

/// A rate is over one to two of these.
const SPAN_NS: u64 = 1_000_000_000;
/// Less time than this makes no rate.
const LEAST_NS: u64 = 50_000_000;

/// What one reader reports, from its page. Every number is its own word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Generation that it reads.
    pub(super) generation: u64,
    /// Sequence of the next event that it will read.
    pub(super) cursor: u64,
    /// Events that are published and that it has not read.
    pub(super) lag_events: u64,
    /// Events that it read; the recorder reports those that it wrote down.
    pub(super) received_events: u64,
    /// Events that it was too late for.
    pub(super) lost_events: u64,
    /// Loans that it was too late for; the recorder takes none.
    pub(super) missed_loans: Option<u64>,
    /// `CLOCK_MONOTONIC` of its last sign of life.
    pub(super) beat_mono_ns: u64,
}

impl Reading {
    /// An agent's mailbox; `None` as long as it has never written to it.
    pub(super) fn of_agent(page: &MailboxReader, published: u64) -> Option<Self> {
        let word = |word| page.load(word);
        let beat_mono_ns = Some(word(MailboxWord::HeartbeatMonoNs)).filter(|beat| *beat > 0)?;
        let cursor = word(MailboxWord::Cursor);
        Some(Self {
            generation: word(MailboxWord::Generation),
            cursor,
            lag_events: published.saturating_sub(cursor),
            received_events: word(MailboxWord::ReceivedEvents),
            lost_events: word(MailboxWord::LostEvents),
            missed_loans: Some(word(MailboxWord::MissedLoans)),
            beat_mono_ns,
        })
    }

    /// The recorder's page.
    pub(super) fn of_recorder(page: &RecorderPageReader, published: u64) -> Self {
        let word = |word| page.load(word);
        let cursor = word(RecorderWord::Drained);
        Self {
            generation: word(RecorderWord::Generation),
            cursor,
            lag_events: published.saturating_sub(cursor),
            received_events: word(RecorderWord::Recorded),
            lost_events: word(RecorderWord::Lost),
            missed_loans: None,
            beat_mono_ns: word(RecorderWord::HeartbeatMonoNs),
        }
    }

    /// The keys of a row of `ps`; all null for who reports nothing.
    pub(super) fn json(reading: Option<Self>) -> Map<String, Json> {
        let of = |get: fn(Self) -> Option<u64>| json!(reading.and_then(get));
        [
            ("cursor", json!(reading.map(|reading| reading.cursor.to_string()))),
            ("lag_events", of(|reading| Some(reading.lag_events))),
            ("received_events", of(|reading| Some(reading.received_events))),
            ("lost_events", of(|reading| Some(reading.lost_events))),
            ("missed_loans", of(|reading| reading.missed_loans)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
    }
}

/// How fast a count grows, from looks at it now and then.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    older: Option<Look>,
    newer: Option<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    mono_ns: u64,
    count: u64,
}

impl Rate {
    /// Keeps what a later question needs. A count that fell is another process's, and begins anew.
    pub(super) fn look(&mut self, mono_ns: u64, count: u64) {
        match self.newer {
            Some(newer) if count < newer.count => {
                *self = Self { older: None, newer: Some(Look { mono_ns, count }) };
            }
            Some(newer) if mono_ns.saturating_sub(newer.mono_ns) < SPAN_NS => {}
            newer => *self = Self { older: newer, newer: Some(Look { mono_ns, count }) },
        }
    }

    /// Counts a second, and the milliseconds that this is the mean of; `None` without two looks that far apart.
    pub(super) fn per_s(&self, mono_ns: u64, count: u64) -> Option<(f64, u64)> {
        let since = self.older.or(self.newer)?;
        let over_ns = mono_ns.checked_sub(since.mono_ns).filter(|ns| *ns >= LEAST_NS)?;
        let grown = count.checked_sub(since.count)?;
        Some((grown as f64 * 1e9 / over_ns as f64, over_ns / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use rsw_attach::{Mailbox, page};

    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_rate_is_over_the_last_second_or_two() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_s(S, 5), None);
        rate.look(S, 0);
        assert_eq!(rate.per_s(S + LEAST_NS - 1, 7), None, "too soon");
        assert_eq!(rate.per_s(S + S / 2, 50), Some((100.0, 500)));
        for tenth in 1..=30 {
            // A thousand a second for two seconds, then nothing.
            rate.look(S + tenth * S / 10, (tenth * 100).min(2000));
        }
        assert_eq!(rate.per_s(4 * S, 2000), Some((0.0, 1000)));
        assert_eq!(rate.per_s(5 * S, 4000), Some((1000.0, 2000)));
    }

    #[test]
    fn a_count_that_begins_anew_is_no_negative_rate() {
        let mut rate = Rate::default();
        rate.look(S, 1000);
        rate.look(3 * S, 2000);
        assert_eq!(rate.per_s(4 * S, 10), None);
        rate.look(4 * S, 10);
        assert_eq!(rate.per_s(5 * S, 20), Some((10.0, 1000)));
    }

    #[test]
    fn who_never_wrote_its_page_reports_nothing() {
        let file = page::create_for_peer("mailbox").unwrap();
        let reader = MailboxReader::from_fd(file.try_clone().unwrap()).unwrap();
        let mailbox = Mailbox::from_fd(file).unwrap();
        assert_eq!(Reading::of_agent(&reader, 10), None);
        let silent = Reading::json(None);
        assert!(silent.len() == 5 && silent.values().all(Json::is_null), "{silent:?}");
        mailbox.store(MailboxWord::HeartbeatMonoNs, 1);
        mailbox.store(MailboxWord::Cursor, 7);
        mailbox.store(MailboxWord::LostEvents, 2);
        let reading = Reading::of_agent(&reader, 10).unwrap();
        assert_eq!((reading.lag_events, reading.lost_events), (3, 2));
        assert_eq!(Reading::of_agent(&reader, 5).unwrap().lag_events, 0, "a cursor that lies");
        assert_eq!(Reading::json(Some(reading))["cursor"], "7");
    }
}
