//! The complexity index of a field, `CI = alpha D^bD G C (1 - exp(-tau/tau0))`, cell by cell.
//!
//! Definitions are those of SCIENCE.md (The complexity index); each file names its own. What is where:
//! [`memory`] keeps what a cell remembers from tick to tick, [`threshold`] finds the set whose
//! dimension [`boxes`] counts on the words of [`bits`], [`dimension`] lays it between the tiles, [`window`] has
//! means and variances over windows, [`index`] multiplies it all together, [`meter`] runs them over a field.
//! [`bands`] does so band by band, gated; [`spectrum`] has the structure factor.

mod bandpass;
pub mod bands;
pub mod bits;
pub mod boxes;
pub mod dimension;
pub mod index;
pub mod memory;
pub mod meter;
pub mod spectrum;
mod sweep;
pub mod threshold;
pub mod window;

pub use bands::Bands;
pub use boxes::{BoxFit, BoxRange};
pub use meter::{Kept, Meter, MetricsError, Summary};
pub use threshold::Threshold;

/// So many fields of single precision are in a meter and in so many bands, at most.
pub fn fields_max(kept: Kept, bands: usize) -> usize {
    Meter::fields_max(kept) + if bands == 0 { 0 } else { Bands::fields_max(bands) }
}
