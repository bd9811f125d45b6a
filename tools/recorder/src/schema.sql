-- AgentDB, format 1. Every table is ours (`rs_`), STRICT, and documented where it is made.
-- Sequences are half-open everywhere: [from, to). Times are nanoseconds. Undefined numbers are NULL.

-- What this file is; `note.<wall_ns>` keys say what happened to it.
CREATE TABLE rs_meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each `runtime up`.
CREATE TABLE rs_run (
    run_id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    started_wall_ns INTEGER NOT NULL,
    ended_wall_ns INTEGER,
    topology TEXT NOT NULL,
    boot_id TEXT,
    nx INTEGER,
    ny INTEGER,
    tick_period_ns INTEGER,
    layout_hash TEXT,
    published INTEGER,
    state TEXT NOT NULL CHECK (state IN ('recording', 'ended', 'interrupted'))
) STRICT;

-- How far the record of a run goes: every sequence in [first_seq, cursor) is one row or inside one gap.
-- `recorded` and `lost` are what the writer counted; `verify` counts the rows instead.
CREATE TABLE rs_cursor (
    run_id INTEGER PRIMARY KEY REFERENCES rs_run (run_id),
    first_seq INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL
) STRICT;

-- One row for each kernel of a run; end_seq once its final cursor is known.
CREATE TABLE rs_generation (
    run_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    end_seq INTEGER,
    resumed_tick INTEGER,
    previous_tick INTEGER,
    writer_pid INTEGER NOT NULL,
    started_wall_ns INTEGER NOT NULL,
    started_mono_ns INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    layout_hash TEXT NOT NULL,
    PRIMARY KEY (run_id, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE rs_agent (
    run_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    "group" TEXT NOT NULL,
    site_x INTEGER,
    site_y INTEGER,
    PRIMARY KEY (run_id, agent_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rs_series (
    series_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('fractal', 'coherence', 'gain', 'dwell', 'ci')),
    unit TEXT NOT NULL,
    UNIQUE (run_id, agent_id, type)
) STRICT;

-- The home of every event but agent_metric. crc32: see `crc.rs`.
CREATE TABLE rs_event (
    run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    source INTEGER NOT NULL,
    t_ns INTEGER NOT NULL,
    tick INTEGER,
    payload BLOB NOT NULL,
    crc32 INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

-- The home of every agent_metric event: at 100 agents these are 99 of 100 events, and a wide row is
-- both smaller than an opaque event and what people ask for. seq makes it countable.
CREATE TABLE rs_metric_point (
    run_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    t_ns INTEGER NOT NULL,
    d REAL,
    c REAL,
    g REAL,
    tau REAL,
    ci REAL,
    u REAL,
    drive REAL,
    flags INTEGER NOT NULL,
    crc32 INTEGER NOT NULL,
    PRIMARY KEY (run_id, agent_id, tick)
) STRICT, WITHOUT ROWID;

-- A restarted kernel runs the ticks after its checkpoint again. The later point is the valid one; the
-- earlier one moves here, so that its sequence still has exactly one row.
CREATE TABLE rs_metric_superseded (
    run_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    t_ns INTEGER NOT NULL,
    d REAL,
    c REAL,
    g REAL,
    tau REAL,
    ci REAL,
    u REAL,
    drive REAL,
    flags INTEGER NOT NULL,
    crc32 INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

-- Sequences [from_seq, to_seq) that are not in the record, and why.
CREATE TABLE rs_gap (
    run_id INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('overrun', 'recorder_restart', 'generation_lost')),
    wall_ns INTEGER NOT NULL,
    PRIMARY KEY (run_id, from_seq),
    CHECK (to_seq > from_seq)
) STRICT, WITHOUT ROWID;

-- Tick events decoded; the later generation wins. The event itself is in rs_event.
CREATE TABLE rs_tick (
    run_id INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    t_ns INTEGER NOT NULL,
    mono_ns INTEGER NOT NULL,
    ci_mean REAL,
    d_global REAL,
    d_r2 REAL,
    coherence_mean REAL,
    gain_mean REAL,
    dwell_mean REAL,
    energy REAL,
    u_abs_max REAL,
    solver_ns INTEGER NOT NULL,
    metrics_ns INTEGER NOT NULL,
    commit_ns INTEGER NOT NULL,
    overruns INTEGER NOT NULL,
    PRIMARY KEY (run_id, tick)
) STRICT, WITHOUT ROWID;

-- Report events decoded. The event itself is in rs_event.
CREATE TABLE rs_report (
    run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    t_ns INTEGER NOT NULL,
    window_ticks INTEGER NOT NULL,
    seen_ticks INTEGER NOT NULL,
    agents INTEGER NOT NULL,
    pairs_defined INTEGER NOT NULL,
    cs_mean REAL,
    cs_self REAL,
    r_min REAL,
    r_max REAL,
    matrix_crc32 INTEGER NOT NULL,
    sent_mono_ns INTEGER NOT NULL,
    lag_events INTEGER NOT NULL,
    lost_events INTEGER NOT NULL,
    missed_loans INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

-- Keyframes and the last frame of every published field; data are f32 little-endian, row by row.
CREATE TABLE rs_field (
    field_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    tick INTEGER NOT NULL,
    t_ns INTEGER NOT NULL,
    nx INTEGER NOT NULL,
    ny INTEGER NOT NULL,
    dtype TEXT NOT NULL CHECK (dtype = 'f32'),
    unit TEXT NOT NULL,
    min REAL,
    max REAL,
    data BLOB NOT NULL,
    crc32 INTEGER NOT NULL,
    UNIQUE (run_id, name, tick)
) STRICT;

-- What one agent saw in one window of ticks; agent_id 0 is the whole field. The fingerprint is
-- described in rs_meta (`fingerprint`); the same vector is in rs_fingerprint under window_id.
CREATE TABLE rs_ci_window (
    window_id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    start_tick INTEGER NOT NULL,
    end_tick INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    points INTEGER NOT NULL,
    d_mean REAL,
    c_mean REAL,
    g_mean REAL,
    tau_mean REAL,
    ci_mean REAL,
    ci_sd REAL,
    ci_min REAL,
    ci_max REAL,
    field_name TEXT,
    field_tick INTEGER,
    fingerprint BLOB CHECK (fingerprint IS NULL OR length(fingerprint) = 512),
    UNIQUE (run_id, agent_id, start_tick)
) STRICT;

-- Nearest neighbours by SQL. Unit vectors, so L2 ranks like the cosine: cos = 1 - distance^2 / 2.
CREATE VIRTUAL TABLE rs_fingerprint USING vec0 (
    embedding float[128],
    run_id integer,
    agent_id integer,
    chunk_size=256
);

-- The views need nothing but stock SQLite.
CREATE VIEW metric_series AS
    SELECT series_id, name AS series_name, type AS series_type, agent_id FROM rs_series;

CREATE VIEW timeseries_data AS
    SELECT s.series_id AS series_id, p.t_ns AS timestamp,
        CASE s.type
            WHEN 'fractal' THEN p.d
            WHEN 'coherence' THEN p.c
            WHEN 'gain' THEN p.g
            WHEN 'dwell' THEN p.tau
            ELSE p.ci
        END AS value
    FROM rs_series s
    JOIN rs_metric_point p ON p.run_id = s.run_id AND p.agent_id = s.agent_id;

CREATE VIEW rs_every_event AS
    SELECT run_id, seq, generation, kind, source, t_ns, tick, crc32 FROM rs_event
    UNION ALL
    SELECT run_id, seq, generation, 4, agent_id, t_ns, tick, crc32 FROM rs_metric_point
    UNION ALL
    SELECT run_id, seq, generation, 4, agent_id, t_ns, tick, crc32 FROM rs_metric_superseded;
