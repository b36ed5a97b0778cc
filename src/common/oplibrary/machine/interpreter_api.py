"""Interpreter API: what machine code needs to know of CPython and NumPy, checked before it is used.

The addresses of functions come from the running process, the layout of objects is compared with
objects that exist. Where anything is not as expected, no function object is made, and calls go
through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

DATA, NDIM, DIMENSIONS, DTYPE, FLAGS, MEMORY_HANDLER = 16, 24, 32, 56, 64, 88
"""Offsets in an array object, in bytes (PyArrayObject_fields in NumPy's ndarraytypes.h)."""
TYPE = 8
"""Offset of an object's type."""
FIRST_ITEM = tuple.__basicsize__
"""Offset of the first item of a tuple."""
BYTES = bytes.__basicsize__ - 1
"""Offset of the content of a bytes object."""
IN_ORDER = 0x0001 | 0x0100
"""The flags of an array that is row-major and aligned."""

FUNCTIONS = (
    "Py_IncRef",
    "Py_DecRef",
    "PyList_New",
    "PyList_SetItem",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyObject_Vectorcall",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyObject_GetAttr",
    "PyObject_SetAttr",
    "PyErr_Clear",
    "PyTraceMalloc_Track",
)
"""The functions of CPython that are called."""
OWN_MEMORY = ("aligned_alloc", "free", "memory handler")
"""The functions of C that allocate memory of arrays, and the object that NumPy frees it through."""
TRACED = np.lib.tracemalloc_domain
"""The domain in which NumPy reports the memory of arrays to `tracemalloc`."""
_ARRAY_TYPE, _NEW_FROM_DESCR, _HANDLER = 2, 94, 306
_DEFINITION = struct.Struct("QQi4xQ")
"""A PyMethodDef: the addresses of name and function, flags, and no documentation."""
_ABI = 0x02000000


@lru_cache(maxsize=1)
def addresses() -> dict[str, int] | None:
    """Return the address of each function and of the array type, or None if they cannot be used."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    if sysconfig.get_config_var("Py_GIL_DISABLED") or not _is_main_interpreter():
        return None
    found = {}
    for name in FUNCTIONS:
        function = getattr(ctypes.pythonapi, name, None)
        if function is None:
            return None
        found[name] = ctypes.cast(function, ctypes.c_void_p).value or 0
    table = _array_api()
    if table is None or not _layout_is_known():
        return None
    found["PyArray_Type"] = table[_ARRAY_TYPE]
    found["PyArray_NewFromDescr"] = table[_NEW_FROM_DESCR]
    found |= _own_memory(table)
    return found if table[_ARRAY_TYPE] == id(np.ndarray) else None


def _own_memory(table: Any) -> dict[str, int]:
    """Return where `OWN_MEMORY` is; 0 each where arrays must leave their memory to NumPy.

    NumPy's default handler frees memory by C's ``free``, which takes what ``aligned_alloc`` gave.
    """
    nothing = dict.fromkeys(OWN_MEMORY, 0)
    if os.name != "posix":
        return nothing
    library = ctypes.CDLL(None)
    try:
        functions = [library.aligned_alloc, library.free]
    except AttributeError:
        return nothing
    handler = ctypes.c_void_p.from_address(table[_HANDLER]).value or 0
    sample = np.empty(1)
    if ctypes.c_void_p.from_address(id(sample) + MEMORY_HANDLER).value != handler or not handler:
        return nothing  # another layout, or somebody's own handler
    found = [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions]
    return dict(zip(OWN_MEMORY, [*found, handler], strict=True)) if all(found) else nothing


def _is_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module: Any = __import__(name)
        except ImportError:
            continue
        main, current = module.get_main(), module.get_current()
        if isinstance(main, tuple):
            main, current = main[0], current[0]
        return bool(main == current)
    return False


def _array_api() -> Any:
    """Return NumPy's table of functions, if it has the binary interface that is known here."""
    try:
        from numpy._core import _multiarray_umath  # type: ignore[attr-defined]
    except ImportError:
        return None
    capsule = getattr(_multiarray_umath, "_ARRAY_API", None)
    if capsule is None:
        return None
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(get(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[0] or 0)()
    return table if version == _ABI else None


def _layout_is_known() -> bool:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    at = id(array)

    def word(address: int) -> int:
        return ctypes.c_void_p.from_address(address).value or 0

    dimensions = word(at + DIMENSIONS)
    return (
        word(at + TYPE) == id(np.ndarray)
        and word(at + DATA) == array.ctypes.data
        and ctypes.c_int.from_address(at + NDIM).value == 2
        and [word(dimensions), word(dimensions + 8)] == [2, 3]
        and word(at + DTYPE) == id(array.dtype)
        and ctypes.c_int.from_address(at + FLAGS).value == array.flags.num
        and bytes.__itemsize__ == 1
        and ctypes.string_at(id(b"known") + BYTES, 5) == b"known"
    )


def new_function(
    name: bytes, address: int, flags: int, table: bytes, owned: tuple[Any, ...]
) -> Callable[..., Any] | None:
    """Return a function object of machine code, or None where a tuple is not as expected.

    Parameters
    ----------
    name : bytes
    address : int
        Of the code. As ``self`` it is passed a tuple, whose first item is `table`.
    flags : int
        Of a PyMethodDef: how it takes its arguments.
    table : bytes
        What the code reads.
    owned : tuple
        Whatever must live as long as the function.
    """
    # what the code reads through cannot be assigned to: bytes, and a tuple that keeps the rest
    definition = _DEFINITION.pack(id(name) + BYTES, address, flags, 0)
    kept = (table, definition, lambda: (owned, name))
    first = ctypes.c_void_p.from_address(id(kept) + FIRST_ITEM).value
    if first != id(table):
        return None
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    function: Callable[..., Any] = new(id(definition) + BYTES, kept, None)
    return function
