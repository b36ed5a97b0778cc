"""Greatest common divisors, by halving and subtraction: what needs no division."""

from __future__ import annotations

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register


def _factors_of_two(code: Code, x: Register) -> Register:
    """Return how often 2 divides integers, as often as never where they are 0."""
    x = code.select(x.equals(0), 1, x)
    return code.call_intrinsic("ctpop", ~x & (x - 1))


def _odd_part(code: Code, x: Register) -> Register:
    return x.shift_right_unsigned(_factors_of_two(code, x))


@function("gcd", 2)
def gcd(code: Code, x: Register, y: Register) -> Register:
    """Write the greatest common divisor of integers without a sign."""
    shift = _factors_of_two(code, x | y)
    before, head, done = code.block, code.new_label(), code.new_label()
    a, b = _odd_part(code, x), y
    code.jump(head)
    mark = code.mark()
    code.begin_block(head)
    at = len(code.lines)
    code.lines += ["", ""]
    one = code.parameter(f"%{head}x", x.element, x.lanes)
    other = code.parameter(f"%{head}y", x.element, x.lanes)
    odd = _odd_part(code, other)
    first = one.equals(0)
    swap = code.compare("lt", odd, one, signed=False)
    last = odd.equals(0)
    lower = code.select(swap & ~last | first, odd, one)
    rest = code.select(swap, one - odd, odd - one)
    rest = code.select(first | last, 0, rest)
    again = code.any_lane(rest.differs(0))
    tail = code.block
    code.branch(again, head, done)
    for line, register, initial, new in ((0, one, a, lower), (1, other, b, rest)):
        code.lines[at + line] = (
            f"  {register.ref} = phi {x.type} [{initial.ref}, %{before}], [{new.ref}, %{tail}]"
        )
    code.forget(mark)
    code.begin_block(done)
    return lower << shift
