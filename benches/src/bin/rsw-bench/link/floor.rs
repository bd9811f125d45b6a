//! The floor: one atomic word each way, a cache line apart from everything else. Nothing between two cores is faster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::End;
use crate::Failure;
use crate::pair::{Patience, SharedWords};

const LINE_WORDS: usize = 16;

/// Two words in memory that both processes map.
pub(crate) struct Floor {
    page: Arc<SharedWords>,
    mine: usize,
    seen: u64,
}

/// Both ends, to be split between two processes.
pub(crate) fn pair() -> Result<[Floor; 2], Failure> {
    let page = Arc::new(SharedWords::page()?);
    Ok([0, 1].map(|mine| Floor { page: page.clone(), mine, seen: 0 }))
}

impl Floor {
    #[inline(always)]
    fn word(&self, end: usize) -> &AtomicU64 {
        &self.page.words()[end * LINE_WORDS]
    }
}

impl Floor {
    /// A value that came since the last one, if there is one.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Option<u64> {
        let value = self.word(1 - self.mine).load(Ordering::Acquire);
        (value != self.seen).then(|| {
            self.seen = value;
            value
        })
    }
}

impl End for Floor {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.word(self.mine).store(value, Ordering::Release);
    }

    #[inline(always)]
    fn receive(&mut self) -> u64 {
        let mut patience = Patience::new();
        loop {
            if let Some(value) = self.peek() {
                return value;
            }
            patience.look();
        }
    }
}
