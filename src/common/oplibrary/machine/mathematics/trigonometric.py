"""sin, cos and tan: the nearest quarter turn, and polynomials of the rest."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import (
    round_to_whole,
    whole_as_integer,
)
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.mathematics.two_over_pi import WORDS
from oplibrary.machine.register import Register

# pi / 2 in three parts of full precision
_PARTS = {
    "float": (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    "double": (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
}
# above it, the three parts are not enough
_LIMIT = {"float": 2.0**20, "double": 2.0**30}
# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in powers of r**2
_SINE = {
    "float": (-1.6666667e-01, 8.333329e-03, -1.9839333e-04, 2.7182975e-06),
    "double": (
        -0.16666666666666666,
        0.008333333333333323,
        -0.00019841269841255107,
        2.755731921421097e-06,
        -2.5052104917049e-08,
        1.605836733717848e-10,
        -7.57873372059363e-13,
    ),
}
_COSINE = {
    "float": (4.1666668e-02, -1.3888883e-03, 2.4799518e-05, -2.7210115e-07),
    "double": (
        0.041666666666666664,
        -0.0013888888888888874,
        2.480158730157151e-05,
        -2.7557319215380844e-07,
        2.0876754367247287e-09,
        -1.1470293385571708e-11,
        4.738114242274916e-14,
    ),
}


class Turn(NamedTuple):
    """An angle as quarter turns and a rest of at most half of one.

    Attributes
    ----------
    quarters : Register
        Whole, as an integer; only its two lowest bits count.
    rest, rest_low : Register
        In two parts.
    """

    quarters: Register
    rest: Register
    rest_low: Register


def _reduce_small(code: Code, x: Register) -> Turn:
    """Cody and Waite's reduction: with fused multiply-add the first step is exact."""
    p1, p2, p3 = _PARTS[x.element]
    n = round_to_whole(code, x * (2 / math.pi))
    r = code.fma(n, -p1, x)
    product = n * p2
    product_low = code.fma(n, p2, -product)
    high = r - product
    # the exact error of that difference (Knuth's two-sum)
    back = high - r
    low = (r - (high - back)) - (product + back)
    low = code.fma(n, -p3, low - product_low)
    return Turn(whole_as_integer(code, n), high, low)


def _turn(code: Code, x: Register) -> Turn:
    """Return the turn of any angle; angles beyond the limit take a slow road, lane by lane."""
    near = _reduce_small(code, x)
    far = code.absolute(x).greater(_LIMIT[x.element])
    fast, slow, done = code.block, code.new_label(), code.new_label()
    code.branch(code.any_lane(far), slow, done)
    mark = code.mark()
    code.begin_block(slow)
    distant = _reduce_lanes(code, x, far, near)
    slow = code.block
    code.jump(done)
    code.forget(mark)
    code.begin_block(done)
    return Turn(*(code.merge([(a, fast), (b, slow)]) for a, b in zip(near, distant, strict=True)))


def _reduce_lanes(code: Code, x: Register, far: Register, near: Turn) -> Turn:
    symbol = _reduction_function(code)
    if x.lanes == 1:
        return Turn(*_reduce_scalar(code, symbol, x))
    loop = code.begin_loop(0, x.lanes, 1, near)
    lane = loop.index
    found = _reduce_scalar(code, symbol, code.extract(x, lane))
    chosen = code.extract(far, lane)
    updated = [
        code.insert(old, code.select(chosen, new, code.extract(old, lane)), lane)
        for old, new in zip(loop.carried, found, strict=True)
    ]
    return Turn(*code.end_loop(loop, updated))


def _reduce_scalar(code: Code, symbol: str, x: Register) -> list[Register]:
    wide = x if x.element == "double" else code.cast("fpext", x, "double")
    turn = code.effect(f"call {_TURN} @{symbol}(double {wide.ref})", "i64", 1)
    n, high, low = (
        code.effect(f"extractvalue {_TURN} {turn.ref}, {i}", element, 1)
        for i, element in enumerate(("i64", "double", "double"))
    )
    if x.element == "double":
        return [n, high, low]
    narrow = code.cast("fptrunc", high, "float")
    rest = high - code.cast("fpext", narrow, "double")
    return [code.cast("trunc", n, "i32"), narrow, code.cast("fptrunc", rest, "float")]


_TURN = "{ i64, double, double }"


