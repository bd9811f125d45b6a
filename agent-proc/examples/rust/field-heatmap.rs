//! field-heatmap [FILE]: borrows a frame of the complexity field, without a copy, and writes it as an image (PGM).

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "example.rs"]
mod example;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytemuck::Zeroable;
use example::{Failure, Swarm};
use rsw_loans::{FieldLoan, LoanDomain};
use rsw_plane::StartAt;
use rsw_schemas::event::Slot;
use rsw_schemas::text;

fn main() -> ExitCode {
    example::end(run())
}

fn run() -> Result<(), Failure> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "ci.pgm".to_owned());
    let mut swarm = Swarm::connect("field-heatmap")?;
    let frame = borrow(&mut swarm)?;
    let info = frame.info();
    let range = if info.max > info.min { info.max - info.min } else { 1.0 };
    let shade = |cell: &f32| (255.0 * ((cell - info.min) / range)) as u8;
    let mut image = format!("P5\n{} {}\n255\n", info.nx, info.ny).into_bytes();
    image.extend(frame.data().iter().map(shade));
    std::fs::write(path, image)?;
    let (min, max) = (info.min, info.max);
    writeln!(std::io::stdout(), "ci {} x {}, {min:.6} to {max:.6}", info.nx, info.ny)?;
    Ok(())
}

/// The newest frame, as soon as one is lent.
fn borrow(swarm: &mut Swarm) -> Result<FieldLoan, Failure> {
    let other = |error: Box<dyn std::error::Error>| Failure::Other(error);
    let mut events = swarm.events(StartAt::Latest);
    let mut slots = [Slot::zeroed(); 256];
    let root = text::unpack(&swarm.welcome.loan_root);
    let domain = LoanDomain::new(Path::new(&root), swarm.welcome.incarnation)
        .map_err(|error| other(error.into()))?;
    let mut field = domain.subscribe_field("ci").map_err(|error| other(error.into()))?;
    loop {
        if let Some(frame) = field.receive_latest().map_err(|error| other(error.into()))? {
            return Ok(frame);
        }
        // Frames wake nobody; the events of their ticks do.
        if !events.wait(swarm, Duration::from_millis(100))? {
            return Err(other("the swarm has ended before it lent a frame".into()));
        }
        events.poll(swarm, &mut slots);
    }
}
