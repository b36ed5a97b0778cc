"""Attributes, types and structures as JSON, with every kind of value told from the others.

What JSON has stands for itself. Anything else is an object of one entry, which names the kind:
``{"tuple": [0, 1]}``, ``{"dtype": "float32"}``, ``{"length": [[2, "batch"], [1]]}``.
"""

from __future__ import annotations

import math
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from oplibrary.core.registry import CREATION
from oplibrary.messages.errors import ProgramFileError
from oplibrary.ops.indexing import Slice
from oplibrary.values.dtypes import is_bfloat16, to_dtype
from oplibrary.values.tree import LEAF, Structure
from oplibrary.values.types import TensorType
from staticgraph.control.region import BoundRegion, Region
from staticgraph.graph.dimension import dim
from staticgraph.program.lengths import named_type
from staticgraph.program.polynomial import Polynomial, is_symbolic, number_of, polynomial_of
from staticgraph.program.tuple_values import TupleType

_NUMBERS = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
_NUMBERS += "float16 float32 float64 complex64 complex128".split()
_LARGEST_DEGREE = 64
"""More lengths than an array can have axes are not multiplied to one."""
_NATIVE = [np.dtype(name) for name in _NUMBERS]
_DTYPES: dict[str, np.dtype[Any]] = {
    each.str: each
    for dtype in _NATIVE
    for each in (dtype.newbyteorder("<"), dtype.newbyteorder(">"))
}
_DTYPES.update({dtype.name: dtype for dtype in _NATIVE})
"""Every dtype that a file may name; those of this machine's byte order have plain names."""

_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_PYTHON_TYPES: dict[str, type] = {each.__name__: each for each in (bool, int, float, complex)}
_NUMPY_TYPES: dict[str, type] = {dtype.type.__name__: dtype.type for dtype in _NATIVE}
_BY_NAME: dict[str, Mapping[Any, Any]] = {
    "python_type": _PYTHON_TYPES,
    "numpy_type": _NUMPY_TYPES,
    "creation": CREATION,
}
"""What is written as its own name. The functions are the library's, and make arrays of lengths."""

_UNUSUAL_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_CONTAINERS: dict[str, type] = {"list": list, "tuple": tuple}
_MAPPINGS: dict[str, type] = {"dict": dict, "OrderedDict": OrderedDict}


