"""Attach agents to a running swarm: `import rsw; swarm = rsw.connect()`.

Everything is read through librsw by ctypes: no compiler, no numpy. One thread at a time for each object;
`Swarm.dup` makes another one for another thread. Context managers give back what they hold.
"""

from __future__ import annotations

import ctypes as c
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from . import _c, _capsules, _dlpack
from ._c import EMPTY, ENDED, LAPPED, OK, REATTACHED, STALE, Error, SyncResult, ask

__all__ = ["connect", "Swarm", "Ring", "Batch", "Cell", "Field", "Loan", "Batches", "RecordBatch", "Stream", "Sync", "Error",
           "OK", "EMPTY", "LAPPED", "STALE", "REATTACHED", "ENDED"]

_TYPES = {1: "f64", 2: "u64", 3: "i64"}


def connect(folder: Optional[str] = None, *, project: Optional[str] = None, socket: Optional[str] = None,
            name: Optional[str] = None, socket_fd: int = 0, observer: bool = False, wake: bool = False,
            timeout_ms: int = 0) -> "Swarm":
    """Attaches to a swarm: a launched agent's own, or the one of `folder` (the working folder unless told).
    With `wake`, the swarm has a descriptor for event loops: `Swarm.fileno`."""
    options = _c.Options()
    options.flags = (_c.CONNECT_OBSERVER if observer else 0) | (_c.CONNECT_WAKE_FD if wake else 0)
    for key, text in (("folder", folder), ("project", project), ("socket", socket), ("name", name)):
        setattr(options, key, text.encode() if text is not None else None)
    options.socket_fd, options.timeout_ms = socket_fd, timeout_ms
    handle = _c.Handle()
    ask(_c.lib.rsw_connect(c.byref(options), c.byref(handle)))
    return Swarm(handle)


class _Held:
    """Something with a handle, which `close` gives back; twice is fine here, use after it is an Error."""

    _close = ""

    def __init__(self, handle: _c.Handle) -> None:
        self._handle: Optional[_c.Handle] = handle

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            ask(getattr(_c.lib, self._close)(handle))
        _capsules.sweep()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # The interpreter may be ending.
            pass


class Cell(NamedTuple):
    """One cell of the board."""

    name: str
    value: Union[float, int]
    unit: str
    tick: int
    t_ns: int


