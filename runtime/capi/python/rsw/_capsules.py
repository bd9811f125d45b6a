"""Capsules whose content is given back although nobody took it.

A capsule's destructor may run while an exception is on its way, where no Python can: so these have none. They are held here until
nobody else has them, which is looked at whenever one is made or something is closed.
"""

import atexit
import ctypes as c
import sys
from typing import Any, Callable, List, Tuple

_new = c.PYFUNCTYPE(c.py_object, c.c_void_p, c.c_char_p, c.c_void_p)(("PyCapsule_New", c.pythonapi))
valid = c.PYFUNCTYPE(c.c_int, c.py_object, c.c_char_p)(("PyCapsule_IsValid", c.pythonapi))
pointer = c.PYFUNCTYPE(c.c_void_p, c.py_object, c.c_char_p)(("PyCapsule_GetPointer", c.pythonapi))

_held: List[Tuple[Any, Callable[[Any], None]]] = []
_probe = [(object(),)]
# References to something that only a tuple in a list has, as getrefcount counts them.
_ALONE = sys.getrefcount(_probe[0][0])


def make(address: int, name: bytes, give_back: Callable[[Any], None]) -> Any:
    """A capsule, and what to do with it once nobody has it; `name` must live as long as the program."""
    sweep()
    capsule = _new(address, name, None)
    _held.append((capsule, give_back))
    return capsule


def sweep() -> None:
    """Gives back what nobody has any more."""
    for at in reversed(range(len(_held))):
        if sys.getrefcount(_held[at][0]) <= _ALONE:
            capsule, give_back = _held.pop(at)
            give_back(capsule)


atexit.register(sweep)
