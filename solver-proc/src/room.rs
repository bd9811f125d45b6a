//! Whether there is memory for fields that are about to be made.
//!
//! Fields are allocated one by one where they belong, and an allocation that fails there ends the process. So whoever is about
//! to make some asks first, for all of them at once: a system that would promise each by itself refuses the sum.

use thiserror::Error;

/// Fields that this process cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "{bytes} bytes of memory are needed, more than there is; allow more (`ulimit -v`), free some, or take a smaller field"
)]
pub struct NoMemory {
    /// What is needed.
    pub bytes: usize,
}

impl NoMemory {
    /// An empty vector with room for `count` values.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn or_room<T>(count: usize) -> Result<Vec<T>, Self> {
        let mut values = Vec::new();
        match values.try_reserve_exact(count) {
            Ok(()) => Ok(values),
            Err(_) => Err(Self { bytes: count.saturating_mul(size_of::<T>()) }),
        }
    }

    /// Makes sure that `count` values would find room now. None is kept for them.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn unless_room<T>(count: usize) -> Result<(), Self> {
        Self::or_room::<T>(count).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_refused() {
        assert_eq!(NoMemory::unless_room::<f32>(1 << 20), Ok(()));
        assert_eq!(NoMemory::unless_room::<f32>(1 << 60), Err(NoMemory { bytes: 1 << 62 }));
        assert_eq!(NoMemory::unless_room::<f64>(usize::MAX), Err(NoMemory { bytes: usize::MAX }));
    }
}
