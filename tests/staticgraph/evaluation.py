"""What a program is expected to compute, and how far rounding may carry a result from it."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from oplibrary.core.expression import BINARY
from oplibrary.core.op import Kind
from oplibrary.values.types import normalize_axes
from staticgraph.control.region import Region
from staticgraph.program.lengths import current_lengths, program_at, program_is_symbolic

ROUNDING = 4
"""Units in the last place by which a perturbed run changes what an inexact instruction computes."""
EXACT_OPERATORS = {
    *(BINARY - {"power"}),
    *"negative bitwise_invert where max min abs sqrt floor ceil trunc round".split(),
    *"cast real imag conj signbit copysign nextafter spacing mantissa exponent fmod".split(),
    *"gcd lcm bitwise_count".split(),
}
"""Of expressions that IEEE 754 leaves no choice."""
INEXACT_OF_COMPLEX = {"abs", "sqrt"}
"""Of those, the ones that are computed by a formula where a number is complex."""
ROUNDED = "fc"
"""Kinds of dtypes whose numbers are rounded; an error of a complex one is relative to its size."""
CANCELLING = set("gelu gelu_tanh softplus logaddexp logaddexp2 binary_cross_entropy".split())
"""Ops whose formula subtracts: where their result is small, its error is one of the operands."""
LOGARITHMS_OF_SUMS = set("log_softmax logsumexp cross_entropy".split())
"""Ops that take the logarithm of a sum that may be rounded to 1: their error is one of 1."""
EITHER_ZERO = {"fmin", "fmax"}
"""Ops of which NumPy's result for two zeros is one or the other, by where the operands lie."""
UNDERFLOWING = {"sigmoid": 128, "silu": 1024}
"""Ops that are 0 in NumPy where an intermediate number overflows, though the result is a small one:
up to how many times the smallest normal number."""
MARGIN = 16
"""How much further than the perturbed runs a backend may be from NumPy."""


def is_exact(op, dtype, operand_dtypes=()):
    """Tell whether IEEE 754 or the op's meaning leaves no choice of its result, of a dtype.

    In half precision nobody says in which precision a formula is computed.
    """
    if op.kind is Kind.ELEMENTWISE:
        is_complex = any(each.kind == "c" for each in (dtype, *operand_dtypes))
        if is_complex and op.expression.operators() & INEXACT_OF_COMPLEX:
            return False
        if dtype == np.float16:
            return op.name == "cast"
        return op.expression.operators() <= EXACT_OPERATORS
    if op.kind in (Kind.MOVEMENT, Kind.CREATION):
        return True
    if op.kind is Kind.INDEXING:
        return "gradient" not in op.name
    return op.name in ("max", "min", "argmax", "argmin", "all", "any", "count_nonzero", "sort")


def is_exact_instruction(instruction):
    """Tell whether there is no choice of the result of an instruction; see `is_exact`."""
    dtypes = [value.type.dtype for value in instruction.inputs]
    return is_exact(instruction.op, instruction.output.type.dtype, dtypes)


def evaluate(program, arrays, rng=None):
    """Return every value of `program`, as NumPy's kernels compute it.

    With `rng` what an inexact instruction computes is changed a little, and what it reads, too, if
    it adds numbers up: an error of a sum is relative to what is summed.
    """
    values = dict(zip(program.inputs, arrays, strict=True)) | dict(program.constants)
    for each in program.instructions:
        operands = [values[value] for value in each.inputs]
        if each.op.kind is Kind.CONTROL:
            values[each.output] = controlled(each, operands, rng)
            continue
        inexact = rng is not None and not is_exact_instruction(each)
        if inexact and each.op.kind is not Kind.ELEMENTWISE:
            operands = [changed(x, rng) for x in operands]
        if inexact and each.op.kind is Kind.REDUCTION and len(operands) == 1:
            operands = [in_another_order(operands[0], each.attrs.get("axis"), rng)]
        result = np.asarray(each.op.kernel(*operands, **each.attrs))
        values[each.output] = changed(result, rng) if inexact else result
        if rng is not None and each.op.name in EITHER_ZERO and result.dtype.kind == "f":
            either = np.copysign(result, rng.choice([-1.0, 1.0], result.shape))
            values[each.output] = np.where(result == 0, either, result).astype(result.dtype)
        if inexact and each.op.name in CANCELLING:
            size = np.nan_to_num(
                np.max([np.abs(x) for x in np.broadcast_arrays(*operands)], axis=0)
            )
            values[each.output] = moved(values[each.output], size, rng)
        if inexact and each.op.name in LOGARITHMS_OF_SUMS:
            values[each.output] = moved(values[each.output], 1.0, rng)
        if inexact and each.op.name in UNDERFLOWING:
            least = np.finfo(result.dtype).tiny * UNDERFLOWING[each.op.name]
            noise = rng.uniform(-1, 1, result.shape) * least
            values[each.output] = (values[each.output] + noise).astype(result.dtype)
    return values


def controlled(instruction, operands, rng):
    """Return what a loop, a branch or one of its results is; see `evaluate`."""
    op, attrs = instruction.op, instruction.attrs
    if rng is None or op.projection:
        return op.kernel(*operands, **attrs)
    attrs = {name: perturbed(value, rng) for name, value in attrs.items()}
    results = op.kernel(*[changed(np.asarray(x), rng) for x in operands], **attrs)
    return tuple(changed(np.asarray(x), rng) for x in results)


def perturbed(value, rng):
    """Return an attribute with regions that change a little what they compute."""
    if isinstance(value, tuple):
        return tuple(perturbed(each, rng) for each in value)
    return Perturbed(value, rng) if isinstance(value, Region) else value


