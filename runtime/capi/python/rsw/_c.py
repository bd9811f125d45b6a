"""The C ABI of librsw: structs, functions, and where the library is. Nothing here has a policy."""

from __future__ import annotations

import ctypes as c
import os
from pathlib import Path

OK, EMPTY, LAPPED, STALE, REATTACHED, ENDED = range(6)
E_NOT_FOUND, E_UNSUPPORTED = -5, -11

CONNECT_OBSERVER, CONNECT_WAKE_FD = 1, 2
FROM_LATEST, FROM_OLDEST, FROM_SEQUENCE = range(3)
WAIT = {"default": 0, "spin": 1, "yield": 2, "hybrid": 3, "block": 4}

u8, u16, u32, u64 = c.c_uint8, c.c_uint16, c.c_uint32, c.c_uint64
i32, i64, f32, f64 = c.c_int32, c.c_int64, c.c_float, c.c_double
Handle = c.c_void_p


class Sized(c.Structure):
    """A struct that may grow: it says how large it is here."""

    def __init__(self) -> None:
        super().__init__()
        self.struct_size = c.sizeof(self)


class Options(Sized):
    _fields_ = [("struct_size", u32), ("flags", u32), ("project", c.c_char_p), ("folder", c.c_char_p),
                ("socket", c.c_char_p), ("name", c.c_char_p), ("socket_fd", i32), ("timeout_ms", u32)]


class StateInfo(Sized):
    _fields_ = [("struct_size", u32), ("state", i32), ("generation", u64), ("tick", u64), ("age_ns", u64),
                ("cursor", u64), ("first_sequence", u64), ("tick_period_ns", u64), ("run_id", u8 * 16)]


class SelfInfo(Sized):
    _fields_ = [("struct_size", u32), ("agent_id", u32), ("isolation", u32), ("loans", u32), ("site_count", u32),
                ("window_ticks", u32), ("report_ticks", u32), ("reserved", u32), ("incarnation", u64),
                ("name", c.c_char * 64)]


class CellInfo(Sized):
    _fields_ = [("struct_size", u32), ("cell", u32), ("value_type", u32), ("reserved", u32), ("name", c.c_char * 40),
                ("unit", c.c_char * 16), ("meaning", c.c_char * 64)]


class Value(c.Union):
    _fields_ = [("f64", f64), ("u64", u64), ("i64", i64)]


class Cell(c.Structure):
    _fields_ = [("value", Value), ("tick", u64), ("t_ns", i64), ("value_type", u32), ("reserved", u32)]


class Snapshot(Sized):
    _fields_ = [("struct_size", u32), ("count", u32), ("oldest_tick", u64), ("newest_tick", u64)]


class Event(c.Structure):
    _fields_ = [("sequence", u64), ("kind", u16), ("flags", u16), ("len_bytes", u16), ("reserved", u16),
                ("source", u32), ("generation", u32), ("t_ns", i64), ("payload", u8 * 96)]


class Stats(Sized):
    _fields_ = [("struct_size", u32), ("laps", u32), ("received", u64), ("lost", u64), ("next_sequence", u64),
                ("lag", u64), ("lost_from", u64), ("lost_to", u64), ("generation", u64), ("capacity", u64)]


class SyncResult(Sized):
    _fields_ = [("struct_size", u32), ("agents", u32), ("tick", u64), ("window_ticks", u32), ("seen_ticks", u32),
                ("pairs_defined", u32), ("matrix_crc32", u32), ("cs_mean", f64), ("cs_self", f64), ("r_min", f64),
                ("r_max", f64)]


class FieldInfo(Sized):
    _fields_ = [("struct_size", u32), ("field", u32), ("dtype", u32), ("nx", u32), ("ny", u32), ("reserved", u32),
                ("size_bytes", u64), ("latest", u64), ("name", c.c_char * 32), ("unit", c.c_char * 16)]


class Frame(Sized):
    _fields_ = [("struct_size", u32), ("nx", u32), ("ny", u32), ("min", f32), ("max", f32), ("reserved", u32),
                ("data", c.c_void_p), ("size_bytes", u64), ("generation", u64), ("frame", u64), ("tick", u64),
                ("t_ns", i64), ("missed", u64)]


class BatchInfo(Sized):
    _fields_ = [("struct_size", u32), ("rows", u32), ("generation", u64), ("batch", u64), ("first_tick", u64),
                ("last_tick", u64), ("missed", u64)]


class Counter(Sized):
    _fields_ = [("struct_size", u32), ("id", u32), ("value", u64), ("name", c.c_char * 32), ("unit", c.c_char * 16),
                ("meaning", c.c_char * 64)]


