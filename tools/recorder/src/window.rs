//! CI windows: which one is open for each agent, and what is stored when it closes.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::fingerprint::{self, Window};
use crate::structure::{self, Patch, RINGS};
use crate::topology::Topology;
use crate::value::{int, real, unsigned};

/// A window that a stop cuts short is stored from this many points on.
const PARTIAL_POINTS_MIN: usize = 2 * fingerprint::VALUES_MIN;
/// A frame further than this many windows from the window says nothing about it.
const FRAME_WINDOWS_MAX: u64 = 2;
/// Fields whose texture is looked at, the better one first.
const FIELDS: [&str; 2] = ["ci", "wave"];

const POINTS: &str = "SELECT t_ns, d, c, g, tau, ci FROM rs_metric_point
    WHERE run_id = ?1 AND agent_id = ?2 AND tick BETWEEN ?3 AND ?4 ORDER BY tick";
const TICKS: &str =
    "SELECT t_ns, d_global, coherence_mean, gain_mean, dwell_mean, ci_mean FROM rs_tick
    WHERE run_id = ?1 AND ?2 = 0 AND tick BETWEEN ?3 AND ?4 ORDER BY tick";
const NEAREST: &str = "SELECT tick, crc32 FROM rs_field
    WHERE run_id = ?1 AND name = ?2 AND tick BETWEEN ?3 AND ?4 ORDER BY abs(tick - ?5), tick LIMIT 1";
const FRAME: &str =
    "SELECT nx, ny, data FROM rs_field WHERE run_id = ?1 AND name = ?2 AND tick = ?3";
const WINDOW: &str = "INSERT INTO rs_ci_window
    (run_id, agent_id, start_tick, end_tick, start_ns, end_ns, points, d_mean, c_mean, g_mean,
     tau_mean, ci_mean, ci_sd, ci_min, ci_max, field_name, field_tick, fingerprint)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
    ON CONFLICT (run_id, agent_id, start_tick) DO UPDATE SET end_tick = excluded.end_tick,
        start_ns = excluded.start_ns, end_ns = excluded.end_ns, points = excluded.points,
        d_mean = excluded.d_mean, c_mean = excluded.c_mean, g_mean = excluded.g_mean,
        tau_mean = excluded.tau_mean, ci_mean = excluded.ci_mean, ci_sd = excluded.ci_sd,
        ci_min = excluded.ci_min, ci_max = excluded.ci_max, field_name = excluded.field_name,
        field_tick = excluded.field_tick, fingerprint = excluded.fingerprint
    RETURNING window_id";
const VECTOR_REMOVE: &str = "DELETE FROM rs_fingerprint WHERE rowid = ?1";
const VECTOR: &str =
    "INSERT INTO rs_fingerprint (rowid, embedding, run_id, agent_id) VALUES (?1, ?2, ?3, ?4)";

/// The open window of every agent: window `i` holds the ticks `i W + 1 ..= (i + 1) W`.
#[derive(Debug, Clone)]
pub struct OpenWindows {
    ticks: u64,
    open: BTreeMap<u32, u64>,
}

/// A window to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The agent; 0 for the whole field.
    pub agent_id: u32,
    /// First tick.
    pub start_tick: u64,
    /// Last tick.
    pub end_tick: u64,
    /// Whether it is stored even if short of points.
    pub whole: bool,
}

impl OpenWindows {
    /// No window is open; windows have `ticks` ticks.
    pub fn new(ticks: u64) -> Self {
        Self { ticks: ticks.max(1), open: BTreeMap::new() }
    }

    /// Opens again what a recorder before this one left open.
    ///
    /// # Errors
    /// SQLite's.
    pub fn restore(ticks: u64, db: &Connection, run_id: i64) -> Result<Self, rusqlite::Error> {
        let mut windows = Self::new(ticks);
        let mut statement = db.prepare(
            "SELECT agent_id, max(tick) FROM rs_metric_point WHERE run_id = ?1 GROUP BY agent_id
             UNION ALL SELECT 0, max(tick) FROM rs_tick WHERE run_id = ?1",
        )?;
        let mut rows = statement.query([run_id])?;
        while let Some(row) = rows.next()? {
            if let Some(tick) = row.get::<_, Option<i64>>(1)? {
                windows.see(row.get(0)?, unsigned(tick));
            }
        }
        Ok(windows)
    }

