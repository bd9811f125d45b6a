//! One run: every frame through the meter that the kernel uses, the last one through the rest.

use std::path::{Path, PathBuf};

use solver_proc::metrics::spectrum::Spectrum;
use solver_proc::metrics::{self, Bands, Kept, Meter};
use solver_proc::npy;
use solver_proc::room::NoMemory;
use solver_proc::workers::Workers;

use crate::Failure;
use crate::document::{Document, Measured};
use crate::frames::Frames;
use crate::options::{Options, Parameters};

/// Fields of single precision that the structure factor holds at most: modes, their powers, those of the file.
const SPECTRUM: usize = 8;

/// tau0 and the envelope's memory, in frames, for a field that has always been so: one frame is then as good as ever.
const LASTING: f64 = 1e-6;

pub(crate) fn run(options: &Options) -> Result<Document, Failure> {
    let Parameters { mut section, bands, frame_seconds } = options.parameters()?;
    options.out_prefix.as_deref().map_or(Ok(()), |prefix| npy::check_folder(Path::new(prefix)))?;
    let mut frames = Frames::open(&options.fields)?;
    if frames.is_one() {
        section.tau0 = LASTING * frame_seconds;
        section.envelope_ticks = LASTING;
    }
    let [nx, ny] = frames.size();
    let workers = Workers::single()?;
    let bands_measured = if frames.is_one() { 0 } else { bands.len() };
    let fields = metrics::fields_max(Kept::ALL, bands_measured) + SPECTRUM;
    NoMemory::unless_room::<f32>(fields * nx * ny)
        .map_err(|error| format!("measuring {nx} x {ny} cells: {error}"))?;
    let mut meter = Meter::new(nx, ny, &section, frame_seconds, Kept::ALL)
        .map_err(|error| options.in_flags(&error))?;
    // A single field has no frequencies.
    let mut bands = match bands.is_empty() || frames.is_one() {
        true => None,
        false => Some(Bands::new(nx, ny, &section, &bands, frame_seconds)?),
    };
    let mut measured = Vec::new();
    while let Some(field) = frames.next()? {
        meter.survey(field, &workers);
        let summary = meter.measure(field, &workers);
        if let Some(bands) = &mut bands {
            bands.measure(field, &workers);
        }
        measured.push(Measured::new(summary, bands.as_ref()));
    }
    let spectrum = Spectrum::new(frames.last(), nx, options.hann);
    let document = Document::new([nx, ny], &section, &meter, measured, &spectrum);
    if let Some(prefix) = &options.out_prefix {
        write(prefix, nx, &document, &meter, &spectrum)?;
        if let Some(bands) = &bands {
            npy::write_field(&PathBuf::from(format!("{prefix}-ci_total.npy")), nx, bands.total())?;
        }
    }
    Ok(document)
}

fn write(
    prefix: &str,
    nx: usize,
    document: &Document,
    meter: &Meter,
    spectrum: &Spectrum,
) -> Result<(), Failure> {
    let to = |name: &str| PathBuf::from(format!("{prefix}-{name}.npy"));
    npy::write_field(&to("ci"), nx, meter.ci())?;
    npy::write_field(&to("coherence"), nx, meter.coherence())?;
    npy::write_field(&to("gain"), nx, meter.gain())?;
    if document.is_sequence() {
        npy::write_field(&to("dwell"), nx, meter.dwell())?;
    }
    npy::write_field(&to("dimension"), document.tiles()[0], document.dimensions())?;
    npy::write_field(&to("structure-factor"), nx, &spectrum.modes().collect::<Vec<_>>())?;
    Ok(())
}
