//! The StateBoard: named typed cells, each read whole.

use core::ffi::c_char;

use rsw_plane::{BoardError, CellValue, Value};
use rsw_schemas::board::CellType;

use crate::abi::{self, Growing, abi};
use crate::status::{Answer, Error, RSW_E_ARGUMENT, RSW_E_BUSY, RSW_E_NOT_FOUND, RSW_OK, call};
use crate::swarm::{Swarm, enter, rsw_swarm};

/// A double; see rsw_cell.
pub const RSW_F64: u32 = 1;
/// An unsigned integer of 64 bits.
pub const RSW_U64: u32 = 2;
/// A signed integer of 64 bits.
pub const RSW_I64: u32 = 3;

/// What a cell is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_cell_info {
    /// sizeof(struct rsw_cell_info)
    pub struct_size: u32,
    /// By this number it is read.
    pub cell: u32,
    /// RSW_F64, RSW_U64 or RSW_I64.
    pub value_type: u32,
    /// Zero.
    pub reserved: u32,
    /// Unique name.
    pub name: [c_char; 40],
    /// Unit, empty for a plain number.
    pub unit: [c_char; 16],
    /// One sentence.
    pub meaning: [c_char; 64],
}
abi!(rsw_cell_info: 136 {
    struct_size: 0,
    cell: 4,
    value_type: 8,
    reserved: 12,
    name: 16,
    unit: 56,
    meaning: 72,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_cell_info {}

/// A cell's value with the tick that wrote it. This struct never grows: it comes in arrays.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_cell {
    /// The value's 64 bits, of the type that rsw_cell_info says.
    pub value: rsw_value,
    /// The tick that wrote it; 0 if none did yet.
    pub tick: u64,
    /// Field time of that tick.
    pub t_ns: i64,
    /// RSW_F64, RSW_U64 or RSW_I64.
    pub value_type: u32,
    /// Zero.
    pub reserved: u32,
}
abi!(rsw_cell: 32 { value: 0, tick: 8, t_ns: 16, value_type: 24, reserved: 28 });

/// 64 bits of one of three types.
#[repr(C)]
#[derive(Clone, Copy)]
pub union rsw_value {
    /// RSW_F64.
    pub f64: f64,
    /// RSW_U64.
    pub u64: u64,
    /// RSW_I64.
    pub i64: i64,
}

impl core::fmt::Debug for rsw_value {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // SAFETY: any bits are an integer.
        write!(f, "{:#x}", unsafe { self.u64 })
    }
}

/// Which ticks a snapshot comes from.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_snapshot {
    /// sizeof(struct rsw_snapshot)
    pub struct_size: u32,
    /// Cells written to the array.
    pub count: u32,
    /// Oldest tick among them.
    pub oldest_tick: u64,
    /// Newest tick among them; all cells are of one tick if it equals oldest_tick.
    pub newest_tick: u64,
}
abi!(rsw_snapshot: 24 { struct_size: 0, count: 4, oldest_tick: 8, newest_tick: 16 });
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_snapshot {}

/// How many cells the board has. One thread at a time; never blocks; not for signal handlers; some nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_count(swarm: *mut rsw_swarm, count: *mut u32) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| Ok(swarm.plane().board().cells().len() as u32))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("count", count, found) }?;
        Ok(RSW_OK)
    })
}

/// What the cell at place `index` (from 0) is. One thread at a time; never blocks; not for signal handlers; some hundred
/// nanoseconds. RSW_E_NOT_FOUND beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_describe(
    swarm: *mut rsw_swarm,
    index: u32,
    info: *mut rsw_cell_info,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| {
            let cell = swarm.number(index as usize);
            let cells = swarm.plane().board().cells();
            let found = cells.get(index as usize).ok_or_else(|| {
                let words = format!("the board has {} cells, none at {index}", cells.len());
                Error::new(RSW_E_NOT_FOUND, words)
            })?;
            Ok(rsw_cell_info {
                struct_size: 0,
                cell,
                value_type: type_number(found.cell_type),
                reserved: 0,
                name: abi::pack(&found.name),
                unit: abi::pack(&found.unit),
                meaning: abi::pack(&found.meaning),
            })
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::write("info", info, found) }?;
        Ok(RSW_OK)
    })
}

/// The number of the cell with this name: good as long as the swarm has the same cells, restarts of the kernel
/// included; after that reads answer RSW_E_CHANGED. One thread at a time; never blocks; not for signal handlers; a search
/// through all names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_find(
    swarm: *mut rsw_swarm,
    name: *const c_char,
    cell: *mut u32,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        let name = unsafe { abi::name("name", name) }?;
        let found = enter(swarm, |swarm| {
            let index = swarm.plane().board().find(&name).ok_or_else(|| {
                let words = format!("the board has no cell \"{name}\"; `runtime peek` shows all");
                Error::new(RSW_E_NOT_FOUND, words)
            })?;
            Ok(swarm.number(index))
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::put("cell", cell, found) }?;
        Ok(RSW_OK)
    })
}