class Swarm(_Held):
    """A connection."""

    _close = "rsw_close"

    def dup(self) -> "Swarm":
        """A second handle on this connection, for another thread."""
        handle = _c.Handle()
        ask(_c.lib.rsw_dup(self._handle, c.byref(handle)))
        return Swarm(handle)

    def state(self) -> Tuple[int, _c.StateInfo]:
        """OK, STALE or ENDED, and the details."""
        info = _c.StateInfo()
        return ask(_c.lib.rsw_state(self._handle, c.byref(info))), info

    def me(self) -> _c.SelfInfo:
        """Who we are, and what the swarm file says about synchronisation."""
        info = _c.SelfInfo()
        ask(_c.lib.rsw_self(self._handle, c.byref(info)))
        return info

    def reattach(self) -> int:
        """REATTACHED if a new generation was taken up; `Ring.wait` does this by itself."""
        return ask(_c.lib.rsw_reattach(self._handle))

    def fileno(self) -> int:
        """A descriptor for `select`, `selectors` or `asyncio`, of a swarm that was connected with `wake=True`: readable when
        there are events, or news of the swarm. Then, or once a second, `clear_wake` and poll until nothing is left."""
        fd = c.c_int32()
        ask(_c.lib.rsw_wake_fd(self._handle, c.byref(fd)))
        return fd.value

    def clear_wake(self) -> int:
        """Makes it unreadable until the next commit; REATTACHED, STALE and ENDED as `reattach`."""
        return ask(_c.lib.rsw_wake_clear(self._handle))

    def board(self) -> List[Cell]:
        """Every cell, each complete; all are of one tick if their ticks are equal."""
        count = c.c_uint32()
        ask(_c.lib.rsw_board_count(self._handle, c.byref(count)))
        cells, snapshot = (_c.Cell * max(count.value, 1))(), _c.Snapshot()
        ask(_c.lib.rsw_board_snapshot(self._handle, cells, count.value, c.byref(snapshot)))
        found = []
        for at in range(snapshot.count):
            info, cell = _c.CellInfo(), cells[at]
            ask(_c.lib.rsw_board_describe(self._handle, at, c.byref(info)))
            value = getattr(cell.value, _TYPES[info.value_type])
            found.append(Cell(info.name.decode(), value, info.unit.decode(), cell.tick, cell.t_ns))
        return found

    def __getitem__(self, name: str) -> Union[float, int]:
        """The value of a cell, by its name."""
        number, cell = c.c_uint32(), _c.Cell()
        status = _c.lib.rsw_board_find(self._handle, name.encode(), c.byref(number))
        if status == _c.E_NOT_FOUND:
            raise KeyError(name)
        ask(status)
        ask(_c.lib.rsw_board_read(self._handle, number, c.byref(cell)))
        return getattr(cell.value, _TYPES[cell.value_type])

    def events(self, start: Union[str, int] = "latest", batch: int = 1024) -> "Ring":
        """A reader of the event ring, from "latest", "oldest" or a sequence on."""
        kinds = {"latest": _c.FROM_LATEST, "oldest": _c.FROM_OLDEST}
        kind = kinds[start] if isinstance(start, str) else _c.FROM_SEQUENCE
        handle = _c.Handle()
        sequence = start if isinstance(start, int) else 0
        ask(_c.lib.rsw_ring_open(self._handle, kind, sequence, c.byref(handle)))
        return Ring(handle, batch)

    def fields(self) -> Dict[str, _c.FieldInfo]:
        """Every field, by name."""
        count, found = c.c_uint32(), {}
        ask(_c.lib.rsw_field_count(self._handle, c.byref(count)))
        for at in range(count.value):
            info = _c.FieldInfo()
            ask(_c.lib.rsw_field_describe(self._handle, at, c.byref(info)))
            found[info.name.decode()] = info
        return found

    def field(self, name: str) -> "Field":
        """One field, to copy or to borrow."""
        return Field(self, name)

    def batches(self) -> "Batches":
        """The metrics batches from now on; those that wait are iterated, nobody waits."""
        handle = _c.Handle()
        ask(_c.lib.rsw_batches_open(self._handle, c.byref(handle)))
        return Batches(handle)

    def stream(self, timeout_s: float = 10.0) -> "Stream":
        """The metrics batches from now on as an Arrow stream, which ends when none came for so long."""
        return Stream(self, timeout_s)

    def sync(self) -> "Sync":
        """The built-in agent's synchronisation window."""
        handle = _c.Handle()
        ask(_c.lib.rsw_sync_open(self._handle, c.byref(handle)))
        return Sync(handle)

    def report(self, result: SyncResult, ring: Optional["Ring"] = None) -> None:
        """Reports a result; the lag and the losses of `ring` go along."""
        ask(_c.lib.rsw_send_report(self._handle, ring._handle if ring else None, c.byref(result)))

    def heartbeat(self, ring: Optional["Ring"] = None) -> None:
        """Says that we live; `Ring.wait` says it too."""
        ask(_c.lib.rsw_heartbeat(self._handle, ring._handle if ring else None))

    def counters(self) -> Dict[str, int]:
        """The kernel's counters."""
        count, found = c.c_uint32(), {}
        ask(_c.lib.rsw_counter_count(self._handle, c.byref(count)))
        for at in range(count.value):
            counter = _c.Counter()
            ask(_c.lib.rsw_counter_read(self._handle, at, c.byref(counter)))
            found[counter.name.decode()] = counter.value
        return found


class Batch:
    """The events of one poll: a window on the ring's own buffer, good until its next poll."""

    __slots__ = ("_events", "_count")

    def __init__(self, events: Any, count: int) -> None:
        self._events, self._count = events, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_c.Event]:
        events = self._events
        return (events[at] for at in range(self._count))

    def __getitem__(self, at: int) -> _c.Event:
        if not -self._count <= at < self._count:
            raise IndexError(at)
        return self._events[at % self._count]

    def view(self) -> memoryview:
        """The events as bytes, 128 each: for struct.iter_unpack, numpy.frombuffer and the like."""
        return memoryview(self._events).cast("B")[: self._count * c.sizeof(_c.Event)]


