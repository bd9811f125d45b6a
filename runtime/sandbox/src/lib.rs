//! What a process gives up before it runs, and the launcher that makes it.
//!
//! The supervisor describes a process with a [`Policy`] and starts it through [`Launch`], which runs the
//! small program `rsw-launch`; that one applies the policy to itself with [`apply`] and then becomes
//! the program. So the enforcement never depends on the code of an agent, and nothing that an agent
//! does later can undo it: every step is a one-way door of the kernel.
//!
//! # Goals
//! The order of steps is fixed and documented in [`apply`]; a promised step that fails ends the start;
//! a step above the promise that this kernel lacks is reported in [`Applied::notes`].
//!
//! # Non-goals
//! Namespaces and control groups (both need rights or settings that many machines do not give);
//! bounding CPU time; hiding the time or the load of the machine.
//!
//! # What stays possible inside `Sandboxed`
//! Reading the listed paths, and with them `fchmod` to 0200, 0400, 0600 or 0750 of a file of the same
//! user, since neither Landlock nor seccomp can tell which file a descriptor means (a reason not to run
//! swarms as root); harming the loans in the write folders; spinning; sending junk on its own socket.

mod apply;
mod files;
mod filter;
mod launch;
mod limits;
mod policy;
mod privileges;
mod report;
mod syscalls;

pub use apply::{ApplyError, apply};
pub use launch::{Launch, LaunchError, Launched, launcher_path};
pub use policy::{Limits, Policy, Profile};
pub use report::{Applied, Report, ReportError};

/// The exit code of the launcher when a policy cannot be had; equals `rsw_schemas::exit::PERMISSION`,
/// repeated here because the sandbox depends on nothing but the operating system.
pub const EXIT_PERMISSION: u8 = 7;
