"""Capsules whose content is given back although nobody took it.

A capsule's destructor may run while an exception is on its way, where no Python can: so these have none. They are held here until
nobody else has them, which is looked at whenever one is made or something is closed.
"""

import atexit
import collections
import ctypes as c
import sys
import threading
from typing import Any, Callable, Deque, List, Tuple

_new = c.PYFUNCTYPE(c.py_object, c.c_void_p, c.c_char_p, c.c_void_p)(("PyCapsule_New", c.pythonapi))
valid = c.PYFUNCTYPE(c.c_int, c.py_object, c.c_char_p)(("PyCapsule_IsValid", c.pythonapi))
pointer = c.PYFUNCTYPE(c.c_void_p, c.py_object, c.c_char_p)(("PyCapsule_GetPointer", c.pythonapi))

_Entry = Tuple[Any, Callable[[Any], None]]
_held: List[_Entry] = []
_fresh: Deque[_Entry] = collections.deque()
_lock = threading.Lock()
_probe = [(object(),)]
# References to something that only a tuple in a list has, as getrefcount counts them.
_ALONE = sys.getrefcount(_probe[0][0])


def make(address: int, name: bytes, give_back: Callable[[Any], None]) -> Any:
    """A capsule, and what to do with it once nobody has it; `name` must live as long as the program."""
    sweep()
    capsule = _new(address, name, None)
    _fresh.append((capsule, give_back))
    return capsule


def sweep() -> None:
    """Gives back what nobody has any more. Any thread, at any time: who finds another one at it goes on."""
    if not _lock.acquire(blocking=False):
        return
    try:
        while _fresh:
            _held.append(_fresh.popleft())
        # Who has no reference to a capsule cannot get one: what is alone stays alone.
        alone = [sys.getrefcount(_held[at][0]) <= _ALONE for at in range(len(_held))]
        gone = [entry for entry, lonely in zip(_held, alone) if lonely]
        _held[:] = [entry for entry, lonely in zip(_held, alone) if not lonely]
    finally:
        _lock.release()
    for capsule, give_back in gone:
        give_back(capsule)


atexit.register(sweep)