class Perturbed:
    """A region that is evaluated, with what is inexact in it changed a little."""

    def __init__(self, region, rng):
        self.region = region
        self.input_types, self.output_types = region.input_types, region.output_types
        self.rng = rng

    def given(self, _first, values):
        """Return what runs the region on values from around it, which are changed as they lie."""
        return self.run, list(values)

    def run(self, *arrays):
        program = lowered(self.region)
        if program_is_symbolic(program):
            program = program_at(program, current_lengths())[0]
        values = evaluate(program, arrays, self.rng)
        return [np.asarray(values[value]) for value in program.outputs]


@lru_cache(64)
def lowered(region):
    """Return the program of a region."""
    return region.lower()


def changed(x, rng):
    """Return an array with floating-point numbers a little smaller or larger."""
    if x.dtype.kind not in ROUNDED:
        return x
    step = ROUNDING * np.finfo(x.dtype).eps
    if x.dtype.kind == "f":
        return (x * (1 + rng.uniform(-step, step, x.shape))).astype(x.dtype)
    result, size = x.copy(), np.abs(x)
    size = np.where(np.isfinite(size), size, 0.0)
    for part in (result.real, result.imag):  # a zero stays, on its side of a branch cut
        part += np.where(part == 0, 0.0, rng.uniform(-step, step, x.shape) * size)
    return result


def in_another_order(x, axis, rng):
    """Return an array whose elements come in another order along what is reduced.

    Which of them are taken together first decides whether something overflows on the way.
    """
    for each in normalize_axes(axis, x.ndim):
        x = np.take(x, rng.permutation(x.shape[each]), axis=each)
    return x


def moved(x, size, rng):
    """Return an array with numbers added that are small beside `size`."""
    noise = rng.uniform(-1, 1, x.shape) * (ROUNDING * np.finfo(x.dtype).eps) * size
    return (x + noise).astype(x.dtype)


def inexact_values(program):
    """Return the values that depend on an inexact instruction."""
    found = set()
    for each in program.instructions:
        dtype = each.output.type.dtype
        rounded = each.op.kind is Kind.CONTROL or (
            dtype.kind in ROUNDED
            and (each.op.name in EITHER_ZERO or not is_exact_instruction(each))
        )
        if rounded or found.intersection(each.inputs):
            found.add(each.output)
    return found


class Expected(NamedTuple):
    """An array that is expected.

    Attributes
    ----------
    array : ndarray
    bound : ndarray or None
        How far each element may be from it; None if not at all.
    free : ndarray
        Where it may be anything.
    """

    array: np.ndarray
    bound: np.ndarray | None
    free: np.ndarray

    def exactly(self):
        """Return the same array, expected to the last bit."""
        return Expected(self.array, None, np.zeros_like(self.free))


def bounds(program, arrays, samples):
    """Return for each output what is expected of it."""
    exact = evaluate(program, arrays)
    rounded = inexact_values(program)
    spread = {value: np.zeros(value.type.shape) for value in program.outputs}
    free = {value: np.zeros(value.type.shape, bool) for value in program.outputs}
    for seed in range(samples if rounded else 0):
        other = evaluate(program, arrays, np.random.default_rng(seed))
        for value in rounded.intersection(program.outputs):
            a, b = np.asarray(exact[value]), np.asarray(other[value])
            if a.dtype.kind not in ROUNDED:
                free[value] |= a != b
                continue
            finite = np.isfinite(a) & np.isfinite(b)
            free[value] |= ~finite & ~((a == b) | (np.isnan(a) & np.isnan(b)))
            far = np.abs(_wide(a) - b)
            spread[value] = np.fmax(spread[value], np.where(finite, far, 0.0))
    result = []
    for value in program.outputs:
        a = np.asarray(exact[value])
        bound = None
        if value in rounded and a.dtype.kind in ROUNDED:
            info = np.finfo(a.dtype)
            size = np.where(np.isfinite(a), np.abs(_wide(a)), 0.0)
            bound = MARGIN * (spread[value] + size * float(info.eps) + float(info.tiny))
        result.append(Expected(a, bound, free[value]))
    return result


def _wide(x):
    return x.astype("complex128" if x.dtype.kind == "c" else "float64")


def _alike(array, result, signs):
    """Tell which elements are equal, two NaN included; with `signs` zeros must have one sign."""
    if array.dtype.kind != "f":
        return array == result
    same = array == result
    if signs:
        same &= np.signbit(array) == np.signbit(result)
    return same | (np.isnan(array) & np.isnan(result))


def compare(expected, result):
    """Return how `result` differs from what is expected; empty if it is near enough."""
    array, bound, free = expected
    if type(result) is not np.ndarray:
        return f"a {type(result).__name__}"
    if (result.shape, result.dtype) != (array.shape, array.dtype):
        return f"{result.dtype}{result.shape} instead of {array.dtype}{array.shape}"
    if array.dtype.kind == "c":
        same = free | (
            _alike(array.real, result.real, bound is None)
            & _alike(array.imag, result.imag, bound is None)
        )
    else:
        same = free | _alike(array, result, bound is None)
    worst = ""
    if bound is not None:
        with np.errstate(invalid="ignore"):
            error = np.abs(_wide(array) - _wide(result))
        same |= error <= bound
        if not same.all():
            worst = f", off by {error[~same].max():.3g}, allowed {bound[~same].max():.3g}"
    if same.all():
        return ""
    place = tuple(int(i) for i in np.argwhere(~same)[0])
    found, wanted = result[place], array[place]
    return f"{(~same).sum()} of {same.size} wrong{worst}; at {place} {found!r} for {wanted!r}"
