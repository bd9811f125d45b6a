//! The engine's outside: arguments, sockets, ticking, publishing.
//!
//! Reading order: [`kernel`] (the life of the process), [`publish`] (one tick becomes events, frames, cells),
//! [`gate`] (the bounded wait for a lossless recorder), [`batch`], [`board`], [`links`], [`pacer`], [`spec`].

mod kernel;

mod publish;

mod gate;

mod batch;

mod board;

mod links;

mod pacer;

mod spec;

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use rsw_schemas::exit;
use solver_proc::engine::EngineError;

/// Integrates the field of one swarm and publishes it; started by `runtime up`, not by hand.
#[derive(Debug, clap::Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Inherited socket to the supervisor.
    #[arg(long)]
    control_fd: RawFd,
    /// The resolved swarm as JSON.
    #[arg(long)]
    topology: PathBuf,
    /// Identity of the run, 32 hexadecimal digits.
    #[arg(long)]
    run_id: String,
    /// Generation of the plane to make.
    #[arg(long)]
    generation: u64,
    /// Inherited plane of the generation before, to continue from.
    #[arg(long)]
    previous_fd: Option<RawFd>,
    /// Cores to run on, such as `2,4-7`.
    #[arg(long)]
    pin: Option<String>,
}

/// Why the kernel ends with a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelError {
    /// The arguments or the topology make no sense.
    #[error("{0}")]
    Config(String),
    /// What the system, or another process, did not have just now: the next kernel may find it.
    #[error("{0}")]
    Start(String),
    /// The plane could not be made.
    #[error(transparent)]
    Plane(#[from] rsw_plane::CreateError),
    /// `plane.lock = "yes"` cannot be kept.
    #[error(
        "the plane is not locked: {source} (limit of locked memory: {limit}); \
         raise it with `ulimit -l {needed_kib}` or LimitMEMLOCK=, or set plane.lock = \"no\""
    )]
    Lock {
        /// What may be locked.
        limit: String,
        /// What it takes.
        needed_kib: u64,
        /// What the kernel said.
        source: rsw_os::OsError,
    },
    /// The engine refused its parameters or its input.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A GPU failed on the way: the next kernel goes on from the last checkpoint.
    #[error("{0}; field.backend = \"cpu\" does without it")]
    Gpu(#[from] solver_proc::gpu::GpuError),
    /// A system call failed.
    #[error(transparent)]
    Os(#[from] rsw_os::OsError),
    /// A socket failed.
    #[error("socket to the supervisor: {0}")]
    Socket(#[from] rsw_attach::CodecError),
}

impl KernelError {
    fn exit_code(&self) -> u8 {
        match self {
            // Another time there may be more.
            Self::Engine(EngineError::Room(_)) => exit::FAILURE,
            Self::Config(_) | Self::Engine(_) => exit::CONFIG,
            Self::Lock { .. } => exit::PERMISSION,
            Self::Start(_) | Self::Plane(_) | Self::Gpu(_) | Self::Os(_) | Self::Socket(_) => {
                exit::FAILURE
            }
        }
    }
}

pub(crate) fn main(args: Args) -> ExitCode {
    let control = match rsw_os::process::inherited(args.control_fd) {
        Ok(control) => control,
        Err(error) => {
            rsw_os::process::note(format_args!("solver-proc: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    let mut links = links::Links::new(control);
    match kernel::run(&args, &mut links) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            rsw_os::process::note(format_args!("solver-proc: {error}"));
            links.last_words(error.exit_code(), &error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