def _reduction_function(code: Code) -> str:
    """Return the function that reduces one large number, by Payne and Hanek's method.

    The number is an integer times a power of two. Of 2 / pi, the bits that would give multiples of
    four quarter turns are left out, and the next 192 are multiplied.
    """
    symbol = "reduce_large_angle"
    words = ", ".join(f"i64 {word}" for word in WORDS)
    if not code.module.add_global(
        "two_over_pi", f"internal constant [{len(WORDS)} x i64] [{words}]"
    ):
        return symbol
    body = Code(code.module)
    x = body.parameter("%x", "double")
    bits = x.as_integer()
    exponent = (bits.shift_right_unsigned(52) & 0x7FF) - 1075
    # one word of zeros stands before the table's first bit
    first = exponent + (64 - 2)
    first = body.select(first.less(0), 0, first)
    last_start = 64 * (len(WORDS) - 4)
    first = body.select(first.greater(last_start), last_start, first)
    table = body.parameter("@two_over_pi", "ptr")
    word_address = body.address(table, first.shift_right_unsigned(6), "i64")
    words_read = [body.load(body.address(word_address, i, "i64"), "i64") for i in range(4)]
    shift = first & 63
    window = []
    for a, b in itertools.pairwise(words_read):
        window.append(body.call_intrinsic("fshl", a, b, shift))
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    mantissa = body.select(bits.less(0), 0 - mantissa, mantissa)
    fraction = None
    for word, place in zip(window, (128, 64, 0), strict=True):
        part = body.cast("zext", word, "i192") << place
        fraction = part if fraction is None else fraction | part
    assert fraction is not None
    product = fraction * body.cast("sext", mantissa, "i192")
    half = body.constant(1 << 189, "i192")
    quarters = (product + half).shift_right_unsigned(190)
    rest = product - (quarters << 190)
    top, middle = (
        body.cast("trunc", rest.shift_right_unsigned(place), "i64") for place in (128, 64)
    )
    high = body.cast("sitofp", top, "double")
    exact = body.cast("fptosi", high, "i64")
    low = body.cast("sitofp", top - exact, "double") * 2.0**-62
    low = low + body.cast("uitofp", middle, "double") * 2.0**-126
    high = high * 2.0**-62
    total = high + low
    rest_low = (high - total) + low
    p1, p2, _ = _PARTS["double"]
    angle = total * p1
    angle_low = body.fma(total, p1, -angle) + body.fma(total, p2, rest_low * p1)
    n = body.cast("trunc", quarters, "i64")
    result = f"insertvalue {_TURN} poison, i64 {n.ref}, 0"
    for position, value in enumerate((angle, angle_low), 1):
        previous = body.effect(result, "i64", 1)
        result = f"insertvalue {_TURN} {previous.ref}, double {value.ref}, {position}"
    final = body.effect(result, "i64", 1)
    body.statement(f"ret {_TURN} {final.ref}")
    code.module.add_function(symbol, body, _TURN, ["double %x"], "internal", "", "noinline")
    return symbol


def _sine(code: Code, r: Register, low: Register) -> Register:
    """Return the sine of ``r + low``, which is at most half a quarter turn."""
    z = r * r
    p = code.polynomial(z, _SINE[r.element])
    return r + code.fma(p * z, r, low * code.fma(z, -0.5, 1.0))


def _cosine(code: Code, r: Register, low: Register) -> Register:
    """Return the cosine of ``r + low``, which is at most half a quarter turn."""
    z = r * r
    half = z * 0.5
    one = 1.0 - half
    p = code.polynomial(z, _COSINE[r.element])
    return one + (((1.0 - one) - half) + code.fma(p * z, z, -(r * low)))


def _in_quarter(code: Code, turn: Turn, shift: int) -> Register:
    quarters = turn.quarters + shift
    odd = (quarters & 1).differs(0)
    sine = _sine(code, turn.rest, turn.rest_low)
    cosine = _cosine(code, turn.rest, turn.rest_low)
    value = code.select(odd, cosine, sine)
    width = {"i32": 30, "i64": 62}[quarters.element]
    return (value.as_integer() ^ ((quarters & 2) << width)).as_float()


def _finite(code: Code, x: Register, result: Register) -> Register:
    return code.select(code.absolute(x).less(math.inf), result, math.nan)


@function("sin")
def sin(code: Code, x: Register) -> Register:
    """Write the sine."""
    result = _finite(code, x, _in_quarter(code, _turn(code, x), 0))
    # the sign of a zero, and tiny numbers, whose squares vanish
    return code.select(code.absolute(x).less(2.0**-30), x, result)


@function("cos")
def cos(code: Code, x: Register) -> Register:
    """Write the cosine."""
    return _finite(code, x, _in_quarter(code, _turn(code, x), 1))


@function("tan")
def tan(code: Code, x: Register) -> Register:
    """Write the tangent, sine through cosine."""
    turn = _turn(code, x)
    sine = _sine(code, turn.rest, turn.rest_low)
    cosine = _cosine(code, turn.rest, turn.rest_low)
    odd = (turn.quarters & 1).differs(0)
    above = code.select(odd, -cosine, sine)
    below = code.select(odd, sine, cosine)
    result = _finite(code, x, above / below)
    return code.select(code.absolute(x).less(2.0**-30), x, result)
