//! The swarm file: its keys, its defaults, its checks, and the topology that follows from it.
//!
//! Goals: every error of every layer in one pass, each with its place, its reason and the way out; a
//! [`Topology`] with nothing left to decide. Non-goals: drawing errors, starting anything, and looking at
//! the machine, all of which is the supervisor's work.
//!
//! Reading order: [`SwarmConfig`], [`load`], [`resolve`], [`effective_toml`], [`Diagnostic`].

#![forbid(unsafe_code)]

mod model;
pub use model::*;

mod topology;
pub use topology::{AgentInstance, NamedSource, Topology};

mod load;
pub use load::{FILE_NAME, Loaded, Source, load};

mod resolve;
pub use resolve::{name_in, plane_bytes_estimate, resolve};

mod effective;
pub use effective::effective_toml;

mod diagnostic;
pub use diagnostic::{ConfigErrors, Diagnostic, NamedText, nearest};

mod origin;
pub use origin::{Layer, Origin, Origins};

mod drive;
pub use drive::{DriveColumn, DriveSummary, Taken};

pub mod recording;

mod words;
pub use words::{
    CpuSpec, NAME_BYTES_MAX, ThresholdSpec, WaitSpec, check_name, is_assignment, parse_cpus,
    parse_duration_ns, parse_threshold, parse_wait,
};

mod schema;
pub use schema::{AGENTS_MAX, CELLS_MAX, FIELDS, SIDE_MAX};

mod check;
pub use check::BAND_SHARE_MIN;

mod column;
mod demo;
mod lattice;
mod layer;
mod value;

pub use layer::ENV_PREFIX;
