"""Remainders and rounded quotients, to the last bit.

Where the quotient has no more digits than a number, the quotient rounded towards zero is right or
one too large, and the remainder that it leaves is a number: a fused multiplication gives it without
rounding. Larger quotients are taken off in parts.
"""

from __future__ import annotations

import math

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import FORMATS
from oplibrary.machine.mathematics.powers_of_two import exponent_bits, power_of_two
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register


def _truncated(code: Code, x: Register) -> Register:
    return code.call_intrinsic("trunc", x)


def _rest(code: Code, a: Register, b: Register) -> Register:
    """Return what is left of `a` by parts of `b`, both positive and not too far apart."""
    rest = code.fma(-_truncated(code, a / b), b, a)
    return code.select(rest.less(0.0), rest + b, rest)


def _brought_near(code: Code, a: Register, b: Register, far: Register) -> Register:
    """Return `a` less multiples of `b`, so that the quotient of the lanes in `far` is small."""
    step = FORMATS[a.element].mantissa - 1  # bits that a round takes off
    below = exponent_bits(code, b)
    distance = exponent_bits(code, a) - below
    longest = code.largest_lane(code.select(far, distance, 0))
    if longest.element != "i64":
        longest = code.cast("sext", longest, "i64")
    loop = code.begin_loop(0, longest + 1, step - 1, [a])
    (rest,) = loop.carried
    still = far & (rest / b).greater_equal(2.0 ** (step + 2))
    shift = code.select(still, exponent_bits(code, rest) - below - step, 0)
    half = shift >> 1
    part = b * power_of_two(code, half, b.element) * power_of_two(code, shift - half, b.element)
    (found,) = code.end_loop(loop, [code.select(still, _rest(code, rest, part), rest)])
    return found


@function("fmod", 2)
def fmod(code: Code, x: Register, y: Register) -> Register:
    """Write what is left of x by parts of y, with the sign of x."""
    a, b = code.absolute(x), code.absolute(y)
    limit = 2.0 ** (FORMATS[x.element].mantissa + 1)
    far = (a / b).greater_equal(limit) & a.less(math.inf) & b.greater(0.0)
    near, slow, done = code.block, code.new_label(), code.new_label()
    code.branch(code.any_lane(far), slow, done)
    mark = code.mark()
    code.begin_block(slow)
    brought = _brought_near(code, a, b, far)
    slow = code.block
    code.jump(done)
    code.forget(mark)
    code.begin_block(done)
    rest = _rest(code, code.merge([(a, near), (brought, slow)]), b)
    rest = code.select(b.equals(math.inf) & a.less(math.inf), a, rest)
    return code.copy_sign(rest, x)


def _divided(code: Code, x: Register, y: Register) -> tuple[Register, Register]:
    """Return the quotient before it is rounded down, and the remainder, as NumPy finds them."""
    rest = fmod(code, x, y)
    quotient = (x - rest) / y
    turned = rest.differs(0.0) & (y.less(0.0) ^ rest.less(0.0))
    zero = code.constant(0.0, x.element, x.lanes)
    left = code.select(rest.equals(0.0), code.copy_sign(zero, y), rest)
    return (
        code.select(turned, quotient - 1.0, quotient),
        code.select(turned, rest + y, left),
    )


@function("remainder", 2)
def remainder(code: Code, x: Register, y: Register) -> Register:
    """Write what is left of x by parts of y, with the sign of y."""
    return _divided(code, x, y)[1]


@function("floor_divide", 2)
def floor_divide(code: Code, x: Register, y: Register) -> Register:
    """Write the quotient, rounded down."""
    quotient, _ = _divided(code, x, y)
    floor = code.call_intrinsic("floor", quotient)
    floor = code.select((quotient - floor).greater(0.5), floor + 1.0, floor)
    plain = x / y
    zero = code.constant(0.0, x.element, x.lanes)
    floor = code.select(quotient.equals(0.0), code.copy_sign(zero, plain), floor)
    return code.select(y.equals(0.0), plain, floor)