class Ring(_Held):
    """A reader of the event ring. Iterating yields batches until the swarm ends."""

    _close = "rsw_ring_close"

    def __init__(self, handle: _c.Handle, batch: int) -> None:
        super().__init__(handle)
        self._events = (_c.Event * batch)()
        self._count = c.c_size_t()
        self._capacity = batch

    def wait(self, timeout_s: float = 1.0, strategy: str = "default") -> int:
        """OK if there is something to poll; else EMPTY, STALE or ENDED."""
        return ask(_c.lib.rsw_ring_wait(self._handle, int(timeout_s * 1e9), _c.WAIT[strategy]))

    def poll(self, limit: Optional[int] = None) -> Tuple[int, Batch]:
        """The next events: OK, EMPTY, LAPPED (`stats` says what was lost) or REATTACHED."""
        capacity = self._capacity if limit is None else min(limit, self._capacity)
        status = ask(_c.lib.rsw_ring_poll(self._handle, self._events, capacity, c.byref(self._count)))
        return status, Batch(self._events, self._count.value)

    def stats(self) -> _c.Stats:
        """The exact account."""
        stats = _c.Stats()
        ask(_c.lib.rsw_ring_stats(self._handle, c.byref(stats)))
        return stats

    def __iter__(self) -> Iterator[Batch]:
        while self.wait() != ENDED:
            status, batch = self.poll()
            if batch:
                yield batch


class Sync(_Held):
    """The synchronisation window of the built-in agent."""

    _close = "rsw_sync_close"

    def event(self, event: _c.Event) -> Optional[SyncResult]:
        """Takes an event; the result, if a report is due."""
        result = SyncResult()
        due = ask(_c.lib.rsw_sync_event(self._handle, c.byref(event), c.byref(result)))
        return result if due == OK else None

    def sample(self, tick: int, agent_id: int, ci: float) -> Optional[SyncResult]:
        """As `event`, for a sample from elsewhere."""
        result = SyncResult()
        due = ask(_c.lib.rsw_sync_sample(self._handle, tick, agent_id, ci, c.byref(result)))
        return result if due == OK else None


class Field:
    """A field by name: `copy` it, or borrow its frames with `loan`."""

    def __init__(self, swarm: Swarm, name: str) -> None:
        self._swarm, self.name = swarm, name
        self.info = _c.FieldInfo()
        ask(_c.lib.rsw_field_find(swarm._handle, name.encode(), c.byref(self.info)))
        self._subscription: Optional[_Subscription] = None

    def copy(self) -> Optional[memoryview]:
        """The latest frame, complete, as ny x nx floats of our own; None before the first."""
        info, frame = self.info, _c.Frame()
        cells = bytearray(info.size_bytes)
        place = (c.c_char * max(len(cells), 1)).from_buffer(cells)
        status = ask(_c.lib.rsw_field_copy(self._swarm._handle, info.field, place, len(cells), c.byref(frame)))
        del place
        if status == EMPTY:
            return None
        return memoryview(cells).cast("f", (info.ny, info.nx)) if info.dtype == 1 else memoryview(cells)

    def loan(self, timeout_s: float = 1.0) -> "Loan":
        """Borrows the newest frame that was not borrowed yet, without a copy; waits for one so long (TimeoutError)."""
        if self._subscription is None:
            handle = _c.Handle()
            ask(_c.lib.rsw_field_open(self._swarm._handle, self.name.encode(), c.byref(handle)))
            self._subscription = _Subscription(handle)
        loan, frame = _c.Handle(), _c.Frame()
        with self._swarm.events(batch=1) as ring:
            for _ in range(max(1, int(timeout_s * 100))):
                held = self._subscription._handle
                if ask(_c.lib.rsw_field_loan_latest(held, c.byref(loan), c.byref(frame))) == OK:
                    return Loan(loan, frame)
                ring.wait(0.01, "block")
                while ring.poll()[1]:
                    pass
        raise TimeoutError(f"no new frame of {self.name} within {timeout_s} s")


class _Subscription(_Held):
    _close = "rsw_field_close"


