//! The way back from a device: as much at a time as there is room for on this side.

use wgpu::{Buffer, BufferUsages, CommandEncoder, CommandEncoderDescriptor, MapMode};

use super::adapter::Gpu;
use super::buffers::buffer;
use super::error::GpuError;

/// Most bytes that cross the bus at a time, and so the room for them on this side.
pub(super) const ROOM_BYTES_MAX: u64 = 64 << 20;

/// Room for what comes back.
pub(super) struct Readback {
    staging: Buffer,
}

/// A part of one buffer, and where in the room it comes to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    buffer: usize,
    from: u64,
    room: u64,
    bytes: u64,
}

impl Readback {
    /// Room for buffers of `bytes` bytes in all, or for as much of them as crosses the bus at a time.
    pub(super) fn new(gpu: &Gpu, bytes: u64) -> Self {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        Self { staging: buffer(gpu, "read back", bytes.min(ROOM_BYTES_MAX), usage) }
    }

    /// Has `encoder` copy all of `buffers`, as far as there is room; [`Readback::collect`] must follow
    /// its submission.
    pub(super) fn record(&self, encoder: &mut CommandEncoder, buffers: &[&Buffer]) {
        if let Some(round) = self.rounds(buffers).first() {
            self.copy(encoder, buffers, round);
        }
    }

    /// Waits for what was recorded, and brings it and the rest into `out`, slices as long as the buffers.
    ///
    /// # Errors
    /// A device that fails; `out` may then hold a part.
    pub(super) fn collect(
        &self,
        gpu: &Gpu,
        buffers: &[&Buffer],
        out: &mut [&mut [u8]],
    ) -> Result<(), GpuError> {
        for (k, round) in self.rounds(buffers).iter().enumerate() {
            if k > 0 {
                let mut encoder =
                    gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
                self.copy(&mut encoder, buffers, round);
                gpu.queue.submit([encoder.finish()]);
            }
            let used = round.iter().map(|part| part.bytes).sum::<u64>();
            // Whether it worked is seen below: what is not mapped cannot be looked at.
            self.staging.map_async(MapMode::Read, ..used, |_| ());
            gpu.wait()?;
            let seen = self.staging.get_mapped_range(..used);
            let seen = seen.map_err(|error| gpu.failed(error.to_string()))?;
            for Part { buffer, from, room, bytes } in round {
                let [from, room, bytes] = [from, room, bytes].map(|count| *count as usize);
                out[*buffer][from..from + bytes].copy_from_slice(&seen[room..room + bytes]);
            }
            drop(seen);
            self.staging.unmap();
        }
        Ok(())
    }

    /// [`Readback::record`] and [`Readback::collect`] at once.
    ///
    /// # Errors
    /// As there.
    pub(super) fn fetch(
        &self,
        gpu: &Gpu,
        buffers: &[&Buffer],
        out: &mut [&mut [u8]],
    ) -> Result<(), GpuError> {
        let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        self.record(&mut encoder, buffers);
        gpu.queue.submit([encoder.finish()]);
        self.collect(gpu, buffers, out)
    }

    fn rounds(&self, buffers: &[&Buffer]) -> Vec<Vec<Part>> {
        rounds(buffers.iter().map(|buffer| buffer.size()), self.staging.size())
    }

    fn copy(&self, encoder: &mut CommandEncoder, buffers: &[&Buffer], round: &[Part]) {
        for part in round {
            let (from, to) = (buffers[part.buffer], &self.staging);
            encoder.copy_buffer_to_buffer(from, part.from, to, part.room, part.bytes);
        }
    }
}

/// Buffers of `sizes` bytes, one after the other, in rounds of at most `room`.
fn rounds(sizes: impl Iterator<Item = u64>, room: u64) -> Vec<Vec<Part>> {
    let (mut rounds, mut round, mut used) = (Vec::new(), Vec::new(), 0);
    for (buffer, size) in sizes.enumerate() {
        let mut from = 0;
        while from < size {
            if used == room {
                rounds.push(std::mem::take(&mut round));
                used = 0;
            }
            let bytes = (size - from).min(room - used);
            round.push(Part { buffer, from, room: used, bytes });
            (from, used) = (from + bytes, used + bytes);
        }
    }
    if !round.is_empty() {
        rounds.push(round);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte crosses once, in order, and no round is larger than the room.
    #[test]
    fn buffers_are_cut_to_the_room() {
        for sizes in [vec![], vec![4], vec![64], vec![60, 8], vec![4, 200, 4, 64, 0, 12]] {
            let mut next = vec![0; sizes.len()];
            for round in rounds(sizes.iter().copied(), 64) {
                let mut used = 0;
                for Part { buffer, from, room, bytes } in round {
                    assert_eq!((from, room), (next[buffer], used));
                    next[buffer] += bytes;
                    used += bytes;
                }
                assert!(used > 0 && used <= 64);
            }
            assert_eq!(next, sizes);
        }
    }
}
