//! The StateBoard's cells, and how a tick fills them.

use rsw_plane::{BoardWriter, CellSpec};
use rsw_schemas::board::CellType;
use rsw_schemas::event::Tick;

macro_rules! cells {
    ($($variant:ident: $name:literal, $unit:literal, $cell_type:ident, $meaning:literal;)*) => {
        /// A cell; its number is its place on the board.
        #[derive(Debug, Clone, Copy)]
        enum Cell { $($variant,)* }

        /// Every cell of the board.
        pub(super) const CELLS: &[CellSpec] = &[$(CellSpec {
            name: $name, unit: $unit, cell_type: CellType::$cell_type, meaning: $meaning,
        },)*];
    };
}

cells! {
    Tick: "tick", "", U64, "Last committed tick";
    Time: "t", "ns", I64, "Field time of the last committed tick";
    Generation: "generation", "", U64, "Generation of the kernel";
    Ci: "ci", "", F64, "Complexity index, mean over the field";
    D: "d", "", F64, "Box-counting dimension of the whole field";
    DR2: "d_r2", "", F64, "R^2 of the fit behind d";
    Coherence: "coherence", "", F64, "Coherence C, mean over the field";
    Gain: "gain", "", F64, "Gain G, mean over the field";
    Dwell: "dwell", "s", F64, "Dwell time tau, mean over the field";
    Energy: "energy", "", F64, "Two-level discrete energy of the wave";
    Amplitude: "u_abs_max", "", F64, "Largest |u|";
    Cs: "cs", "", F64, "Synchronisation in the newest report of an agent";
    Solver: "solver_ns", "ns", U64, "Time of the last tick in the solver";
    Metrics: "metrics_ns", "ns", U64, "Time of the last tick in the metrics";
    Commit: "commit_ns", "ns", U64, "Time of the tick before in the commit";
    Overruns: "overruns", "ticks", U64, "Ticks skipped because one took too long";
}

/// Writes every cell that a tick changes.
pub(super) fn fill(board: &BoardWriter, event: &Tick, t_ns: i64, generation: u64, cs: f64) {
    let set = |cell: Cell, bits: u64| board.set_bits(cell as usize, bits, event.tick, t_ns);
    let real = |cell: Cell, value: f64| set(cell, value.to_bits());
    set(Cell::Tick, event.tick);
    set(Cell::Time, t_ns as u64);
    set(Cell::Generation, generation);
    real(Cell::Ci, event.ci_mean);
    real(Cell::D, event.d_global);
    real(Cell::DR2, event.d_r2);
    real(Cell::Coherence, event.coherence_mean);
    real(Cell::Gain, event.gain_mean);
    real(Cell::Dwell, event.dwell_mean);
    real(Cell::Energy, event.energy);
    real(Cell::Amplitude, event.u_abs_max);
    real(Cell::Cs, cs);
    set(Cell::Solver, u64::from(event.solver_ns));
    set(Cell::Metrics, u64::from(event.metrics_ns));
    set(Cell::Commit, u64::from(event.commit_ns));
    set(Cell::Overruns, u64::from(event.overruns));
}

/// The value that a threshold watches, by the name of its cell.
pub(super) fn watched(event: &Tick, cs: f64, cell: &str) -> Option<f64> {
    Some(match cell {
        "ci" => event.ci_mean,
        "d" => event.d_global,
        "coherence" => event.coherence_mean,
        "gain" => event.gain_mean,
        "dwell" => event.dwell_mean,
        "energy" => event.energy,
        "u_abs_max" => event.u_abs_max,
        "cs" => cs,
        _ => return None,
    })
}
