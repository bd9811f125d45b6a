//! Complexity synchronisation: how alike the complexity indices of the agents move.
//!
//! The measure is the windowed zero-lag Pearson correlation of CI for every pair of agents, and the Fisher
//! z mean over the pairs: the matrix of the complexity-synchronisation procedure (Sci. Rep. 14:6758, 2024),
//! taken of CI itself, with undefined kept apart from zero.
//!
//! Everything here is a function of the samples alone: the same samples give the same bits in every process
//! of one build, in whatever order the agents' samples arrive within a tick.

mod observer;
mod pearson;
mod summary;
mod window;

pub use observer::Observer;
pub use pearson::{CONSTANT_REL, MIN_COMMON_TICKS, UNDEFINED, correlate};
pub use summary::{R_ABS_MAX, SyncResult, fisher_mean, matrix};
pub use window::Window;
