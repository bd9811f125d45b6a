//! The record of one run: batches of entries become one transaction each, cursor and gaps included.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::database::BUSY_WAIT;
use crate::entry::{Block, Entry, GapCause};
use crate::rows::{Rows, Seen};
use crate::topology::Topology;
use crate::value::{hex, int, unsigned};
use crate::window::{Closing, OpenWindows, WindowStore};

/// How long a checkpoint waits for readers: events gather in memory meanwhile.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

/// Who is being recorded.
#[derive(Debug, Clone)]
pub struct RunIdentity {
    /// Identity of the run; its record continues if it is there already.
    pub uuid: [u8; 16],
    /// Project.
    pub project: String,
    /// The swarm.
    pub topology: Topology,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Somebody who may said stop.
    Ordered,
    /// The supervisor is gone and nobody said stop: the record is whole as far as it goes, the run is not.
    Interrupted,
}

impl Ending {
    /// The state in `rs_run`.
    pub const fn state(self) -> &'static str {
        match self {
            Self::Ordered => "ended",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How far the record goes: every sequence in `first..next` is a row or inside a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// First sequence of the run.
    pub first: u64,
    /// Next sequence to be recorded.
    pub next: u64,
    /// Generation that is being recorded.
    pub generation: u64,
    /// Events that are rows.
    pub recorded: u64,
    /// Events inside gaps.
    pub lost: u64,
}

/// Why a batch is not in the database. The database is as before; the batch may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The entries do not follow the record: a fault of this program.
    #[error("sequence {found} follows {expected} in the record")]
    OutOfOrder {
        /// The cursor.
        expected: u64,
        /// What came instead.
        found: u64,
    },
}

/// The record of one run in an open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    run_id: i64,
    topology: Topology,
    memory: Memory,
    windows: WindowStore,
}

/// What the store remembers from batch to batch: replaced as a whole, and only by a commit.
#[derive(Debug, Clone)]
struct Memory {
    cursor: Option<Cursor>,
    open: OpenWindows,
    agents_with_series: BTreeSet<u32>,
}

impl Store {
    /// Enters the run into the database, or finds it there. Other runs that nobody ended become `interrupted`:
    /// they ended at their last commit.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(
        mut connection: Connection,
        identity: RunIdentity,
        wall_ns: u64,
    ) -> Result<Self, rusqlite::Error> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let run_id = enter_run(&transaction, &identity, wall_ns)?;
        let topology = identity.topology;
        let rows = Rows::prepare(&transaction, run_id)?;
        let mut agents_with_series = BTreeSet::new();
        for agent in &topology.agents {
            rows.agent(agent.agent_id, &agent.name, &agent.group, agent.site)?;
            rows.series(agent.agent_id)?;
            agents_with_series.insert(agent.agent_id);
        }
        drop(rows);
        let cursor = read_cursor(&transaction, run_id)?;
        let open = OpenWindows::restore(topology.window_ticks, &transaction, run_id)?;
        transaction.commit()?;
        let memory = Memory { cursor, open, agents_with_series };
        Ok(Self { connection, run_id, topology, memory, windows: WindowStore::default() })
    }

    /// How far the record goes; `None` before the first plane of the run.
    pub fn cursor(&self) -> Option<Cursor> {
        self.memory.cursor
    }

    /// The run's key in every table.
    pub fn run_id(&self) -> i64 {
        self.run_id
    }

    /// Writes entries, cursor and gaps in one transaction: all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; the same entries may be given again.
    pub fn commit(
        &mut self,
        entries: &[Entry],
        wall_ns: u64,
    ) -> Result<Option<Cursor>, StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows = Rows::prepare(&transaction, self.run_id)?;
        let batch = Batch { rows, memory: self.memory.clone(), closing: Vec::new(), wall_ns };
        let (memory, closing) = batch.write(entries)?;
        self.windows.forget_nearest();
        for window in &closing {
            self.windows.store(&transaction, self.run_id, &self.topology, window)?;
        }
        if let Some(cursor) = &memory.cursor {
            write_cursor(&transaction, self.run_id, cursor, wall_ns)?;
        }
        transaction.commit()?;
        self.memory = memory;
        Ok(self.memory.cursor)
    }

    /// Stores the windows that are still open and says in the record how the run ended, and where.
    ///
    /// # Errors
    /// SQLite's; may be called again.
    pub fn end(&mut self, ending: Ending, wall_ns: u64) -> Result<(), rusqlite::Error> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.windows.forget_nearest();
        for window in self.memory.open.rest() {
            self.windows.store(&transaction, self.run_id, &self.topology, &window)?;
        }
        let published = self.memory.cursor.map(|cursor| int(cursor.next - cursor.first));
        transaction.execute(
            "UPDATE rs_run SET state = ?2, ended_wall_ns = ?3, published = ?4 WHERE run_id = ?1",
            params![self.run_id, ending.state(), int(wall_ns), published],
        )?;
        transaction.commit()
    }

    /// Moves the log into the database: what readers allow at this moment, or, if `whole`, after a short wait
    /// for them all of it, and the log is empty. Returns whether nothing was left behind.
    ///
    /// # Errors
    /// SQLite's, disk full above all.
    pub fn checkpoint(&self, whole: bool) -> Result<bool, rusqlite::Error> {
        let mode = if whole { "TRUNCATE" } else { "PASSIVE" };
        self.connection.busy_timeout(CHECKPOINT_WAIT)?;
        let answer =
            self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            });
        self.connection.busy_timeout(BUSY_WAIT)?;
        answer.map(|(busy, log, moved)| busy == 0 && log == moved)
    }
}