    /// Takes note of a point; what it closes is to be stored after the points of this batch are.
    pub fn see(&mut self, agent_id: u32, tick: u64) -> Vec<Closing> {
        let mut closing = Vec::new();
        let index = tick.saturating_sub(1) / self.ticks;
        match self.open.insert(agent_id, index) {
            // A kernel that runs ticks again goes back: that window will close again.
            Some(before) if before < index => closing.push(self.closing(agent_id, before, true)),
            _ => {}
        }
        if tick.is_multiple_of(self.ticks) {
            self.open.remove(&agent_id);
            closing.push(self.closing(agent_id, index, true));
        }
        closing
    }

    /// What is still open, for a stop.
    pub fn rest(&self) -> Vec<Closing> {
        self.open.iter().map(|(&agent, &index)| self.closing(agent, index, false)).collect()
    }

    fn closing(&self, agent_id: u32, index: u64, whole: bool) -> Closing {
        let start_tick = index * self.ticks + 1;
        Closing { agent_id, start_tick, end_tick: start_tick + self.ticks - 1, whole }
    }
}

/// Stores windows from the rows they cover. Keeps the last frame's cells, which many agents share.
#[derive(Debug, Default)]
pub struct WindowStore {
    frame: Option<CachedFrame>,
    /// First and last tick of a window, and its nearest frame.
    nearest: Option<((u64, u64), Option<FrameKey>)>,
}

/// A stored frame; the checksum tells a frame from another one of the same tick that replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameKey {
    field: &'static str,
    tick: i64,
    crc32: i64,
}

#[derive(Debug)]
struct CachedFrame {
    key: FrameKey,
    nx: usize,
    ny: usize,
    cells: Vec<f32>,
}

struct Texture {
    field: &'static str,
    tick: i64,
    rings: Option<[f64; RINGS]>,
}

impl WindowStore {
    /// Stores one window and its fingerprint, replacing what was stored for it before.
    ///
    /// # Errors
    /// SQLite's.
    pub fn store(
        &mut self,
        db: &Connection,
        run_id: i64,
        topology: &Topology,
        closing: &Closing,
    ) -> Result<(), rusqlite::Error> {
        let (window, times) = load(db, run_id, closing)?;
        let least = if closing.whole { 1 } else { PARTIAL_POINTS_MIN };
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(()) };
        if times.len() < least {
            return Ok(());
        }
        let texture = self.texture(db, run_id, topology, closing)?;
        let rings = texture.as_ref().and_then(|texture| texture.rings.as_ref());
        let vector = fingerprint::fingerprint(&window, rings);
        let bytes = vector.as_ref().map(fingerprint::to_bytes);
        let mean = |i: usize| Summary::of(&window[i]).mean;
        let ci = Summary::of(&window[4]);
        let window_id: i64 = db.prepare_cached(WINDOW)?.query_row(
            params![
                run_id,
                closing.agent_id,
                int(closing.start_tick),
                int(closing.end_tick),
                first,
                last,
                times.len() as i64,
                mean(0),
                mean(1),
                mean(2),
                mean(3),
                ci.mean,
                ci.sd,
                ci.min,
                ci.max,
                texture.as_ref().map(|texture| texture.field),
                texture.as_ref().map(|texture| texture.tick),
                bytes,
            ],
            |row| row.get(0),
        )?;
        db.prepare_cached(VECTOR_REMOVE)?.execute([window_id])?;
        if let Some(bytes) = bytes {
            let row = params![window_id, bytes, run_id, closing.agent_id];
            db.prepare_cached(VECTOR)?.execute(row)?;
        }
        Ok(())
    }

    /// To be called when rows may have changed since the last window.
    pub fn forget_nearest(&mut self) {
        self.nearest = None;
    }

    fn texture(
        &mut self,
        db: &Connection,
        run_id: i64,
        topology: &Topology,
        closing: &Closing,
    ) -> Result<Option<Texture>, rusqlite::Error> {
        // All agents close the same window in one batch, and there is one nearest frame for all of them.
        let range = (closing.start_tick, closing.end_tick);
        let key = match self.nearest {
            Some((known, key)) if known == range => key,
            _ => nearest(db, run_id, closing)?,
        };
        self.nearest = Some((range, key));
        let Some(key) = key else { return Ok(None) };
        if self.frame.as_ref().is_none_or(|frame| frame.key != key) {
            self.frame = Some(CachedFrame::load(db, run_id, key)?);
        }
        let Some(frame) = &self.frame else { return Ok(None) };
        let patch = match topology.site(closing.agent_id) {
            Some(site) => Patch::around(site, frame.nx, frame.ny),
            None => Patch::whole(frame.nx, frame.ny),
        };
        let rings = structure::rings(&frame.cells, frame.nx, patch);
        Ok(Some(Texture { field: key.field, tick: key.tick, rings }))
    }
}

