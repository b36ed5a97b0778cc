"""How far the native backend's functions are from the true values: measured, and documented.

``python -m tests.staticgraph.accuracy`` goes through all 2**32 float32 numbers for each function
(about two minutes each) and writes the largest error found into the table of ``docs/native.md``;
``python -m tests.staticgraph.accuracy exp log`` does it for some. The tests read their bounds from
the same table.
"""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

import staticgraph as sg
from staticgraph.backends.native.planning import planning

DOCUMENT = Path(__file__).parents[2] / "docs" / "native.md"
CHUNK = 1 << 15
"""Numbers that are looked at together: what is made of them stays in the cache."""

BY_TABLES = {"tanh"}
"""Computed by a table in registers where the processor has AVX-512, and otherwise elsewhere."""
LOWEST = {"sigmoid": 128.0, "silu": 1024.0}
"""Below that many times the smallest normal number, exp(-x) overflows and the result is 0, as it is
in NumPy's kernel."""


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf(x):
    from scipy import special

    return special.erf(x)


def entr(x):
    outside = np.where(x == 0, 0, np.where(x < 0, -np.inf, x))
    return np.where(x > 0, -x * np.log(x), outside)


TRUTH = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": erf,
    "entr": entr,
    "sigmoid": sigmoid,
    "silu": lambda x: np.maximum(x, -1e4) * sigmoid(x),  # not -inf * 0
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
}
"""The true values, for operands of a type that is wider than the one that is tested."""


