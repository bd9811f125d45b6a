"""Loans by the DLPack protocol: `numpy.from_dlpack(loan)` and the like take one without a copy.

Only in its versioned form (DLPack 1.0), which alone can say that memory is read-only.
"""

import ctypes as c
from typing import Any, Callable, Dict, Tuple

NAME = b"dltensor_versioned"
VERSION = (1, 0)
CPU = (1, 0)
READ_ONLY = 1
FLOAT = 2


class Device(c.Structure):
    _fields_ = [("device_type", c.c_int32), ("device_id", c.c_int32)]


class DataType(c.Structure):
    _fields_ = [("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16)]


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("device", Device), ("ndim", c.c_int32), ("dtype", DataType),
                ("shape", c.POINTER(c.c_int64)), ("strides", c.POINTER(c.c_int64)), ("byte_offset", c.c_uint64)]


_Deleter = c.CFUNCTYPE(None, c.c_void_p)


class Managed(c.Structure):
    _fields_ = [("major", c.c_uint32), ("minor", c.c_uint32), ("manager_ctx", c.c_void_p), ("deleter", _Deleter),
                ("flags", c.c_uint64), ("tensor", Tensor)]


# What was handed out, by its address: the struct with its shape, and what to do when it comes back.
_out: Dict[int, Tuple[Managed, Any, Callable[[], None]]] = {}


@_Deleter
def _delete(address: int) -> None:
    _out.pop(address)[2]()


_valid = c.PYFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p)(("PyCapsule_IsValid", c.pythonapi))
_pointer = c.PYFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)(("PyCapsule_GetPointer", c.pythonapi))
_new = c.PYFUNCTYPE(c.py_object, c.c_void_p, c.c_char_p, c.c_void_p)(("PyCapsule_New", c.pythonapi))


@c.PYFUNCTYPE(None, c.c_void_p)
def _unused(capsule: int) -> None:
    # A consumer gives it another name, and deletes the tensor by itself.
    if _valid(capsule, NAME):
        _delete(_pointer(capsule, NAME))


def capsule(address: int, shape: Tuple[int, int], given_back: Callable[[], None]) -> Any:
    """Floats at an address, rows of columns, until `given_back` is called."""
    sides = (c.c_int64 * 4)(*shape, shape[1], 1)
    managed = Managed(*VERSION, None, _delete, READ_ONLY)
    managed.tensor.data, managed.tensor.device, managed.tensor.ndim = address, Device(*CPU), 2
    managed.tensor.dtype = DataType(FLOAT, 32, 1)
    managed.tensor.shape = c.cast(sides, c.POINTER(c.c_int64))
    managed.tensor.strides = c.cast(c.byref(sides, 16), c.POINTER(c.c_int64))
    _out[c.addressof(managed)] = (managed, sides, given_back)
    return _new(c.addressof(managed), NAME, c.cast(_unused, c.c_void_p))
