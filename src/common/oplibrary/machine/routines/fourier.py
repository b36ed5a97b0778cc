"""Fourier transforms, by the loops that NumPy's functions call: its bits.

NumPy says which loop it calls for which dtypes. It is one of double precision also for numbers of
single precision where nothing divides the result; these are then converted, as by NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log2, prod
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.expression import parse_expression
from oplibrary.machine.code import Code
from oplibrary.machine.elements import DType, Unsupported, element_of
from oplibrary.machine.expressions.writing import write_expression
from oplibrary.machine.foreign.functions import address_of, declare, loop, ufunc_of
from oplibrary.machine.memory_access import Index, linear_offset, load_lanes, store_lanes
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of, in_lanes, weighed
from oplibrary.machine.target import host_target
from oplibrary.values.dtypes import is_half
from oplibrary.values.types import Shape, TensorType, normalize_axis

NANOSECONDS = 1.0
"""About what an element takes, for each doubling of the length."""
_CALL = 100.0
_CAST = parse_expression("cast({0})")
_LANES = 4
_MODULE = "fourier"

Types = Sequence[TensorType]
Attrs = Mapping[str, Any]


class _Transform(NamedTuple):
    """A transform along one axis.

    Attributes
    ----------
    ufunc : str
    loop : tuple of numpy.dtype
        Of what the loop is given, of the factor and of what it makes.
    source, result : TensorType
        What is transformed, and what comes of it.
    axis : int
    divisor : float
        What the result is divided by, a length or its root, by a factor that is rounded first.
    root : bool
        Whether it is the root of the divisor.
    real : numpy.dtype
        Of the factor, as NumPy computes it.
    """

    ufunc: str
    loop: tuple[DType, DType, DType]
    source: TensorType
    result: TensorType
    axis: int
    divisor: int
    root: bool
    real: DType

    @property
    def symbols(self) -> tuple[str, str]:
        """What the loop is called here, and what it is given besides."""
        return loop(_MODULE, self.ufunc, "".join([each.char for each in self.loop]))

    @property
    def scratch(self) -> tuple[int, int]:
        """Bytes for what is converted before the loop and after it."""
        given, _, made = self.loop
        before = 0 if given == self.source.dtype else self.source.size * given.itemsize
        after = 0 if made == self.result.dtype else self.result.size * made.itemsize
        return before, after

    @property
    def work(self) -> float:
        """Estimated nanoseconds."""
        length = max(weighed(self.result.shape[self.axis]), 2)
        calls = weighed(prod(self.result.shape[: self.axis]))
        return weighed(self.result.size) * NANOSECONDS * log2(length) + _CALL * calls


def complex_transforms(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of a transform of complex numbers along some axes, the last one first."""
    if not attrs["axes"]:
        raise Unsupported("a transform along no axis")
    inverse, norm = attrs["inverse"], attrs["norm"]
    steps, source = [], types[0]
    for axis in reversed(attrs["axes"]):
        length = source.shape[axis]
        name = "ifft" if inverse else "fft"
        steps.append(_transform(name, source, result, axis, length, norm, not inverse))
        source = result
    return _routine(steps)


