"""Foreign functions: where they are, and how code declares them.

NumPy documents that its distributions are found in the library of ``numpy.random._generator``; what
they take stands in ``numpy/random/distributions.h``. SciPy documents
``scipy.special.cython_special``, whose table says the signature of each function. LAPACK is the one
that NumPy's own module of linear algebra is linked with. The loops of a ufunc are found where
``numpy/ufuncobject.h`` says: NumPy lets go of the interpreter lock before it calls one, so that
machine code may call it, too. What sorts the elements of a dtype stands in
``numpy/ndarraytypes.h``, and what finds it in NumPy's table of functions for compiled code.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from oplibrary.machine.elements import Unsupported
from oplibrary.machine.module import Module

_SPECIAL, _LAPACK, _LOOP, _DATA = "special_", "lapack_", "loop_", "data_"
_SORT = "sort_"
_ABI, _ORDER = 0x02000000, {"values": 33, "indices": 38}
"""The layout for which this is written, and the places, in words, of the quick sort of values and
of the stable one of indices."""
_VERSION_OF_NUMPY, _FUNCTIONS_OF_DTYPE = 0, 365
"""Places in NumPy's table."""
_UFUNCS = {"fourier": "numpy.fft._pocketfft_umath"}
"""Where the ufuncs are whose loops are called, by the first part of their names here."""
_COUNTS, _LOOPS, _DATA_OF_LOOPS, _NUMBER = 16, 32, 40, 48
"""How many bytes from the start of a ufunc there is how many operands and results it has, where its
loops are, what each is given, and how many of them there are."""
_SPELLINGS = ("scipy_{}_64_", "{}_64_", "scipy_{}_", "{}_")
"""How LAPACK's functions are spelled, by the builds of NumPy."""
_ARGUMENTS = {"gesv": 8, "trtrs": 10, "potrf": 5}
"""How many addresses functions of LAPACK take, by their names without the type."""
_OF_ONE_NUMBER = b"double (double, int __pyx_skip_dispatch)"
_DRAWING: dict[str, tuple[str, tuple[str, ...]]] = {
    "random_standard_normal_fill": ("void", ("ptr", "i64", "ptr")),
    "random_standard_normal_fill_f": ("void", ("ptr", "i64", "ptr")),
    "random_bounded_uint64_fill": ("void", ("ptr", "i64", "i64", "i64", "i8 zeroext", "ptr")),
    "random_interval": ("i64", ("ptr", "i64")),
    "random_standard_gamma": ("double", ("ptr", "double")),
    "random_standard_gamma_f": ("float", ("ptr", "float")),
    "random_poisson": ("i64", ("ptr", "double")),
    "random_binomial": ("i64", ("ptr", "double", "i64", "ptr")),
}


def special(name: str) -> str:
    """Return what SciPy's function of one number is called here."""
    return _SPECIAL + name


def lapack(name: str) -> str:
    """Return what a function of LAPACK is called here."""
    return _LAPACK + name


def loop(module: str, ufunc: str, types: str) -> tuple[str, str]:
    """Return what the loop of a ufunc for some types is called here, and what it is given."""
    return f"{_LOOP}{module}_{ufunc}_{types}", f"{_DATA}{module}_{ufunc}_{types}"


def sort(what: str, dtype: np.dtype[Any]) -> str:
    """Return what sorts ``"values"`` or ``"indices"`` of a dtype is called here."""
    return f"{_SORT}{what}_{dtype.name}"


def ufunc_of(module: str, name: str) -> Any:
    """Return a ufunc whose loops are called.

    Raises
    ------
    Unsupported
        If NumPy has none of this name.
    """
    try:
        return getattr(import_module(_UFUNCS[module]), name)
    except (AttributeError, ImportError):
        raise Unsupported(f"NumPy does not show {name} to compiled code") from None


