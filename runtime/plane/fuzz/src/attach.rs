//! Fuzz target: attach to a file that claims to be a plane, and call everything that a reader can call.

#![no_main]

use rsw_plane as plane;

#[path = "../../tests/forge/mod.rs"]
mod forge;

#[path = "../../tests/forge/patches.rs"]
mod patches;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((mode, input)) = input.split_first() else { return };
    let bytes = patches::forged(*mode, input);
    let mut calls = 0_u32;
    let _ = forge::exercise(forge::sealed(&bytes), || calls += 1);
    assert!(calls < 100_000, "a reader was kept busy for {calls} calls");
});