class Loan(_Held):
    """A borrowed frame: read-only memory of the gateway's, stable until released. `with` releases it.

    What was made from it by `memory` or `__array_interface__` must not be used after that. What was taken by DLPack
    (`numpy.from_dlpack(loan)`) keeps the loan until it is gone itself.
    """

    _close = "rsw_loan_release"

    def __init__(self, handle: _c.Handle, frame: _c.Frame) -> None:
        super().__init__(handle)
        self.frame = frame

    release = _Held.close

    @property
    def shape(self) -> Tuple[int, int]:
        """(ny, nx)."""
        return self.frame.ny, self.frame.nx

    @property
    def address(self) -> int:
        """Where the cells are: in the loan itself."""
        return self._live().data

    def memory(self) -> memoryview:
        """The cells as ny x nx floats, read-only, without a copy."""
        frame = self._live()
        cells = (c.c_float * (frame.nx * frame.ny)).from_address(frame.data)
        return memoryview(cells).cast("B").cast("f", self.shape).toreadonly()

    @property
    def __array_interface__(self) -> Dict[str, Any]:
        frame = self._live()
        return {"version": 3, "shape": self.shape, "typestr": "<f4", "data": (frame.data, True)}

    def __dlpack_device__(self) -> Tuple[int, int]:
        return _dlpack.CPU

    def __dlpack__(self, *, stream: Any = None, max_version: Optional[Tuple[int, int]] = None,
                   dl_device: Optional[Tuple[int, int]] = None, copy: Optional[bool] = None) -> Any:
        """A capsule of DLPack 1.0; older consumers cannot be told that the cells are read-only."""
        self._live()
        if max_version is None or max_version[0] < 1:
            raise BufferError("this is read-only memory, which DLPack can say from 1.0 on; copy it: Field.copy")
        if copy or dl_device not in (None, _dlpack.CPU):
            raise BufferError("a loan is memory of this machine, lent as it is; copy it: Field.copy")
        return _dlpack.capsule(self._handle)

    def _live(self) -> _c.Frame:
        if self._handle is None:
            raise ValueError("the loan was released")
        return self.frame


class Batches(_Held):
    """The metrics batches; iterating yields those that wait."""

    _close = "rsw_batches_close"

    def next(self) -> Optional["RecordBatch"]:
        """The oldest batch that waits, or None."""
        schema, array, info = _c.ArrowSchema(), _c.ArrowArray(), _c.BatchInfo()
        status = ask(_c.lib.rsw_batches_next(self._handle, c.byref(schema), c.byref(array), c.byref(info)))
        return RecordBatch(schema, array, info) if status == OK else None

    def __iter__(self) -> Iterator["RecordBatch"]:
        while (batch := self.next()) is not None:
            yield batch


_Release = c.CFUNCTYPE(None, c.c_void_p)

def _release(struct: Any) -> None:
    if struct.release:
        _Release(struct.release)(c.addressof(struct))


_NAMES = {_c.ArrowSchema: b"arrow_schema", _c.ArrowArray: b"arrow_array", _c.ArrowArrayStream: b"arrow_array_stream"}


def _capsule(struct: Any) -> Any:
    """Moves a struct of Arrow's into a capsule; whoever takes it out leaves nothing to release."""
    kind = type(struct)
    moved = kind()
    c.memmove(c.byref(moved), c.byref(struct), c.sizeof(kind))
    struct.release = None
    return _capsules.make(c.addressof(moved), _NAMES[kind], lambda _: _release(moved))


class RecordBatch:
    """One batch, by the Arrow PyCapsule protocol: `pyarrow.record_batch(batch)` and the like take it, once, without a
    copy; the loan ends with the last array made from it."""

    def __init__(self, schema: _c.ArrowSchema, array: _c.ArrowArray, info: _c.BatchInfo) -> None:
        self._schema, self._array, self.info = schema, array, info

    def __arrow_c_array__(self, requested_schema: object = None) -> Tuple[Any, Any]:
        if not self._array.release:
            raise ValueError("the batch was taken already")
        return _capsule(self._schema), _capsule(self._array)

    def release(self) -> None:
        """Ends the loan, if nobody took the batch."""
        _release(self._schema)
        _release(self._array)

    __del__ = release


class Stream:
    """The metrics batches by the Arrow PyCapsule protocol: `pyarrow.RecordBatchReader.from_stream(stream)`."""

    def __init__(self, swarm: Swarm, timeout_s: float) -> None:
        self._stream = _c.ArrowArrayStream()
        ask(_c.lib.rsw_batches_stream(swarm._handle, int(timeout_s * 1e9), c.byref(self._stream)))

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        if not self._stream.release:
            raise ValueError("the stream was taken already")
        return _capsule(self._stream)

    def release(self) -> None:
        """Ends the subscription, if nobody took the stream."""
        _release(self._stream)

    __del__ = release