class ArrowSchema(c.Structure):
    """Arrow C data interface; `release` is looked at and called, nothing else."""

    _fields_ = [("format", c.c_char_p), ("name", c.c_char_p), ("metadata", c.c_char_p), ("flags", i64),
                ("n_children", i64), ("children", c.c_void_p), ("dictionary", c.c_void_p), ("release", c.c_void_p),
                ("private_data", c.c_void_p)]


class ArrowArray(c.Structure):
    _fields_ = [("length", i64), ("null_count", i64), ("offset", i64), ("n_buffers", i64), ("n_children", i64),
                ("buffers", c.c_void_p), ("children", c.c_void_p), ("dictionary", c.c_void_p),
                ("release", c.c_void_p), ("private_data", c.c_void_p)]


class ArrowArrayStream(c.Structure):
    _fields_ = [("get_schema", c.c_void_p), ("get_next", c.c_void_p), ("get_last_error", c.c_void_p),
                ("release", c.c_void_p), ("private_data", c.c_void_p)]


P = c.POINTER
FUNCTIONS = {
    "connect": [P(Options), P(Handle)],
    "dup": [Handle, P(Handle)],
    "close": [Handle],
    "state": [Handle, P(StateInfo)],
    "self": [Handle, P(SelfInfo)],
    "reattach": [Handle],
    "board_count": [Handle, P(u32)],
    "board_describe": [Handle, u32, P(CellInfo)],
    "board_find": [Handle, c.c_char_p, P(u32)],
    "board_read": [Handle, u32, P(Cell)],
    "board_snapshot": [Handle, P(Cell), c.c_size_t, P(Snapshot)],
    "ring_open": [Handle, i32, u64, P(Handle)],
    "ring_poll": [Handle, P(Event), c.c_size_t, P(c.c_size_t)],
    "ring_wait": [Handle, u64, i32],
    "ring_stats": [Handle, P(Stats)],
    "ring_close": [Handle],
    "sync_open": [Handle, P(Handle)],
    "sync_event": [Handle, P(Event), P(SyncResult)],
    "sync_sample": [Handle, u64, u32, f64, P(SyncResult)],
    "sync_close": [Handle],
    "sync_correlate": [P(f64), c.c_size_t, c.c_size_t, P(f64)],
    "send_report": [Handle, Handle, P(SyncResult)],
    "heartbeat": [Handle, Handle],
    "field_count": [Handle, P(u32)],
    "field_describe": [Handle, u32, P(FieldInfo)],
    "field_find": [Handle, c.c_char_p, P(FieldInfo)],
    "field_copy": [Handle, u32, c.c_void_p, c.c_size_t, P(Frame)],
    "field_open": [Handle, c.c_char_p, P(Handle)],
    "field_loan_latest": [Handle, P(Handle), P(Frame)],
    "field_loan_next": [Handle, P(Handle), P(Frame)],
    "loan_release": [Handle],
    "loan_dlpack": [Handle, P(c.c_void_p)],
    "field_close": [Handle],
    "batches_open": [Handle, P(Handle)],
    "batches_next": [Handle, P(ArrowSchema), P(ArrowArray), P(BatchInfo)],
    "batches_stream": [Handle, u64, P(ArrowArrayStream)],
    "batches_close": [Handle],
    "wake_fd": [Handle, P(i32)],
    "wake_clear": [Handle],
    "counter_count": [Handle, P(u32)],
    "counter_read": [Handle, u32, P(Counter)],
}


def _load() -> c.CDLL:
    """RSW_LIBRARY, else the library of the prefix that this file is in, else whatever the system finds."""
    told = os.environ.get("RSW_LIBRARY")
    above = [parent / "lib" / "librsw.so.0" for parent in Path(__file__).resolve().parents]
    for path in [told] if told else [str(path) for path in above if path.is_file()] + ["librsw.so.0"]:
        try:
            return c.CDLL(path)
        except OSError as error:
            reason = error
    raise ImportError(f"librsw.so.0 is not there ({reason}); `cargo xtask install --prefix DIR` "
                      "makes it, and RSW_LIBRARY=DIR/lib/librsw.so.0 names it")


lib = _load()
for _name, _types in FUNCTIONS.items():
    _function = getattr(lib, f"rsw_{_name}")
    _function.argtypes, _function.restype = _types, i32
lib.rsw_status_str.argtypes, lib.rsw_status_str.restype = [i32], c.c_char_p
lib.rsw_last_error.argtypes, lib.rsw_last_error.restype = [], c.c_char_p


class Error(Exception):
    """What the library refused: `status` is the number, the text says what and why."""

    def __init__(self, status: int) -> None:
        words = lib.rsw_last_error().decode("utf-8", "replace")
        super().__init__(words or lib.rsw_status_str(status).decode())
        self.status = status


def ask(status: int) -> int:
    """The status itself, or its error."""
    if status < 0:
        raise Error(status)
    return status
