//! What the engine has to say beside numbers: sources that begin and end, gaps, marks.

use std::sync::Arc;

use crate::drive::{Annotation, DriveGap};
use crate::source::Source;

/// Something that happened at a tick.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// A source began (every source does, at tick 1) or fell silent.
    SourceChanged {
        /// Index into the topology's sources.
        source: usize,
        /// Whether it is on.
        on: bool,
    },
    /// A recording has no sample left; `SourceChanged` with `on: false` follows.
    SourceEnded {
        /// Index into the topology's sources.
        source: usize,
    },
    /// A recording has a gap that begins here.
    Gap {
        /// Index into the topology's sources.
        source: usize,
        /// The column.
        column: Arc<str>,
        /// From when to when, and why.
        gap: DriveGap,
    },
    /// An annotation has a new value.
    Annotation {
        /// Its name.
        name: Arc<str>,
        /// The value.
        value: f64,
    },
}

/// Room that [`collect`] may need.
pub(crate) fn most_at_once(sources: &[Source], annotations: &[Annotation]) -> usize {
    // A gap at the end of one lap and at the start of the next may fall into one tick.
    let of_source = |source: &Source| 3 + source.drive().map_or(0, |drive| 2 * drive.gaps_max());
    sources.iter().map(of_source).sum::<usize>() + annotations.len()
}

/// Replaces `events` by those of `tick`, sources first, in their order.
pub(crate) fn collect(
    events: &mut Vec<EngineEvent>,
    sources: &[Source],
    annotations: &[Annotation],
    tick: u64,
) {
    events.clear();
    for (index, source) in sources.iter().enumerate() {
        if tick == 1 {
            events.push(EngineEvent::SourceChanged { source: index, on: true });
        }
        let Some(drive) = source.drive() else { continue };
        for gap in drive.gaps_at(tick) {
            let column = Arc::clone(drive.column());
            events.push(EngineEvent::Gap { source: index, column, gap });
        }
        if drive.ends_at(tick) {
            events.push(EngineEvent::SourceEnded { source: index });
            events.push(EngineEvent::SourceChanged { source: index, on: false });
        }
    }
    for annotation in annotations {
        if let Some(value) = annotation.change_at(tick) {
            events.push(EngineEvent::Annotation { name: Arc::clone(annotation.name()), value });
        }
    }
}
