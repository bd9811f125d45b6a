//! The StateBoard: a directory of named typed cells, then the cells, each a two-copy latch on a line of
//! its own.

use crate::layout::layout;

/// Type of a cell's value. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// IEEE double in the value word.
    F64 = 1,
    /// Unsigned integer.
    U64 = 2,
    /// Signed integer.
    I64 = 3,
}

impl CellType {
    /// The type behind a number, if it is one.
    pub const fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::F64,
            2 => Self::U64,
            3 => Self::I64,
            _ => return None,
        })
    }

    /// The name that the command line shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::U64 => "u64",
            Self::I64 => "i64",
        }
    }
}

layout! {
    /// What one cell is: constant for the life of the plane.
    pub struct CellDesc: 128 {
        /// Unique name.
        pub name: [u8; 40],
        /// Unit, empty for a plain number.
        pub unit: [u8; 16],
        /// A [`CellType`] as its number.
        pub cell_type: u32,
        /// Zero.
        pub reserved: u32,
        /// One sentence.
        pub meaning: [u8; 64],
    }
}

layout! {
    /// One copy of a cell.
    pub struct CellCopy: 24 {
        /// The value's bits.
        pub value: u64,
        /// The tick that wrote it.
        pub tick: u64,
        /// Field time of that tick.
        pub t_ns: i64,
    }
}

layout! {
    /// A cell: `copies[sequence & 1]` is complete, the other may be in the making.
    pub struct CellLine: 128 {
        /// Number of writes so far.
        pub sequence: u64,
        /// The two copies.
        pub copies: [CellCopy; 2],
        /// Rest of the line.
        pub pad: [u64; 9],
    }
}
