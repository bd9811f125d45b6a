//! An agent that lives in an event loop: says what the ring tells it, until the swarm ends.
//!
//! `cargo run --release -p agent-proc --features tokio --example async_ring -- PATH`, where `runtime ps --json` names the
//! path; or as `command` of an agent in the swarm file, whose socket the launcher names in `RSW_SOCKET_FD`.

use std::process::ExitCode;

use agent_proc::ring::{Ring, RingError, Told};
use rsw_schemas::event::EventKind;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: async_ring PATH; without a path, RSW_SOCKET_FD must name an inherited socket")]
    Usage,
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error(transparent)]
    Os(#[from] rsw_os::OsError),
    #[error("the runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

async fn watch(mut ring: Ring) -> Result<(), Failure> {
    println!("attached; eventfd: {}", ring.has_eventfd());
    while let Some(told) = ring.next().await {
        match told? {
            Told::Event { sequence, slot } if slot.kind == EventKind::Tick as u16 => {
                println!("tick event {sequence}");
            }
            Told::Event { .. } => {}
            other => println!("{other:?}"),
        }
    }
    println!("ended: {} events, {} lost", ring.received(), ring.lost());
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("async_ring: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let path = std::env::args().nth(1);
    let inherited = std::env::var("RSW_SOCKET_FD").ok().and_then(|number| number.parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ring = match (path, inherited) {
            (Some(path), _) => Ring::connect(path, "async-ring").await?,
            (None, Some(number)) => {
                Ring::from_inherited(rsw_os::process::inherited(number)?, "async-ring").await?
            }
            (None, None) => return Err(Failure::Usage),
        };
        watch(ring).await
    })
}
