//! The kernel's counters, straight from shared memory.

use core::ffi::c_char;

use crate::abi::{self, Growing, abi};
use crate::status::{Error, RSW_E_NOT_FOUND, RSW_OK, call};
use crate::swarm::{enter, rsw_swarm};

/// A counter and its value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_counter {
    /// sizeof(struct rsw_counter)
    pub struct_size: u32,
    /// Its id, which never changes its meaning.
    pub id: u32,
    /// Its value now.
    pub value: u64,
    /// Its name.
    pub name: [c_char; 32],
    /// Its unit.
    pub unit: [c_char; 16],
    /// One sentence.
    pub meaning: [c_char; 64],
}
abi!(rsw_counter: 128 {
    struct_size: 0,
    id: 4,
    value: 8,
    name: 16,
    unit: 48,
    meaning: 64,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_counter {}

/// How many counters there are. One thread at a time; never blocks; not for signal handlers; some microseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_counter_count(swarm: *mut rsw_swarm, count: *mut u32) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| Ok(swarm.plane().counters().len() as u32))?;
        // SAFETY: this function's contract.
        unsafe { abi::put("count", count, found) }?;
        Ok(RSW_OK)
    })
}

/// The counter at place `index` (from 0), with its value now. One thread at a time; never blocks; not for signal
/// handlers; some microseconds. RSW_E_NOT_FOUND beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_counter_read(
    swarm: *mut rsw_swarm,
    index: u32,
    counter: *mut rsw_counter,
) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| {
            let counters = swarm.plane().counters();
            let found = counters.get(index as usize).ok_or_else(|| {
                let words = format!("there are {} counters, none at {index}", counters.len());
                Error::new(RSW_E_NOT_FOUND, words)
            })?;
            Ok(rsw_counter {
                struct_size: 0,
                id: found.id,
                value: found.value,
                name: abi::pack(&found.name),
                unit: abi::pack(&found.unit),
                meaning: abi::pack(&found.meaning),
            })
        })?;
        // SAFETY: this function's contract.
        unsafe { abi::write("counter", counter, found) }?;
        Ok(RSW_OK)
    })
}
