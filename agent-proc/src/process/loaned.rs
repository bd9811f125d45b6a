//! What the gateway lends: the metrics batches, and the newest CI frame to check the kernel's words against.

use std::path::Path;

use agent_proc::feed::{self, FeedError, Sample};
use rsw_loans::{
    BatchSubscriber, DecodeError, DomainError, FieldSubscriber, LoanDomain, ReceiveError,
    ServiceError,
};
use rsw_schemas::event::Tick;

/// Name of the loan service that carries [`rsw_schemas::batch::BatchSchema::Metrics`].
const METRICS: &str = "metrics";
/// Name of the field that is looked at.
const CI: &str = "ci";
/// The field holds single precision, the tick event the mean of double precision.
const MEAN_REL_MAX: f64 = 1e-5;
/// Tick events remembered for the comparison: a frame is older than the newest event when it gets here.
const TICKS_KEPT: usize = 256;

/// Why nothing can be borrowed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoanedError {
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
}

/// Why a batch is a hole; the loans themselves are fine.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchFault {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// The loans of one incarnation of the gateway.
pub(super) struct Loaned {
    batches: BatchSubscriber,
    ci: Option<FieldSubscriber>,
    /// The ports' node; after them, because fields are dropped in this order.
    _domain: LoanDomain,
}

impl Loaned {
    /// Subscribes; the gateway has made the services before it said welcome.
    pub(super) fn open(root: &Path, incarnation: u64, has_ci: bool) -> Result<Self, LoanedError> {
        let domain = LoanDomain::new(root, incarnation)?;
        let batches = domain.subscribe_batches(METRICS)?;
        let ci = if has_ci { Some(domain.subscribe_field(CI)?) } else { None };
        Ok(Self { batches, ci, _domain: domain })
    }

    /// Hands out the samples of every batch that waits, reading them where they lie. A batch that cannot be
    /// read is a hole; the first such fault is returned.
    pub(super) fn take(
        &mut self,
        mut each: impl FnMut(Sample),
    ) -> Result<Option<BatchFault>, LoanedError> {
        let mut first_fault = None;
        while let Some(loan) = self.batches.receive()? {
            let mut read = || -> Result<(), BatchFault> {
                feed::from_batch(&loan.record_batch()?)?.for_each(&mut each);
                Ok(())
            };
            if let Err(fault) = read() {
                first_fault.get_or_insert(fault);
            }
        }
        Ok(first_fault)
    }

    /// Batches taken so far.
    pub(super) fn received(&self) -> u64 {
        self.batches.received()
    }

    /// Batches that gave way before we took them.
    pub(super) fn missed(&self) -> u64 {
        self.batches.missed()
    }

    /// Borrows the newest CI frame, if one waits, and compares its mean with what the kernel said.
    pub(super) fn check(&mut self, kernel: &mut KernelWords) -> Result<(), LoanedError> {
        let Some(ci) = &mut self.ci else { return Ok(()) };
        if let Some(frame) = ci.receive_latest()? {
            let info = frame.info();
            let sum: f64 = frame.data().iter().map(|&cell| f64::from(cell)).sum();
            kernel.compare(info.generation, info.tick, sum / frame.data().len() as f64);
        }
        Ok(())
    }
}

/// The mean CI of the last ticks, as the kernel published it, and how often a frame agreed with it.
#[derive(Debug, Default)]
pub(super) struct KernelWords {
    means: std::collections::VecDeque<(u64, u64, f64)>,
    /// Frames whose mean was compared.
    pub(super) compared: u64,
    /// Of those, frames that differ.
    pub(super) differing: u64,
}

impl KernelWords {
    pub(super) fn hear(&mut self, generation: u64, tick: &Tick) {
        if self.means.len() == TICKS_KEPT {
            self.means.pop_front();
        }
        self.means.push_back((generation, tick.tick, tick.ci_mean));
    }

    fn compare(&mut self, generation: u64, tick: u64, mean: f64) {
        let said = self.means.iter().rev().find(|words| (words.0, words.1) == (generation, tick));
        if let Some(&(_, _, said)) = said {
            self.compared += 1;
            let alike = (mean - said).abs() <= MEAN_REL_MAX * said.abs().max(1.0);
            // Written so that NaN differs.
            self.differing += u64::from(!alike);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_compared_with_their_own_tick_only() {
        let mut words = KernelWords::default();
        for number in 1..=300u64 {
            let mut tick: Tick = bytemuck::Zeroable::zeroed();
            (tick.tick, tick.ci_mean) = (number, number as f64);
            words.hear(1, &tick);
        }
        words.compare(1, 300, 300.0);
        words.compare(1, 299, 299.001);
        assert_eq!((words.compared, words.differing), (2, 0));
        words.compare(1, 299, 300.0);
        words.compare(1, 299, f64::NAN);
        assert_eq!((words.compared, words.differing), (4, 2));
        // Forgotten, of another generation, not heard of.
        for (generation, tick) in [(1, 1), (2, 300), (1, 301)] {
            words.compare(generation, tick, 0.0);
        }
        assert_eq!(words.compared, 4);
    }
}