def real_transform(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the first half of the transform of real numbers."""
    axis = attrs["axis"]
    length = types[0].shape[axis]
    odd = length % 2
    if not isinstance(odd, int):
        raise Unsupported("which of two functions it is depends on the length")
    name = "rfft_n_odd" if odd else "rfft_n_even"
    return _routine([_transform(name, types[0], result, axis, length, attrs["norm"], True)])


def inverse_real_transform(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the real numbers of whose transform the first half is given."""
    axis, length = attrs["axis"], attrs["n"]
    return _routine([_transform("irfft", types[0], result, axis, length, attrs["norm"], False)])


def _transform(
    name: str,
    source: TensorType,
    result: TensorType,
    axis: int,
    length: int,
    norm: str,
    forward: bool,
) -> _Transform:
    """Return a transform by the loop that NumPy calls, with the factor that it computes."""
    if is_half(source.dtype) or is_half(result.dtype):
        raise Unsupported("transforms of half floats")
    real = np.result_type(np.empty(0, source.dtype).real.dtype, 1.0)
    kind: Any = real
    root = norm == "ortho"
    if not root and (norm == "forward") is not forward:
        length, kind = 1, int
    found = ufunc_of(_MODULE, name)
    try:
        given, beside, made = found.resolve_dtypes((source.dtype, kind, None))
    except (AttributeError, TypeError):
        raise Unsupported(f"transforms of {source.dtype}") from None
    at = normalize_axis(axis, len(source.shape))
    return _Transform(name, (given, beside, made), source, result, at, length, root, real)


def _routine(steps: Sequence[_Transform]) -> Routine:
    """Return the routine of transforms one after the other, the last one into the result."""
    for step in steps:
        declare(Module(host_target()), step.symbols[0])  # refuses what is not there
    result = steps[-1].result
    between = _aligned(result.size * result.dtype.itemsize) if len(steps) > 1 else 0
    sizes = zip(*[step.scratch for step in steps], strict=True)
    before, after = (_aligned(max(each)) for each in sizes)

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        source, *more = operands
        start = more[0] if more else target  # of nothing, if nothing is needed
        places = [target, start]  # taken in turns, so that the last one is the result
        order = [source, *[places[(len(steps) - 1 - i) % 2] for i in range(len(steps))]]
        memory = (
            code.address(start, between, "i8"),
            code.address(start, between + before, "i8"),
        )
        for step, (taken, made) in zip(steps, pairwise(order), strict=True):
            _write_step(code, step, taken, made, memory)

    return Routine(
        ("transforms", *steps),
        (steps[0].source.dtype,),
        write,
        _LANES,
        sum([step.work for step in steps]),
        scratch=between + before + after,
    )


def _aligned(nbytes: int) -> int:
    return -(-nbytes // 64) * 64


def _write_step(
    code: Code,
    step: _Transform,
    source: Register,
    target: Register,
    memory: tuple[Register, Register],
) -> None:
    """Write a transform, and the conversions around it."""
    given, _, made = step.loop
    taken = source if given == step.source.dtype else memory[0]
    into = target if made == step.result.dtype else memory[1]
    if taken is not source:
        _write_conversion(code, source, taken, step.source.size, step.source.dtype, given)
    _write_calls(code, step, taken, into)
    if into is not target:
        _write_conversion(code, into, target, step.result.size, made, step.result.dtype)


def _write_conversion(
    code: Code, source: Register, target: Register, size: int, one: DType, other: DType
) -> None:
    def some(at: Index, width: int) -> None:
        value = load_lanes(code, source, one, at, 1, width)
        value = write_expression(code, _CAST, [(value, one)], other)
        store_lanes(code, target, other, at, 1, value)

    in_lanes(code, size, _LANES, some)


def _write_calls(code: Code, step: _Transform, source: Register, target: Register) -> None:
    """Write the calls of a loop, one for all lines that lie beside each other."""
    function, data = step.symbols
    declare(code.module, function)
    beside = "null"
    if address_of(data):
        declare(code.module, data)
        beside = f"@{data}"
    given, number, made = step.loop
    outer, (length, inner) = _around(step.source.shape, step.axis)
    _, (count, _) = _around(step.result.shape, step.axis)
    calls, lines = (1, outer) if inner == 1 else (outer, inner)
    apart = (length, count) if inner == 1 else (1, 1)
    items = (given.itemsize, made.itemsize)
    words = (
        (lines, length, count),
        (apart[0] * items[0], 0, apart[1] * items[1], inner * items[0], inner * items[1]),
    )
    memory = []
    for values in words:
        memory.append(code.allocate("i64", len(values)))
        for place, value in enumerate(values):
            code.store(code.constant(value, "i64"), code.address(memory[-1], place, "i64"))
    wide = "double" if number.itemsize == 8 else "float"
    factor, arguments = code.allocate(wide, 1), code.allocate("ptr", 3)
    code.store(_factor(code, step, wide), factor)
    listed = ", ".join(f"ptr {each.ref}" for each in (arguments, *memory))

    def call(row: Index) -> None:
        steps = (length * inner * items[0], count * inner * items[1])
        first, last = (
            code.address(base, linear_offset(code, 0, (apart_by,), (row,)), "i8")
            for base, apart_by in zip((source, target), steps, strict=True)
        )
        for place, each in enumerate((first, factor, last)):
            code.store(each, code.address(arguments, place, "ptr"))
        code.statement(f"call void @{function}({listed}, ptr {beside})")

    each_of(code, calls, call)


def _factor(code: Code, step: _Transform, wide: str) -> Register:
    """Write what the result is multiplied by, computed as NumPy does."""
    element = element_of(step.real)
    divisor = code.cast("sitofp", code.constant(step.divisor, "i64"), element)
    if step.root:
        divisor = code.call_intrinsic("sqrt", divisor)
    factor = code.constant(1.0, element) / divisor
    if element == wide:
        return factor
    return code.cast("fpext" if wide == "double" else "fptrunc", factor, wide)


def _around(shape: Shape, axis: int) -> tuple[int, tuple[int, int]]:
    """Return how many elements there are before an axis, and along it and after it."""
    return prod(shape[:axis]), (shape[axis], prod(shape[axis + 1 :]))
