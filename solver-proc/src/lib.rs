//! The numbers of the kernel: a 2-D damped wave driven by sources, and the complexity index of its field.
//!
//! Goals: one call a tick that never allocates ([`engine::Engine::tick`]); the same bits on every
//! machine and for every number of threads; every formula named and tested against an oracle.
//! Non-goals: no plane, no socket, no clock that decides anything: the process around it owns those.
//!
//! Reading order: [`grid`], [`wave`] (the scheme), [`source`] and [`drive`] (what feeds it),
//! [`energy`], [`metrics`] (what is measured), [`engine`] (one tick of all of it).

#![forbid(unsafe_code)]

pub mod grid;

pub mod wave;

mod boundary;

pub mod source;

pub mod drive;

pub mod energy;

pub mod metrics;

pub mod engine;

mod checkpoint;

mod cells;

mod lanes;

pub mod workers;
