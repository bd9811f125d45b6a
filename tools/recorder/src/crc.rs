//! Checksums of rows: SQLite's integrity check does not see a flipped bit inside a value.

use rsw_schemas::event::AgentMetric;

/// The head of an event that its checksum covers.
#[derive(Debug, Clone, Copy)]
pub struct EventHead {
    /// Sequence.
    pub seq: u64,
    /// Generation.
    pub generation: u64,
    /// Kind, as its number.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// Source.
    pub source: u32,
    /// Field time, ns.
    pub t_ns: i64,
}

/// CRC-32 (IEEE) of an event row: the head in the order of its fields, little-endian, then the payload.
pub fn event(head: &EventHead, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = [0u8; 32];
    bytes[0..8].copy_from_slice(&head.seq.to_le_bytes());
    bytes[8..16].copy_from_slice(&head.generation.to_le_bytes());
    bytes[16..18].copy_from_slice(&head.kind.to_le_bytes());
    bytes[18..20].copy_from_slice(&head.flags.to_le_bytes());
    bytes[20..24].copy_from_slice(&head.source.to_le_bytes());
    bytes[24..32].copy_from_slice(&head.t_ns.to_le_bytes());
    hasher.update(&bytes);
    hasher.update(payload);
    hasher.finalize()
}

/// CRC-32 (IEEE) of a metric row: sequence, generation, field time, then the event's payload with
/// undefined values as one quiet NaN (the row keeps them as NULL, so their bits are not kept).
pub fn metric(seq: u64, generation: u64, t_ns: i64, metric: &AgentMetric) -> u32 {
    // SQLite keeps whole numbers of a REAL column as integers, so the sign of -0.0 is not kept either.
    let nan = f64::from_bits(0x7ff8_0000_0000_0000);
    let canonical = |value: f64| if value.is_finite() { value + 0.0 } else { nan };
    let metric = AgentMetric {
        d: canonical(metric.d),
        c: canonical(metric.c),
        g: canonical(metric.g),
        tau: canonical(metric.tau),
        ci: canonical(metric.ci),
        u: canonical(metric.u),
        drive: canonical(metric.drive),
        ..*metric
    };
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = [0u8; 24];
    bytes[0..8].copy_from_slice(&seq.to_le_bytes());
    bytes[8..16].copy_from_slice(&generation.to_le_bytes());
    bytes[16..24].copy_from_slice(&t_ns.to_le_bytes());
    hasher.update(&bytes);
    hasher.update(bytemuck::bytes_of(&metric));
    hasher.finalize()
}