class NotWritable(Exception):
    """A value that no file can hold."""


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name of `dtype` in a file.

    Raises
    ------
    NotWritable
        If its elements are not numbers that every machine has.
    """
    name = "bfloat16" if is_bfloat16(dtype) else _DTYPE_NAMES.get(dtype)
    if name is None:
        raise NotWritable(f"the dtype {dtype}")
    return name


def _dtype_called(name: str) -> np.dtype[Any]:
    return to_dtype(name) if name == "bfloat16" else _DTYPES[name]


def damaged(what: str) -> ProgramFileError:
    """Return the error of a file that says something which cannot be."""
    return ProgramFileError(
        what,
        cause="the file was changed, or written by another version of the library",
        fix="save the program again, with this version",
    )


class ValueWriter:
    """Makes JSON of values.

    Parameters
    ----------
    number_of : callable
        Returns the number under which a region is written.

    Attributes
    ----------
    symbols : dict of str to int
        The symbolic dimensions that were met, with their least lengths.
    """

    def __init__(self, number_of: Callable[[Region], int]) -> None:
        self._number_of = number_of
        self.symbols: dict[str, int] = {}

    def value(self, value: Any) -> Any:
        """Return the JSON of `value`, an attribute.

        Raises
        ------
        NotWritable
            If it is of no kind that a file can hold.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, np.generic):
            return {"scalar": [dtype_name(value.dtype), self.value(value.item())]}
        if isinstance(value, (str, int, float, complex)):
            return self._plain(value)
        if isinstance(value, (tuple, list, slice, Mapping)):
            return self._container(value)
        if value is ...:
            return {"ellipsis": None}
        if isinstance(value, np.dtype):
            return {"dtype": dtype_name(value)}
        if isinstance(value, TensorType):
            return {"type": self.type(value)}
        if isinstance(value, BoundRegion):
            value = value.region
        if isinstance(value, Region):
            return {"region": self._number_of(value)}
        name = getattr(value, "__name__", None)
        for kind, known in _BY_NAME.items():
            if known.get(name) is value:
                return {kind: name}
        raise NotWritable(f"a {type(value).__name__}")

    def _plain(self, value: str | int | float | complex) -> Any:
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return self.length(value)
        if isinstance(value, complex):
            return {"complex": [self._plain(value.real), self._plain(value.imag)]}
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}

    def _container(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {"mapping": [[self.value(key), self.value(each)] for key, each in value.items()]}
        if isinstance(value, slice):
            return {"slice": [self.value(each) for each in (value.start, value.stop, value.step)]}
        parts = [self.value(each) for each in value]
        if type(value) is list:
            return parts
        if type(value) is tuple:
            return {"tuple": parts}
        if type(value) is Slice:
            return {"Slice": parts}
        raise NotWritable(f"a {type(value).__name__}")

    def length(self, number: int) -> Any:
        """Return the JSON of a length or another whole number."""
        if not is_symbolic(number):
            return int(number)
        polynomial = polynomial_of(int(number))
        assert polynomial is not None
        self.symbols.update({each.name: each.least for each in polynomial.symbols})
        return {
            "length": [
                [factor, *[each.name for each in monomial]]
                for monomial, factor in polynomial.terms.items()
            ]
        }

    def type(self, type: TensorType) -> Any:
        """Return the JSON of a type: ``["float32", [2, 3]]``."""
        if isinstance(type, TupleType):
            return {"results": [self.type(each) for each in type.items]}
        return [dtype_name(type.dtype), [self.length(n) for n in type.shape]]

    def structure(self, structure: Structure) -> Any:
        """Return the JSON of the structure of a program's outputs."""
        if structure is LEAF or structure is None:
            return structure
        kind, keys, children = structure
        parts = [self.structure(child) for child in children]
        if keys is None:
            return {kind.__name__: parts}
        pairs = [[self.value(key), part] for key, part in zip(keys, parts, strict=True)]
        if kind in _MAPPINGS.values():
            return {kind.__name__: pairs}
        return {"namedtuple": [kind.__name__, pairs]}


class ValueReader:
    """Makes values of the JSON that a `ValueWriter` made.

    Parameters
    ----------
    symbols : mapping of str to int
        The symbolic dimensions of the file, with their least lengths.
    regions : sequence of Region
        Those that have been read so far.

    Raises
    ------
    ArgumentError
        If a dimension exists here already, with another least length.
    """

    def __init__(self, symbols: Mapping[str, int], regions: Sequence[Region]) -> None:
        self._symbols = {name: dim(name, least).polynomial for name, least in symbols.items()}
        self._regions = regions
        self._kinds: dict[str, Callable[[Any], Any]] = {
            "scalar": self._scalar,
            "complex": lambda parts: complex(*map(self.value, parts)),
            "float": _UNUSUAL_FLOATS.__getitem__,
            "mapping": lambda pairs: {self.value(key): self.value(x) for key, x in pairs},
            "slice": lambda parts: slice(*map(self.value, parts)),
            "tuple": lambda parts: tuple(map(self.value, parts)),
            "Slice": lambda parts: Slice(*map(self.value, parts)),
            "ellipsis": lambda _: ...,
            "dtype": _dtype_called,
            "type": self.type,
            "region": self._region,
            "length": self._length,
        }
        for kind, known in _BY_NAME.items():
            self._kinds[kind] = known.__getitem__

    def value(self, written: Any) -> Any:
        """Return the value that `written` stands for.

        Raises
        ------
        ProgramFileError
            If it is of a kind that is not known here.
        """
        if isinstance(written, list):
            return [self.value(each) for each in written]
        if not isinstance(written, dict):
            return written
        ((kind, content),) = written.items()
        if kind not in self._kinds:
            raise damaged(f"the file has a value of the kind {kind!r}, which is not known here")
        return self._kinds[kind](content)

    def _scalar(self, parts: Any) -> Any:
        name, value = parts
        return _dtype_called(name).type(self.value(value))

    def _region(self, number: int) -> Region:
        if not 0 <= number < len(self._regions):
            raise damaged(f"region {number} is used before it is declared")
        return self._regions[number]

    def _length(self, terms: Any) -> int:
        total = Polynomial({})
        for factor, *names in terms:
            if len(names) > _LARGEST_DEGREE:
                raise damaged(f"a length is a product of {len(names)}")
            product = Polynomial({(): int(factor)})
            for name in names:
                product *= self._symbols[name]
            total += product
        return number_of(total)

    def type(self, written: Any) -> TensorType:
        """Return the type that `written` stands for."""
        if isinstance(written, dict):
            return TupleType([self.type(each) for each in written["results"]])
        name, lengths = written
        shape = [self.value(n) for n in lengths]
        if any(type(n) is not int or n < 0 for n in shape):
            raise damaged(f"a type has the shape {shape}")
        return named_type(TensorType(shape, _dtype_called(name)))

    def structure(self, written: Any) -> Structure:
        """Return the structure that `written` stands for."""
        if written is None:
            return None
        if written == LEAF:
            return LEAF
        ((kind, parts),) = written.items()
        if kind in _CONTAINERS:
            return _CONTAINERS[kind], None, tuple(map(self.structure, parts))
        name = ""
        if kind not in _MAPPINGS:
            name, parts = parts
        keys = tuple(self.value(key) for key, _ in parts)
        made = _MAPPINGS[kind] if kind in _MAPPINGS else _named_tuple(name, keys)
        return made, keys, tuple(self.structure(child) for _, child in parts)


@lru_cache
def _named_tuple(name: str, fields: tuple[str, ...]) -> type:
    """Return a class like that of the program: the same name and fields."""
    return namedtuple(name, fields, rename=True)  # which refuses what is no name
