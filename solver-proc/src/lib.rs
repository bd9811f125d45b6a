//! The numbers of the kernel: a 2-D damped wave driven by sources, and the complexity index of its field.
//!
//! Goals: one call a tick that never allocates on the CPU, on one thread or from inside of its pool
//! ([`engine::Engine::tick`]); the same bits on every machine and for every number of threads; every formula
//! named and tested against an oracle.
//! Non-goals: no plane, no socket, no clock that decides anything: the process around it owns those.
//!
//! Reading order: [`real`], [`grid`], `cells` (where fields lie), `lanes` (sums over rows), [`workers`] (who does
//! the work), [`wave`] (the scheme, one step at a time), `stencil` (one cell of it), `tile` (several steps at a
//! time), `boundary`, [`feedback`], [`source`] and [`drive`] (what feeds it), [`energy`], [`metrics`] (what is
//! measured), [`gpu`] (all of that elsewhere), [`engine`] (one tick of all of it), `checkpoint` (what it saves);
//! and, for whoever makes fields, [`npy`] (from and to files), [`room`] (is there memory for them)
//! and [`command`] (how a program says so).

#![forbid(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

pub mod real;

pub mod grid;

pub mod wave;

mod stencil;

mod tile;

mod boundary;

pub mod feedback;

pub mod source;

pub mod drive;

pub mod energy;

pub mod metrics;

pub mod gpu;

pub mod engine;

mod checkpoint;

pub mod npy;

pub mod command;

pub mod room;

mod cells;

mod lanes;

pub mod workers;