/// A cell's value, complete, with the tick that wrote it. One thread at a time; never blocks, bounded tries (RSW_E_BUSY
/// if the writer outran all); not for signal handlers; no system call, some nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_read(
    swarm: *mut rsw_swarm,
    cell: u32,
    value: *mut rsw_cell,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| read(swarm, cell))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("value", value, found) }?;
        Ok(RSW_OK)
    })
}

/// As rsw_board_read, of a cell that holds a double; RSW_E_ARGUMENT if it does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_read_f64(
    swarm: *mut rsw_swarm,
    cell: u32,
    value: *mut f64,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| read_as(swarm, cell, RSW_F64))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("value", value, f64::from_bits(found)) }?;
        Ok(RSW_OK)
    })
}

/// As rsw_board_read, of a cell that holds an unsigned integer; RSW_E_ARGUMENT if it does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_read_u64(
    swarm: *mut rsw_swarm,
    cell: u32,
    value: *mut u64,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| read_as(swarm, cell, RSW_U64))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("value", value, found) }?;
        Ok(RSW_OK)
    })
}

/// As rsw_board_read, of a cell that holds a signed integer; RSW_E_ARGUMENT if it does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_read_i64(
    swarm: *mut rsw_swarm,
    cell: u32,
    value: *mut i64,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| read_as(swarm, cell, RSW_I64))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("value", value, found as i64) }?;
        Ok(RSW_OK)
    })
}

/// The values of `count` cells, each complete, into `values` in the same order. As rsw_board_read otherwise; after an
/// error `values` holds those before the cell that failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_read_many(
    swarm: *mut rsw_swarm,
    cells: *const u32,
    count: usize,
    values: *mut rsw_cell,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        let cells = unsafe { abi::array("cells", cells, count) }?;
        // SAFETY: this function's contract.
        let values = unsafe { abi::array_mut("values", values, count) }?;
        enter(swarm, |swarm| {
            for (cell, value) in cells.iter().zip(values) {
                *value = read(swarm, *cell)?;
            }
            Ok(RSW_OK)
        })
    })
}

/// All cells, in the board's order, each complete, and which ticks they come from. `values` needs room for all of them
/// (RSW_E_BUFFER if not). As rsw_board_read otherwise; about 2 ns a cell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_board_snapshot(
    swarm: *mut rsw_swarm,
    values: *mut rsw_cell,
    capacity: usize,
    info: *mut rsw_snapshot,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        let values = unsafe { abi::array_mut("values", values, capacity) }?;
        let found = enter(swarm, |swarm| {
            let board = swarm.plane().board();
            let count = board.cells().len();
            abi::room("values", values.len(), count)?;
            let mut found = rsw_snapshot {
                struct_size: 0,
                count: count as u32,
                oldest_tick: u64::MAX,
                newest_tick: 0,
            };
            for (index, value) in values[..count].iter_mut().enumerate() {
                *value = cell_of(board.read(index).map_err(board_error)?);
                found.oldest_tick = found.oldest_tick.min(value.tick);
                found.newest_tick = found.newest_tick.max(value.tick);
            }
            Ok(found)
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::write("info", info, found) }?;
        Ok(RSW_OK)
    })
}

#[inline]
fn read(swarm: &mut Swarm, cell: u32) -> Answer<rsw_cell> {
    let index = swarm.index(cell)?;
    swarm.plane().board().read(index).map(cell_of).map_err(board_error)
}

fn read_as(swarm: &mut Swarm, cell: u32, value_type: u32) -> Answer<u64> {
    let found = read(swarm, cell)?;
    if found.value_type != value_type {
        let words = format!(
            "cell {} is of type {}, not {value_type}: see rsw_board_describe",
            cell & 0xffff,
            found.value_type
        );
        return Err(Error::new(RSW_E_ARGUMENT, words));
    }
    // SAFETY: any bits are an integer.
    Ok(unsafe { found.value.u64 })
}

#[inline]
fn cell_of(found: CellValue) -> rsw_cell {
    let (value_type, value) = match found.value {
        Value::F64(f64) => (RSW_F64, rsw_value { f64 }),
        Value::U64(u64) => (RSW_U64, rsw_value { u64 }),
        Value::I64(i64) => (RSW_I64, rsw_value { i64 }),
    };
    rsw_cell { value, tick: found.tick, t_ns: found.t_ns, value_type, reserved: 0 }
}

#[cold]
fn board_error(error: BoardError) -> Error {
    let status = match error {
        BoardError::NoSuchCell(_) => RSW_E_NOT_FOUND,
        BoardError::Busy(_) => RSW_E_BUSY,
    };
    Error::new(status, error.to_string())
}

fn type_number(cell_type: CellType) -> u32 {
    match cell_type {
        CellType::F64 => RSW_F64,
        CellType::U64 => RSW_U64,
        CellType::I64 => RSW_I64,
    }
}
