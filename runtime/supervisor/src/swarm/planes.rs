//! The planes of a run, oldest first: the current one, and those that the recorder has not finished.

use std::os::fd::OwnedFd;

use rsw_plane::{AttachError, PlaneReader};
use rsw_schemas::wire::{GenerationNote, KernelReady, PlaneChanged};

/// Every plane that somebody may still need.
#[derive(Default)]
pub(super) struct Planes {
    known: Vec<Plane>,
}

/// One generation.
pub(super) struct Plane {
    pub(super) reader: PlaneReader,
    fd: OwnedFd,
    note: GenerationNote,
    /// The recorder has all of it.
    done: bool,
    /// The last tick of the run when its kernel was ready, for the log.
    pub(super) ready: KernelReady,
}

impl Planes {
    /// A kernel made a new plane.
    pub(super) fn add(&mut self, fd: OwnedFd, ready: KernelReady) -> Result<(), AttachError> {
        let copy = fd.try_clone().map_err(|source| AttachError::Map { total_bytes: 0, source })?;
        let reader = PlaneReader::attach(copy)?;
        let header = *reader.header();
        let note = GenerationNote {
            generation: header.generation,
            total_bytes: header.total_bytes,
            first_sequence: header.first_sequence,
            end_sequence: u64::MAX,
            wall_ns: header.created_wall_ns,
        };
        self.known.retain(|plane| !plane.done);
        self.known.push(Plane { reader, fd, note, done: false, ready });
        Ok(())
    }

    /// The newest plane, whether its writer lives or not.
    pub(super) fn current(&self) -> Option<&Plane> {
        self.known.last()
    }

    /// The writer of the newest plane is gone: its cursor is final.
    pub(super) fn end(&mut self) -> Option<GenerationNote> {
        let plane = self.known.last_mut()?;
        if plane.note.end_sequence != u64::MAX {
            return None;
        }
        plane.note.end_sequence = plane.reader.ring_cursor();
        Some(plane.note)
    }

    /// The recorder has everything of that generation; it is let go as soon as it is not the newest.
    pub(super) fn done(&mut self, generation: u64) {
        for plane in &mut self.known {
            plane.done |= plane.note.generation == generation;
        }
        let newest = self.known.last().map(|plane| plane.note.generation);
        self.known.retain(|plane| !plane.done || Some(plane.note.generation) == newest);
    }

    /// Without a recorder only the newest matters.
    pub(super) fn forget_old(&mut self) {
        if self.known.len() > 1 {
            self.known.drain(..self.known.len() - 1);
        }
    }

    /// Those that a recorder still needs, oldest first.
    pub(super) fn unrecorded(&self) -> impl Iterator<Item = &Plane> {
        self.known.iter().filter(|plane| !plane.done)
    }
}

impl Plane {
    /// A read-only descriptor with an open file description of its own.
    pub(super) fn open(&self) -> Option<OwnedFd> {
        rsw_os::memfd::reopen_read_only(&self.fd).ok()
    }

    pub(super) fn note(&self) -> GenerationNote {
        self.note
    }

    /// For whoever follows the planes.
    pub(super) fn changed(&self) -> PlaneChanged {
        PlaneChanged {
            generation: self.note.generation,
            total_bytes: self.note.total_bytes,
            first_sequence: self.note.first_sequence,
        }
    }

    /// Whether its writer is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.note.end_sequence != u64::MAX
    }
}
