//! Exit codes of every program of the swarm; the table in the manual is printed from [`TABLE`].

/// Success.
pub const OK: u8 = 0;
/// Any failure without a code of its own.
pub const FAILURE: u8 = 1;
/// Wrong usage.
pub const USAGE: u8 = 2;
/// The swarm does not run.
pub const NOT_RUNNING: u8 = 3;
/// No such project, agent, field or cell.
pub const NOT_FOUND: u8 = 4;
/// Bad configuration.
pub const CONFIG: u8 = 5;
/// Already running, or the name is taken.
pub const CONFLICT: u8 = 6;
/// Permission denied, or the sandbox cannot be had.
pub const PERMISSION: u8 = 7;
/// Timed out.
pub const TIMEOUT: u8 = 8;
/// ABI or layout mismatch.
pub const LAYOUT: u8 = 9;
/// A check failed.
pub const CHECK_FAILED: u8 = 10;
/// A process reached its restart limit.
pub const RESTART_LIMIT: u8 = 70;
/// Second Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Every code with its meaning.
pub const TABLE: &[(u8, &str)] = &[
    (OK, "ok"),
    (FAILURE, "other failure"),
    (USAGE, "usage"),
    (NOT_RUNNING, "not running"),
    (NOT_FOUND, "no such project, agent, field or cell"),
    (CONFIG, "bad configuration"),
    (CONFLICT, "already running or name conflict"),
    (PERMISSION, "permission or sandbox"),
    (TIMEOUT, "timed out"),
    (LAYOUT, "ABI or layout mismatch"),
    (CHECK_FAILED, "a check failed"),
    (RESTART_LIMIT, "restart limit"),
    (INTERRUPTED, "second Ctrl-C"),
];
