"""exp and expm1: e to the x as a power of two times a polynomial."""

from __future__ import annotations

from typing import NamedTuple

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register


class Format(NamedTuple):
    """A floating-point format and the constants of the exponential in it.

    Attributes
    ----------
    magic : float
        Added to a number, it leaves the nearest whole number in the low bits.
    log2e, ln2_high, ln2_low : float
    lowest, highest : float
        Beyond these the result is 0 or infinite.
    exp, expm1 : tuple of float
        ``(e**r - 1 - r) / r**2`` for ``abs(r) <= log(2) / 2``.
    """

    mantissa: int
    bias: int
    magic: float
    log2e: float
    ln2_high: float
    ln2_low: float
    lowest: float
    highest: float
    exp: tuple[float, ...]
    expm1: tuple[float, ...]


FORMATS = {
    "float": Format(
        23,
        127,
        12582912.0,
        1.4426950408889634,
        0.693145751953125,
        1.428606765330187e-06,
        -104.0,
        90.0,
        (4.9999994e-01, 1.6666521e-01, 4.166839e-02, 8.368717e-03, 1.3814627e-03),
        (4.9999997e-01, 1.6666543e-01, 4.16672e-02, 8.366522e-03, 1.3882486e-03),
    ),
    "double": Format(
        52,
        1023,
        6755399441055744.0,
        1.4426950408889634,
        0.6931471803691238,
        1.9082149292705877e-10,
        -746.0,
        711.0,
        (
            0.5,
            0.16666666666666682,
            0.041666666666666095,
            0.008333333333317018,
            0.001388888888911429,
            0.00019841269896417243,
            2.4801586928524366e-05,
            2.7557234834104886e-06,
            2.7557580566923296e-07,
            2.51120451530625e-08,
            2.082696058134423e-09,
        ),
        (
            0.5,
            0.16666666666666677,
            0.04166666666666651,
            0.00833333333332169,
            0.0013888888888962318,
            0.00019841269885968835,
            2.4801587172600867e-05,
            2.755724437145122e-06,
            2.755740260759446e-07,
            2.5108979789104983e-08,
            2.087533769525182e-09,
        ),
    ),
}


def round_to_whole(code: Code, x: Register) -> Register:
    """Return the nearest whole number as a number; ``abs(x)`` must be below 2**22 or 2**51."""
    magic = FORMATS[x.element].magic
    return (x + magic) - magic


def whole_as_integer(code: Code, n: Register) -> Register:
    """Return a whole number, below 2**22 or 2**51, as an integer of the same width.

    AVX2 has no conversion to 64-bit integers; adding and masking works everywhere.
    """
    format_ = FORMATS[n.element]
    offset = code.constant(format_.magic, n.element, n.lanes).as_integer()
    return (n + format_.magic).as_integer() - offset


def integer_as_whole(code: Code, n: Register, element: str) -> Register:
    """Return an integer, below 2**22 or 2**51, as a floating-point number of the same width."""
    magic = FORMATS[element].magic
    offset = code.constant(magic, element, n.lanes).as_integer()
    return (n + offset).as_float() - magic


def scale(code: Code, x: Register, n: Register) -> Register:
    """Return ``x * 2**n`` for a whole number `n`, right also where the result is subnormal."""
    if code.module.target.avx512:
        wide = 16 if x.element == "float" else 8
        if x.lanes % wide == 0:
            return _scale_by_instruction(code, x, n, wide)
    format_ = FORMATS[x.element]
    # in two steps, since 2**n itself may be too large or too small for a number
    k = whole_as_integer(code, n)
    first = k >> 1
    second = k - first
    for part in (first, second):
        x = x * ((part + format_.bias) << format_.mantissa).as_float()
    return x


def _scale_by_instruction(code: Code, x: Register, n: Register, wide: int) -> Register:
    kind = "ps" if x.element == "float" else "pd"
    symbol = f"llvm.x86.avx512.mask.scalef.{kind}.512"
    vector = f"<{wide} x {x.element}>"
    mask = f"i{wide}"
    code.module.declare(symbol, vector, [vector, vector, vector, mask, "i32"])
    parts = []
    for start in range(0, x.lanes, wide):
        a, b = (code.shuffle(v, range(start, start + wide)) for v in (x, n))
        call = (
            f"call {vector} @{symbol}({vector} {a.ref}, {vector} {b.ref}, {vector} {a.ref}, "
            f"{mask} -1, i32 4)"
        )
        parts.append(code.pure(call, x.element, wide))
    return code.join(parts)


def split_exponent(code: Code, x: Register) -> tuple[Register, Register]:
    """Return whole `n` and small `r` with ``x == n * log(2) + r``."""
    format_ = FORMATS[x.element]
    n = code.fma(x, format_.log2e, format_.magic) - format_.magic
    r = code.fma(n, -format_.ln2_high, x)
    return n, code.fma(n, -format_.ln2_low, r)


def small_power_of_two(code: Code, x: Register, factor: float) -> tuple[Register, Register]:
    """Return the whole `n` nearest to ``x * factor`` and 2**n, which must be a normal number."""
    format_ = FORMATS[x.element]
    # the shift drops all bits but those of n
    shifted = code.fma(x, factor, format_.magic)
    power = (shifted.as_integer() << format_.mantissa) + (format_.bias << format_.mantissa)
    return shifted - format_.magic, power.as_float()


def small_expm1(code: Code, x: Register) -> Register:
    """Return e to the `x`, less 1, for an `x` whose power of two is a normal number."""
    format_ = FORMATS[x.element]
    n, power = small_power_of_two(code, x, format_.log2e)
    r = code.fma(n, -format_.ln2_low, code.fma(n, -format_.ln2_high, x))
    p = code.fma(code.polynomial(r, format_.expm1), r * r, r)
    return code.fma(p, power, power - 1.0)


def bounded(code: Code, x: Register) -> Register:
    """Return `x` moved to where its exponential is 0 or infinite without overflow on the way."""
    format_ = FORMATS[x.element]
    return code.smaller(code.larger(x, format_.lowest), format_.highest)


def small_exp(code: Code, r: Register) -> Register:
    """Return e to the `r` for ``abs(r) <= log(2) / 2``."""
    p = code.polynomial(r, FORMATS[r.element].exp)
    return code.fma(p, r * r, r) + 1.0


@function("exp")
def exp(code: Code, x: Register) -> Register:
    """Write e to the x, by Cody and Waite's reduction."""
    n, r = split_exponent(code, bounded(code, x))
    return scale(code, small_exp(code, r), n)


def half_exp(code: Code, x: Register) -> Register:
    """Write half of e to the x, which is finite a little longer."""
    n, r = split_exponent(code, bounded(code, x))
    return scale(code, small_exp(code, r), n - 1.0)


@function("expm1")
def expm1(code: Code, x: Register) -> Register:
    """Write e to the x less 1, exact where x is small."""
    format_ = FORMATS[x.element]
    x = code.smaller(code.larger(x, -0.75 * format_.mantissa - 2.0), format_.highest - 1.0)
    n, r = split_exponent(code, x)
    p = code.fma(code.polynomial(r, format_.expm1), r * r, r)
    # with half of 2**n, since 2**n is infinite for the largest finite results
    k = whole_as_integer(code, n)
    half = ((k + (format_.bias - 1)) << format_.mantissa).as_float()
    result = code.fma(p, half, half - 0.5)
    result = result + result
    # the sign of a zero, and subnormal numbers, which the halves would round
    return code.select(code.absolute(x).less(2.0 ** -(format_.mantissa + 2)), x, result)
