//! Payloads of ring slots as the PODs that their kinds name.

use bytemuck::Pod;
use rsw_schemas::event::{
    AgentMetric, Alert, Annotation, BatchReady, EventKind, FieldReady, Gap, Generation, Report,
    Slot, SourceChanged, ThresholdCrossed, Tick,
};

/// The bytes of the payload that carry the event.
pub fn payload(slot: &Slot) -> &[u8] {
    &slot.payload[..usize::from(slot.len_bytes).min(slot.payload.len())]
}

/// The payload as `T`, if the slot says that it carries at least that many bytes.
pub fn pod<T: Pod>(slot: &Slot) -> Option<T> {
    payload(slot).get(..size_of::<T>()).map(bytemuck::pod_read_unaligned)
}

/// The tick that an event belongs to, for the kinds that have one.
pub fn tick(slot: &Slot) -> Option<u64> {
    match EventKind::from_u16(slot.kind)? {
        EventKind::Tick => pod::<Tick>(slot).map(|p| p.tick),
        EventKind::FieldReady => pod::<FieldReady>(slot).map(|p| p.tick),
        EventKind::BatchReady => pod::<BatchReady>(slot).map(|p| p.last_tick),
        EventKind::AgentMetric => pod::<AgentMetric>(slot).map(|p| p.tick),
        EventKind::ThresholdCrossed => pod::<ThresholdCrossed>(slot).map(|p| p.tick),
        EventKind::Report => pod::<Report>(slot).map(|p| p.tick),
        EventKind::Alert => pod::<Alert>(slot).map(|p| p.tick),
        EventKind::SourceChanged => pod::<SourceChanged>(slot).map(|p| p.tick),
        EventKind::Annotation => pod::<Annotation>(slot).map(|p| p.tick),
        EventKind::Gap => pod::<Gap>(slot).map(|p| p.from_tick),
        EventKind::Generation => pod::<Generation>(slot).map(|p| p.resumed_tick),
        EventKind::Joined | EventKind::Left => None,
    }
}