/// The frame that tells most about a window, if one is near enough.
fn nearest(
    db: &Connection,
    run_id: i64,
    closing: &Closing,
) -> Result<Option<FrameKey>, rusqlite::Error> {
    let reach = FRAME_WINDOWS_MAX * (closing.end_tick - closing.start_tick + 1);
    let from = int(closing.start_tick.saturating_sub(reach));
    let to = int(closing.end_tick + reach);
    let middle = int(closing.start_tick.midpoint(closing.end_tick));
    for field in FIELDS {
        let found = db
            .prepare_cached(NEAREST)?
            .query_row(params![run_id, field, from, to, middle], |row| {
                Ok(FrameKey { field, tick: row.get(0)?, crc32: row.get(1)? })
            })
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

impl CachedFrame {
    fn load(db: &Connection, run_id: i64, key: FrameKey) -> Result<Self, rusqlite::Error> {
        db.prepare_cached(FRAME)?.query_row(params![run_id, key.field, key.tick], |row| {
            let data: Vec<u8> = row.get(2)?;
            let (nx, ny): (u32, u32) = (row.get(0)?, row.get(1)?);
            let cells = data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Ok(Self { key, nx: nx as usize, ny: ny as usize, cells })
        })
    }
}

fn load(
    db: &Connection,
    run_id: i64,
    closing: &Closing,
) -> Result<(Window, Vec<i64>), rusqlite::Error> {
    let query = if closing.agent_id == 0 { TICKS } else { POINTS };
    let mut statement = db.prepare_cached(query)?;
    let (from, to) = (int(closing.start_tick), int(closing.end_tick));
    let mut rows = statement.query(params![run_id, closing.agent_id, from, to])?;
    let mut window = Window::default();
    let mut times = Vec::new();
    while let Some(row) = rows.next()? {
        times.push(row.get(0)?);
        for (i, series) in window.iter_mut().enumerate() {
            series.push(row.get::<_, Option<f64>>(i + 1)?.unwrap_or(f64::NAN));
        }
    }
    Ok((window, times))
}

/// Statistics over the defined values; `None` where there is none.
struct Summary {
    mean: Option<f64>,
    sd: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

impl Summary {
    fn of(values: &[f64]) -> Self {
        let defined = || values.iter().copied().filter(|x| x.is_finite());
        let count = defined().count() as f64;
        let mean = defined().sum::<f64>() / count;
        let square = defined().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        Self {
            mean: real(mean),
            sd: real((square / count).sqrt()),
            min: real(defined().fold(f64::INFINITY, f64::min)),
            max: real(defined().fold(f64::NEG_INFINITY, f64::max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing(agent_id: u32, start_tick: u64, end_tick: u64, whole: bool) -> Closing {
        Closing { agent_id, start_tick, end_tick, whole }
    }

    #[test]
    fn a_window_closes_at_its_last_tick_or_when_a_later_one_opens() {
        let mut windows = OpenWindows::new(10);
        for tick in 1..10 {
            assert_eq!(windows.see(1, tick), []);
        }
        assert_eq!(windows.see(1, 10), [closing(1, 1, 10, true)]);
        assert_eq!(windows.see(1, 11), []);
        assert_eq!(windows.see(1, 35), [closing(1, 11, 20, true)]);
        assert_eq!(windows.rest(), [closing(1, 31, 40, false)]);
    }

    #[test]
    fn going_back_closes_the_window_again() {
        let mut windows = OpenWindows::new(10);
        windows.see(7, 10);
        windows.see(7, 11);
        assert_eq!(windows.see(7, 9), []);
        assert_eq!(windows.see(7, 10), [closing(7, 1, 10, true)]);
    }

    #[test]
    fn agents_have_windows_of_their_own() {
        let mut windows = OpenWindows::new(4);
        windows.see(0, 3);
        assert_eq!(windows.see(1, 4), [closing(1, 1, 4, true)]);
        assert_eq!(windows.rest(), [closing(0, 1, 4, false)]);
    }
}