class Documented(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    single : float
        The bound for float32, in units in the last place.
    found : float or None
        The largest error of all float32 numbers.
    double : float
        The bound for float64.
    """

    single: float
    found: float | None
    double: float


_ROW = re.compile(
    r"^\| (`\w+`(?: without tables)?) +\| +([\d.]+) +\| +([\d.]*) +\| +([\d.]+) +\|$", re.MULTILINE
)


def documented():
    """Return the rows of the table of `DOCUMENT`, by the name of the function or `row_of` it."""
    rows = _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    return {
        name.replace("`", ""): Documented(
            float(single), float(found) if found else None, float(double)
        )
        for name, single, found, double in rows
    }


def row_of(name):
    """Return the row of the table that speaks of a function as this processor computes it."""
    tables = planning.host_target().avx512
    return name if tables or name not in BY_TABLES else f"{name} without tables"


def record(row, found):
    """Write the largest error of a function into the table."""

    def written(match):
        if match[1].replace("`", "") != row:
            return match[0]
        return f"| {match[1]:<21} | {match[2]:>6} | {found:>6.3f} | {match[4]:>6} |"

    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(_ROW.sub(written, text), encoding="utf-8")


def compiled(name, x):
    """Return the function of one operand like `x`, as machine code."""
    with sg.Graph():
        node = sg.placeholder("x", x.shape, x.dtype)
        op = getattr(sg, name, None) or getattr(sg.special, name)
        executable = sg.compile(op(node), [node], backend="native")
    assert "left to NumPy" not in executable.report()
    return executable


def spacing(expected, wide):
    """Return the distance of neighbouring numbers at each of `expected`, in the type `wide`."""
    if expected.dtype != np.float32:
        return np.spacing(np.abs(expected)).astype(wide)
    # the power of two below, 2**23 times the distance: five times as quick
    power = np.maximum(expected.view(np.uint32) & 0x7F800000, 0x00800000).view(np.float32)
    return power.astype(wide) * 2.0**-23


def largest_error(result, truth, lowest=0.0):
    """Return the largest error in units in the last place.

    Parameters
    ----------
    result : ndarray
    truth : ndarray
        Of a wider type.
    lowest : float
        Below that many times the smallest normal number a result may be anything as small.

    Raises
    ------
    AssertionError
        If what is infinite, zero or not a number is another result, or has another sign.
    """
    expected = truth.astype(result.dtype)
    special = ~np.isfinite(expected) | (expected == 0)
    if special.any():
        wanted, given = expected[special], result[special]
        np.testing.assert_array_equal(given, wanted)
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(given[number]), np.signbit(wanted[number]))
    error = result.astype(truth.dtype)
    error -= truth
    np.abs(error, out=error)
    error /= spacing(expected, truth.dtype)
    skipped = special
    if lowest:
        tiny = lowest * np.finfo(result.dtype).tiny
        small = ~special & (np.abs(expected) < tiny)
        assert np.all(np.abs(result[small]) < 2 * tiny)
        skipped = special | small
    if skipped.any():
        error[skipped] = 0.0
    worst = float(error.max(initial=0.0))
    assert worst == worst, "not a number for a number"
    return worst


SIGNS = dict.fromkeys("cbrt sin tan asin atan sinh tanh asinh atanh erf".split(), -1.0)
SIGNS |= dict.fromkeys("cos cosh".split(), 1.0)
"""``f(-x) / f(x)`` of the functions that are odd or even."""


DOMAIN = {"log": (0, np.inf), "log2": (0, np.inf), "log10": (0, np.inf), "log1p": (-1, np.inf)}
DOMAIN |= {"sqrt": (0, np.inf), "rsqrt": (0, np.inf), "acosh": (1, np.inf)}
DOMAIN |= dict.fromkeys(("asin", "acos", "atanh"), (-1, 1))
"""Outside, the result is no number."""
LEVEL = dict.fromkeys("exp expm1 sinh cosh sigmoid silu softplus elu".split(), 200.0)
LEVEL |= {"tanh": 50.0, "erf": 6.0}
"""Beyond, the true value is the same to float32, or is the operand; NumPy takes long to find it."""


def true_values(name, x):
    """Return the true values of a function for float32 numbers."""
    level = LEVEL.get(name)
    if level is None:
        return TRUTH[name](x.astype(np.float64))
    clipped = np.clip(x, -level, level).astype(np.float64)
    if (clipped == clipped[0]).all():
        true = np.full(x.shape, TRUTH[name](clipped[0]))
    else:
        true = TRUTH[name](clipped)
    if name in ("silu", "softplus", "elu"):
        beyond = x > level
        true[beyond] = x[beyond]
    return true


def sweep(name, stride=1):
    """Return the largest error of a function over every `stride`-th float32 number.

    Where it is odd or even, its values for negative numbers must be those for positive ones, to the
    last bit but the sign.
    """
    sign, lowest = SIGNS.get(name), LOWEST.get(name, 0.0)
    low, high = DOMAIN.get(name, (-np.inf, np.inf))
    last = 2**31 if sign else 2**32
    executable = compiled(name, np.empty(CHUNK, np.float32))
    worst = 0.5  # of what is the nearest number
    with np.errstate(all="ignore"):
        for start in range(0, last, CHUNK * stride):
            patterns = np.arange(start, start + CHUNK * stride, stride, np.uint64)
            x = np.minimum(patterns, last - 1).astype(np.uint32).view(np.float32)
            result = executable(x)
            if sign:
                mirrored = executable(-x)
                if sign < 0:
                    mirrored = -mirrored
                assert_same(mirrored, result)
            if np.max(x) < low or np.min(x) > high:
                assert np.isnan(result).all()
                continue
            true = true_values(name, x)
            off = np.flatnonzero(result.view(np.uint32) != true.astype(np.float32).view(np.uint32))
            worst = max(worst, largest_error(result[off], true[off], lowest))
    return worst


def assert_same(one, other):
    """Compare the bits of numbers."""
    same = one.view(np.uint32) == other.view(np.uint32)
    if not same.all():
        assert np.isnan(one[~same]).all()
        assert np.isnan(other[~same]).all()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__)
    parser.add_argument("functions", nargs="*", help="all, if none is named")
    parser.add_argument("--stride", type=int, default=1)
    options = parser.parse_args(arguments)
    os.environ.setdefault("SIDEBYSIDE_CACHE", "off")
    bounds = documented()
    failed = False
    for name in options.functions or TRUTH:
        try:
            found = sweep(name, options.stride)
        except AssertionError as error:
            failed = True
            print(f"{name}: {error}", flush=True)
            continue
        row = row_of(name)
        allowed = bounds[row].single
        failed = failed or found > allowed
        print(f"{row}: {found:.3f}, allowed {allowed}", flush=True)
        if options.stride == 1:
            record(row, found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
