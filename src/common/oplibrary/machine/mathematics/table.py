"""Functions by table: a polynomial for each of 32 intervals, whose coefficients are looked up.

AVX-512 picks 16 of 32 numbers in registers with one instruction, so that a table costs no access to
memory. Elsewhere a lookup costs more than the longer polynomials that need none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register, literal

ENTRIES = 32
_WIDE = 16
_QUARTER = 21
"""The bits above this one of a float32 tell between which quarters of powers of two it lies."""


def piecewise(
    function: Callable[[float], float], lowest: int, degree: int
) -> list[tuple[float, ...]]:
    """Return the tables of an odd function with slope 1 at 0, for magnitudes.

    Interval `k` goes from ``(1 + k % 4 / 4) * 2**(lowest + k // 4)`` to where the next one starts,
    the first one from 0. The first table has the number that is subtracted from the argument, the
    others the coefficients by rising powers of the difference. The polynomials pass through the
    function at Chebyshev's points, where the greatest error is nearly the least one.

    Parameters
    ----------
    function : callable
        In float64.
    lowest, degree : int
    """
    borders = [(1 + k % 4 / 4) * 2.0 ** (lowest + k // 4) for k in range(ENTRIES + 1)]
    columns = []
    for low, high in itertools.pairwise(borders):
        middle, half = (low + high) / 2, (high - low) / 2
        around = partial(lambda middle, t: function(middle + t), middle)
        columns.append([middle, *_interpolate(around, -half, half, degree)])
    # near 0 the error must be small beside the function, and the slope exact
    rest = _interpolate(lambda t: (function(t) / t - 1) / t, 0.0, borders[1], degree - 2)
    columns[0] = [0.0, 0.0, 1.0, *rest]
    return list(zip(*columns, strict=True))


def _interpolate(
    function: Callable[[float], float], low: float, high: float, degree: int
) -> Sequence[float]:
    """Return the coefficients of the polynomial that meets a function at Chebyshev's points."""
    angles = np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)
    points = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
    values = [function(float(point)) for point in points]
    found: list[float] = np.linalg.solve(np.vander(points, increasing=True), values).tolist()
    return found


def interval(code: Code, magnitude: Register, lowest: int) -> Register:
    """Return in which interval of `piecewise` a magnitude lies, as an integer for `lookup`."""
    first = code.constant(2.0**lowest, "float", magnitude.lanes).as_integer()
    return code.larger(magnitude.as_integer(), first) >> _QUARTER


def lookup(
    code: Code, name: str, entries: Sequence[float], where: Register, lowest: int
) -> Register:
    """Return the entry of a table of `piecewise`, called `name`, for the interval in each lane."""
    # only the lowest bits of `where` count; that the first interval is not 0 turns the table
    turn = int(np.float32(2.0**lowest).view(np.int32)) >> _QUARTER
    turned = [entries[(i - turn) % ENTRIES] for i in range(ENTRIES)]
    if where.lanes % _WIDE:
        return _lookup_in_memory(code, name, turned, where)
    numbers, integers = f"<{_WIDE} x float>", f"<{_WIDE} x i32>"
    symbol = "llvm.x86.avx512.vpermi2var.ps.512"
    code.module.declare(symbol, numbers, [numbers, integers, numbers])
    low, high = (code.constants(half, "float").ref for half in (turned[:_WIDE], turned[_WIDE:]))
    parts = []
    for start in range(0, where.lanes, _WIDE):
        part = code.shuffle(where, range(start, start + _WIDE)).ref
        arguments = f"{numbers} {low}, {integers} {part}, {numbers} {high}"
        parts.append(code.pure(f"call {numbers} @{symbol}({arguments})", "float", _WIDE))
    return code.join(parts)


def _lookup_in_memory(code: Code, name: str, entries: Sequence[float], where: Register) -> Register:
    listed = ", ".join(f"float {literal(entry, 'float')}" for entry in entries)
    code.module.add_global(name, f"internal constant [{ENTRIES} x float] [{listed}]")
    table = code.parameter(f"@{name}", "ptr")
    places = code.cast("zext", where & (ENTRIES - 1), "i64")
    found = code.constant(0.0, "float", where.lanes)
    for lane in range(where.lanes):
        address = code.address(table, code.extract(places, lane), "float")
        entry = code.load(address, "float")
        found = entry if where.lanes == 1 else code.insert(found, entry, lane)
    return found