@lru_cache(maxsize=64)
def address_of(name: str) -> int:
    """Return where a function is, or 0 where its library does not show it."""
    try:
        if name.startswith(_SPECIAL):
            return _special_address(name.removeprefix(_SPECIAL))
        if name.startswith(_SORT):
            return _sort_address(name)
        if name.startswith((_LOOP, _DATA)):
            return _loop_address(name)
        if name.startswith(_LAPACK):
            library = ctypes.CDLL(import_module("numpy.linalg._umath_linalg").__file__)
            spelled = [each.format(name.removeprefix(_LAPACK)) for each in _SPELLINGS]
            name = next(each for each in spelled if hasattr(library, each))
        else:
            library = ctypes.CDLL(import_module("numpy.random._generator").__file__)
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    except (AttributeError, ImportError, OSError, StopIteration, Unsupported, ValueError):
        return 0


def _sort_address(name: str) -> int:
    _, what, dtype = name.split("_")
    word, capsule = ctypes.c_void_p.from_address, ctypes.pythonapi.PyCapsule_GetPointer
    capsule.restype, capsule.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = capsule(import_module("numpy._core._multiarray_umath")._ARRAY_API, None)

    def function(place: int, kind: Any) -> Any:
        return kind(word(table + 8 * place).value)

    version = function(_VERSION_OF_NUMPY, ctypes.CFUNCTYPE(ctypes.c_uint))()
    if version != _ABI:
        return 0
    found = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)
    functions = function(_FUNCTIONS_OF_DTYPE, found)(np.dtype(dtype))
    return word(functions + 8 * _ORDER[what]).value or 0


def _loop_address(name: str) -> int:
    kind, module, rest = name.split("_", 2)
    ufunc_name, types = rest.rsplit("_", 1)
    ufunc = ufunc_of(module, ufunc_name)
    at, word = id(ufunc), ctypes.c_void_p.from_address
    counts = list((ctypes.c_int * 3).from_address(at + _COUNTS))
    number = ctypes.c_int.from_address(at + _NUMBER).value
    if counts != [ufunc.nin, ufunc.nout, ufunc.nargs] or number != ufunc.ntypes:
        return 0  # laid out otherwise
    position = [each.replace("->", "") for each in ufunc.types].index(types)
    table = word(at + (_LOOPS if kind == "loop" else _DATA_OF_LOOPS)).value or 0
    return (word(table + 8 * position).value or 0) if table else 0


def _special_address(name: str) -> int:
    table: dict[str, Any] = import_module("scipy.special.cython_special").__pyx_capi__
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    for variant in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}"):
        capsule = table.get(variant)
        if capsule is not None and api.PyCapsule_GetName(capsule) == _OF_ONE_NUMBER:
            return int(api.PyCapsule_GetPointer(capsule, _OF_ONE_NUMBER))
    return 0


def declare(module: Module, name: str) -> None:
    """Declare a function in a module that calls it.

    Raises
    ------
    Unsupported
        If its library does not show it.
    """
    if not address_of(name):
        library = "SciPy" if name.startswith(_SPECIAL) else "NumPy"
        plain = name.removeprefix(_SPECIAL).removeprefix(_LAPACK).removeprefix(_LOOP)
        raise Unsupported(f"{library} does not show {plain} to compiled code")
    module.declare(name, *_signature(name))
    module.foreign.add(name)


def _signature(name: str) -> tuple[str, tuple[str, ...]]:
    if name.startswith(_SPECIAL):
        return "double", ("double", "i32")
    if name.startswith(_SORT):
        return "i32", ("ptr", "ptr", "i64", "ptr")[name.startswith(_SORT + "values") :]
    if name.startswith(_LOOP):
        return "void", ("ptr",) * 4
    if name.startswith(_DATA):
        return "void", ()
    if name.startswith(_LAPACK):
        return "void", ("ptr",) * _ARGUMENTS[name.removeprefix(_LAPACK)[1:]]
    return _DRAWING[name]
