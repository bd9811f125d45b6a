"""Loans by the DLPack protocol: `numpy.from_dlpack(loan)` (from NumPy 2.1 on) and the like take one without a copy.

Only in its versioned form (DLPack 1.0), which alone can say that memory is read-only. What a consumer keeps, and how it lets go of
it, is the C library's and needs no Python.
"""

import ctypes as c
from typing import Any

from . import _c, _capsules

NAME = b"dltensor_versioned"
CPU = (1, 0)
# Offset of the deleter in DLManagedTensorVersioned.
DELETER = 16

_Deleter = c.CFUNCTYPE(None, c.c_void_p)


def _give_back(capsule: Any) -> None:
    # A consumer gives it another name, and deletes the tensor by itself.
    if _capsules.valid(capsule, NAME):
        address = _capsules.pointer(capsule, NAME)
        _Deleter(c.c_void_p.from_address(address + DELETER).value)(address)


def capsule(loan: _c.Handle) -> Any:
    """A tensor that shares the loan."""
    tensor = c.c_void_p()
    _c.ask(_c.lib.rsw_loan_dlpack(loan, c.byref(tensor)))
    return _capsules.make(tensor.value, NAME, _give_back)
