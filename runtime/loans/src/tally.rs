//! Exact account of what one subscriber received and what it missed.

/// Compares the publisher's numbers, which count every loan without a gap, with what arrives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    next: Option<u64>,
    received: u64,
    missed: u64,
}

impl Tally {
    /// Books the arrival of loan `number`. Counting starts with the first loan that arrives: what was
    /// published before this subscriber existed is not missed.
    pub(crate) fn arrived(&mut self, number: u64) {
        self.missed += number.saturating_sub(self.next.unwrap_or(number));
        self.received += 1;
        self.next = Some(number.saturating_add(1));
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn received_and_missed_add_up_to_published_since_the_first() {
        let mut tally = Tally::default();
        for number in [7, 8, 11, 12, 20] {
            tally.arrived(number);
        }
        assert_eq!((tally.received(), tally.missed()), (5, 2 + 7));
        assert_eq!(tally.received() + tally.missed(), 20 - 7 + 1);
    }

    #[test]
    fn a_forged_number_cannot_panic() {
        let mut tally = Tally::default();
        for number in [u64::MAX, 0, u64::MAX] {
            tally.arrived(number);
        }
        assert_eq!(tally.received(), 3);
    }
}
