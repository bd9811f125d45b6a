//! The gateway: the only process of the swarm that an agent can touch.
//!
//! It shakes hands, lends fields and record batches, checks reports, and passes on what it admits. It is
//! expendable: an agent that breaks iceoryx2's shared bookkeeping breaks this process, the supervisor
//! starts the next incarnation, and neither the kernel nor the plane notices.
//!
//! # What clients say and hear
//!
//! The packets are those of [`rsw_schemas::wire`]; `rsw_wire.h`, which is made from them, tells the whole of it to who writes
//! a client: hello, then welcome or refusal, then plane after plane; reports against it. A client is of our version if
//! `ABI_MAJOR` and `LAYOUT_HASH` of its hello are ours; else it is refused with both of ours. The hash covers the form of
//! every packet. Whoever changes what is said when, or the number of a kind, a flag or a refusal, raises `ABI_MAJOR`, and
//! the comment in `tools/xtask/src/header.rs` that becomes the page of the protocol.
//!
//! Reading order: [`gateway`] (the loop), [`client`] (one connection), [`report`] (what is admitted),
//! [`kernel_link`], [`lender`] (loans, on a thread of its own), [`waker`] (eventfds), [`welcome`] (the packets to
//! clients).

#![forbid(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

mod gateway;

mod client;

mod report;

mod kernel_link;

mod lender;

mod waker;

mod welcome;

mod error;

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rsw_attach::codec;
use rsw_schemas::wire::{PacketKind, ProcessText};
use rsw_schemas::{exit, text};

use crate::error::GatewayError;

/// Lets agents in, lends them fields and batches, takes their reports; started by `runtime up`, not by hand.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Inherited socket to the supervisor.
    #[arg(long)]
    control_fd: RawFd,
    /// Inherited socket to the kernel; without it, the supervisor sends one later.
    #[arg(long)]
    kernel_fd: Option<RawFd>,
    /// Public socket to make.
    #[arg(long)]
    socket: PathBuf,
    /// Folder for the loans of every incarnation, best on a tmpfs.
    #[arg(long)]
    loan_root: PathBuf,
    /// How often a gateway was started in this run, from 1.
    #[arg(long)]
    incarnation: u64,
    /// The resolved swarm as JSON.
    #[arg(long)]
    topology: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let control = match rsw_os::process::inherited(args.control_fd) {
        Ok(control) => control,
        Err(error) => {
            rsw_os::process::note(format_args!("gateway: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    match run(&args, &control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = error.chain();
            rsw_os::process::note(format_args!("gateway: {words}"));
            last_words(&control, error.exit_code(), &words);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: &Args, control: &OwnedFd) -> Result<(), GatewayError> {
    let kernel = args.kernel_fd.map(rsw_os::process::inherited).transpose()?;
    gateway::Gateway::new(args, control.as_fd(), kernel)?.run()
}

/// Tells the supervisor why this process is about to fail; best effort.
fn last_words(control: &OwnedFd, exit_code: u8, words: &str) {
    let words =
        ProcessText { exit_code: u32::from(exit_code), reserved: 0, text: text::pack(words) };
    let _ = codec::send(control.as_fd(), PacketKind::Failed, &words, &[]);
}
