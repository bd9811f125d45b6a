//! The drain thread: takes events out of the ring and puts them into the spool. It never touches a disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rsw_attach::{RecorderPageWriter, RecorderWord};
use rsw_os::clock;
use rsw_plane::{FieldReader, PlaneReader, PolledBatch, RingReader, StartAt, WaitStrategy, Waiter};
use rsw_schemas::event::{EventKind, FieldReady, Slot};
use rsw_schemas::field::CHECKPOINT;
use rsw_schemas::wire::GenerationNote;

use crate::decode;
use crate::entry::{Entry, Frame, GapCause, PlaneFacts};
use crate::spool::{Spool, WriterGone};

/// Longest sleep: commands and a spool that has room again are noticed within it.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// Longest sleep while events are held back for a busy writer, which cannot call when it is done: a
/// lossless kernel may be waiting for these very events.
const HELD_WAIT_MAX: Duration = Duration::from_millis(2);
/// How long a full spool is waited for at a time.
const FULL_WAIT: Duration = Duration::from_millis(5);
/// An end that is not known yet.
const OPEN: u64 = u64::MAX;

/// What the control thread tells the drain thread.
pub enum Command {
    /// The next generation.
    Plane(GenerationNote, Box<PlaneReader>),
    /// The final cursor of a generation.
    End(GenerationNote),
    /// Drain what is committed at this moment, then end.
    Stop,
}

/// Everything the thread owns.
pub struct Drain {
    commands: Receiver<Command>,
    spool: Spool,
    page: Arc<RecorderPageWriter>,
    keyframe_ticks: u64,
    /// Next sequence of the run; unknown before the first plane of a run that has no record yet.
    next: Option<u64>,
    /// Until the first event: what the ring no longer holds was lost while nobody recorded.
    resuming: bool,
    waiting: VecDeque<(GenerationNote, Box<PlaneReader>)>,
    stopping: bool,
}

/// The generation that is being drained.
struct Current {
    note: GenerationNote,
    ring: RingReader,
    fields: Vec<Option<FieldTrack>>,
    /// Cursor at the moment of the stop.
    stop_at: Option<u64>,
}

/// One published field.
struct FieldTrack {
    reader: FieldReader,
    due_tick: u64,
    stored_tick: Option<u64>,
}

impl Drain {
    /// A drain that goes on at `next`, or begins with the first plane of the run.
    pub fn new(
        commands: Receiver<Command>,
        spool: Spool,
        page: Arc<RecorderPageWriter>,
        keyframe_ticks: u64,
        next: Option<u64>,
    ) -> Self {
        let waiting = VecDeque::new();
        let resuming = next.is_some();
        Self { commands, spool, page, keyframe_ticks, next, resuming, waiting, stopping: false }
    }

    /// Drains generation after generation until a stop.
    ///
    /// # Errors
    /// [`WriterGone`].
    pub fn run(mut self) -> Result<(), WriterGone> {
        loop {
            self.beat();
            let Some((note, plane)) = self.waiting.pop_front() else {
                if self.stopping {
                    return Ok(());
                }
                self.wait_for_command();
                continue;
            };
            let mut current = self.begin(note, &plane)?;
            while !self.step(&mut current)? {}
            self.end(current)?;
        }
    }

    fn beat(&self) {
        self.page.store(RecorderWord::HeartbeatMonoNs, clock::mono_ns());
    }