/// One transaction in the making.
struct Batch<'c> {
    rows: Rows<'c>,
    memory: Memory,
    closing: Vec<Closing>,
    wall_ns: u64,
}

impl Batch<'_> {
    fn write(mut self, entries: &[Entry]) -> Result<(Memory, Vec<Closing>), StoreError> {
        entries.iter().try_for_each(|entry| self.entry(entry))?;
        Ok((self.memory, self.closing))
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Plane(facts) => {
                self.rows.plane(facts)?;
                let first = facts.run_start();
                let cursor = self.memory.cursor.get_or_insert(Cursor {
                    first,
                    next: first,
                    generation: facts.generation,
                    recorded: 0,
                    lost: 0,
                });
                cursor.generation = cursor.generation.max(facts.generation);
            }
            Entry::Events(block) => self.events(block)?,
            Entry::Gap { from, to, cause } => self.gap(*from, *to, *cause)?,
            Entry::Frame(frame) => self.rows.frame(frame)?,
            Entry::GenerationEnd(note) => {
                self.rows.generation_end(note.generation, note.end_sequence)?;
            }
        }
        Ok(())
    }

    fn events(&mut self, block: &Block) -> Result<(), StoreError> {
        if block.slots.is_empty() {
            return Ok(());
        }
        let cursor = in_order(&mut self.memory.cursor, block.first)?;
        cursor.next = block.end();
        cursor.recorded += block.slots.len() as u64;
        for (seq, slot) in (block.first..).zip(&block.slots) {
            let Seen::Point { agent_id, tick } = self.rows.event(seq, slot)? else { continue };
            if agent_id != 0 && self.memory.agents_with_series.insert(agent_id) {
                self.rows.series(agent_id)?;
            }
            self.closing.extend(self.memory.open.see(agent_id, tick));
        }
        Ok(())
    }

    fn gap(&mut self, from: u64, to: u64, cause: GapCause) -> Result<(), StoreError> {
        if to <= from {
            return Ok(());
        }
        let cursor = in_order(&mut self.memory.cursor, from)?;
        cursor.next = to;
        cursor.lost += to - from;
        self.rows.gap(from, to, cause, self.wall_ns)?;
        Ok(())
    }
}

fn in_order(cursor: &mut Option<Cursor>, found: u64) -> Result<&mut Cursor, StoreError> {
    let expected = cursor.as_ref().map_or(0, |cursor| cursor.next);
    let fits = |cursor: &&mut Cursor| cursor.next == found;
    cursor.as_mut().filter(fits).ok_or(StoreError::OutOfOrder { expected, found })
}

fn enter_run(
    transaction: &Transaction<'_>,
    identity: &RunIdentity,
    wall_ns: u64,
) -> Result<i64, rusqlite::Error> {
    let uuid = hex(&identity.uuid);
    transaction.execute(
        "UPDATE rs_run SET state = 'interrupted', (ended_wall_ns, published) =
            (SELECT wall_ns, cursor - first_seq FROM rs_cursor c WHERE c.run_id = rs_run.run_id)
         WHERE state = 'recording' AND uuid <> ?1",
        [&uuid],
    )?;
    transaction.query_row(
        "INSERT INTO rs_run (uuid, project, started_wall_ns, topology, state)
         VALUES (?1, ?2, ?3, ?4, 'recording')
         ON CONFLICT (uuid) DO UPDATE SET state = 'recording', ended_wall_ns = NULL, published = NULL
         RETURNING run_id",
        params![uuid, identity.project, int(wall_ns), identity.topology.document],
        |row| row.get(0),
    )
}

fn read_cursor(
    transaction: &Transaction<'_>,
    run_id: i64,
) -> Result<Option<Cursor>, rusqlite::Error> {
    transaction
        .query_row(
            "SELECT first_seq, cursor, generation, recorded, lost FROM rs_cursor WHERE run_id = ?1",
            [run_id],
            |row| {
                Ok(Cursor {
                    first: unsigned(row.get(0)?),
                    next: unsigned(row.get(1)?),
                    generation: unsigned(row.get(2)?),
                    recorded: unsigned(row.get(3)?),
                    lost: unsigned(row.get(4)?),
                })
            },
        )
        .optional()
}

fn write_cursor(
    transaction: &Transaction<'_>,
    run_id: i64,
    cursor: &Cursor,
    wall_ns: u64,
) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO rs_cursor
             (run_id, first_seq, cursor, generation, recorded, lost, wall_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            run_id,
            int(cursor.first),
            int(cursor.next),
            int(cursor.generation),
            int(cursor.recorded),
            int(cursor.lost),
            int(wall_ns),
        ])
        .map(drop)
}