    fn wait_for_command(&mut self) {
        match self.commands.recv_timeout(WAIT_MAX) {
            Ok(command) => self.obey(command, None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
    }

    fn obey(&mut self, command: Command, current: Option<&mut Current>) {
        match command {
            Command::Plane(note, plane) => self.waiting.push_back((note, plane)),
            Command::End(end) => {
                let note = match current {
                    Some(current) if current.note.generation == end.generation => {
                        Some(&mut current.note)
                    }
                    _ => {
                        let same = |note: &&mut GenerationNote| note.generation == end.generation;
                        self.waiting.iter_mut().map(|(note, _)| note).find(same)
                    }
                };
                if let Some(note) = note {
                    note.end_sequence = end.end_sequence;
                }
            }
            Command::Stop => self.stopping = true,
        }
    }

    fn begin(&mut self, note: GenerationNote, plane: &PlaneReader) -> Result<Current, WriterGone> {
        let facts = facts(plane);
        let start = *self.next.get_or_insert(facts.run_start());
        let ring = plane.ring(StartAt::Sequence(start.max(facts.first_sequence)));
        let due_tick = if self.keyframe_ticks == 0 { u64::MAX } else { 0 };
        let track = |field: &FieldReader| {
            let image = field.is_f32() && field.name() != CHECKPOINT;
            image.then(|| FieldTrack { reader: field.clone(), due_tick, stored_tick: None })
        };
        let fields = plane.fields().iter().map(track).collect();
        let mut current = Current { note, ring, fields, stop_at: None };
        self.page.store(RecorderWord::Generation, facts.generation);
        self.push(&mut current, Entry::Plane(facts))?;
        if start < facts.first_sequence {
            self.lose(&mut current, start, facts.first_sequence, GapCause::GenerationLost)?;
        }
        Ok(current)
    }

    /// A beat, and every command that waits.
    fn hear(&mut self, current: &mut Current) {
        self.beat();
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command, Some(current));
        }
        if self.stopping && current.stop_at.is_none() {
            current.stop_at = Some(current.ring.cursor());
        }
    }

    /// Hands over everything and then `entry`, as late as the disk makes it; the heart beats meanwhile.
    fn push(&mut self, current: &mut Current, entry: Entry) -> Result<(), WriterGone> {
        let mut refused = self.spool.push(entry)?;
        while let Some(entry) = refused {
            self.linger(current);
            refused = self.spool.push(entry)?;
        }
        Ok(())
    }

    fn linger(&mut self, current: &mut Current) {
        self.hear(current);
        std::thread::sleep(FULL_WAIT);
    }

    /// One look at commands and ring. Returns whether the generation is drained.
    fn step(&mut self, current: &mut Current) -> Result<bool, WriterGone> {
        self.hear(current);
        // A later plane means that this one's writer is gone: where that one begins, this one ends.
        if current.note.end_sequence == OPEN
            && let Some((_, next)) = self.waiting.front()
        {
            current.note.end_sequence = next.header().first_sequence;
        }
        let until = current.note.end_sequence.min(current.stop_at.unwrap_or(OPEN));
        if current.ring.next_sequence() >= until {
            return Ok(true);
        }
        let room = self.spool.room()?;
        if room.is_empty() {
            self.linger(current);
            return Ok(false);
        }
        let polled = current.ring.poll_batch(room);
        match polled {
            PolledBatch::Events { first, count } => {
                let due = due_fields(&current.fields, &room[..count]);
                self.resuming = false;
                self.spool.filled(first, count);
                self.drained(first + count as u64);
                for (field, tick) in due {
                    self.keyframe(current, field, tick)?;
                }
                self.spool.offer()?;
            }
            PolledBatch::Lapped { from, to } => {
                let cause =
                    if self.resuming { GapCause::RecorderRestart } else { GapCause::Overrun };
                self.lose(current, from, to, cause)?;
            }
            PolledBatch::Empty if until != OPEN => {
                // The writer is gone and its ring ends before the cursor that we were told.
                let next = current.ring.next_sequence();
                self.lose(current, next, until, GapCause::GenerationLost)?;
                return Ok(true);
            }
            PolledBatch::Empty => {
                self.spool.offer()?;
                let wait_max = if self.spool.holds_back() { HELD_WAIT_MAX } else { WAIT_MAX };
                current.ring.wait(&Waiter::new(WaitStrategy::Block), wait_max);
            }
        }
        Ok(false)
    }

    fn drained(&mut self, next: u64) {
        self.next = Some(next);
        self.page.store(RecorderWord::Drained, next);
        let durable = self.page.load(RecorderWord::Durable);
        self.page.store(RecorderWord::Spooled, next.saturating_sub(durable));
    }

    fn lose(
        &mut self,
        current: &mut Current,
        from: u64,
        to: u64,
        cause: GapCause,
    ) -> Result<(), WriterGone> {
        self.push(current, Entry::Gap { from, to, cause })?;
        self.drained(to);
        Ok(())
    }

    fn keyframe(
        &mut self,
        current: &mut Current,
        field: usize,
        tick: u64,
    ) -> Result<(), WriterGone> {
        let Some(track) = &mut current.fields[field] else { return Ok(()) };
        if !self.spool.is_calm() {
            return Ok(()); // Frames are large, and the next one will do as well.
        }
        let frame = track.copy();
        let tick = frame.as_ref().map_or(tick, |frame| frame.tick.max(tick));
        track.due_tick = (tick / self.keyframe_ticks + 1) * self.keyframe_ticks;
        match frame {
            Some(frame) => self.push(current, Entry::Frame(frame)),
            None => Ok(()),
        }
    }

    /// The last frame of every field, then the end of the generation.
    fn end(&mut self, mut current: Current) -> Result<(), WriterGone> {
        for field in 0..current.fields.len() {
            if let Some(frame) = current.fields[field].as_mut().and_then(FieldTrack::copy) {
                self.push(&mut current, Entry::Frame(frame))?;
            }
        }
        let note = current.note;
        if note.end_sequence != OPEN {
            self.push(&mut current, Entry::GenerationEnd(note))?;
        }
        while !self.spool.finish()? {
            self.linger(&mut current);
        }
        Ok(())
    }
}

impl FieldTrack {
    /// The latest frame, unless it was copied before or the writer outruns the copy.
    fn copy(&mut self) -> Option<Box<Frame>> {
        let mut data = Vec::new();
        let info = self.reader.copy_latest(&mut data).ok()?;
        let (nx, ny) = (self.reader.nx(), self.reader.ny());
        let cells = nx as usize * ny as usize;
        if self.stored_tick == Some(info.tick) || data.len() != cells * 4 {
            return None;
        }
        self.stored_tick = Some(info.tick);
        Some(Box::new(Frame {
            name: self.reader.name(),
            unit: self.reader.unit(),
            tick: info.tick,
            t_ns: info.t_ns,
            nx,
            ny,
            min: info.min,
            max: info.max,
            data,
        }))
    }
}

/// Which fields are due for a keyframe, and since which tick, by these events.
fn due_fields(fields: &[Option<FieldTrack>], slots: &[Slot]) -> Vec<(usize, u64)> {
    let mut due: Vec<(usize, u64)> = Vec::new();
    for slot in slots.iter().filter(|slot| slot.kind == EventKind::FieldReady as u16) {
        let Some(ready) = decode::pod::<FieldReady>(slot) else { continue };
        let field = ready.field as usize;
        let track = fields.get(field).and_then(Option::as_ref);
        let is_due = track.is_some_and(|track| ready.tick >= track.due_tick);
        if is_due && due.iter().all(|(other, _)| *other != field) {
            due.push((field, ready.tick));
        }
    }
    due
}

fn facts(plane: &PlaneReader) -> PlaneFacts {
    let header = plane.header();
    PlaneFacts {
        generation: header.generation,
        first_sequence: header.first_sequence,
        writer_pid: header.writer_pid,
        wall_ns: header.created_wall_ns,
        mono_ns: header.created_mono_ns,
        boot_id: header.boot_id,
        layout_hash: header.layout_hash,
        nx: header.nx,
        ny: header.ny,
        tick_period_ns: header.tick_period_ns,
    }
}
