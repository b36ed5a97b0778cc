"""The stream of a key: blocks of four 64-bit numbers, of a counter each, by Philox4x64-10.

A block depends on nothing but the key and its counter, so that several are computed side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

from oplibrary.machine.code import Code
from oplibrary.machine.register import Register

WORDS = 4
"""Numbers of a block."""
_ROUNDS = 10
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW = (1 << 32) - 1


def lanes(code: Code) -> int:
    """Return how many blocks are computed side by side.

    Where there is no vector instruction for the low half of a product of 64 bits, one after the
    other is quicker.
    """
    target = code.module.target
    return target.vector_bytes // 8 if target.avx512 else 1


def _product(code: Code, x: Register, factor: int) -> tuple[Register, Register]:
    """Return the upper and the lower half of a product of 128 bits."""
    signed = factor - (1 << 64)  # as LLVM writes it; both factors are above 2**63
    if x.lanes == 1:
        wide = code.cast("zext", x, "i128") * factor
        high = code.cast("trunc", wide.shift_right_unsigned(64), "i64")
        return high, code.cast("trunc", wide, "i64")
    low, high = x & _LOW, x.shift_right_unsigned(32)
    factor_low, factor_high = factor & _LOW, factor >> 32
    first, second = low * factor_low, high * factor_low
    middle = first.shift_right_unsigned(32) + (second & _LOW) + low * factor_high
    upper = second.shift_right_unsigned(32) + middle.shift_right_unsigned(32)
    return high * factor_high + upper, x * signed


def block(code: Code, key: Sequence[Register], counter: Sequence[Register]) -> list[Register]:
    """Write the four numbers of a counter, which is four numbers itself."""
    a, b, c, d = counter
    first, second = key
    for number in range(_ROUNDS):
        if number:
            first, second = first + _WEYL[0], second + _WEYL[1]
        high, low = _product(code, a, _MULTIPLIERS[0])
        other_high, other_low = _product(code, c, _MULTIPLIERS[1])
        a, b, c, d = other_high ^ b ^ first, other_low, high ^ d ^ second, low
    return [a, b, c, d]


def blocks_from(
    code: Code, key: Sequence[Register], at: Register | int, above: int, count: int
) -> Register:
    """Write the numbers of `count` blocks behind the first `at`, in their order.

    Parameters
    ----------
    code : Code
    key : sequence of Register
        Two numbers.
    at : Register or int
    above : int
        The uppermost part of the counters: 0 but where keys are split.
    count : int
        A power of two.
    """
    first = at if isinstance(at, Register) else code.constant(at, "i64")
    counter = code.splat(first, count)
    if count > 1:
        counter = counter + code.constants(range(1, count + 1), "i64")
    else:
        counter = counter + 1
    zero = code.constant(0, "i64", count)
    top = code.constant(above - (1 << 64) if above >> 63 else above, "i64", count)
    found = block(code, [code.splat(each, count) for each in key], [counter, zero, zero, top])
    if count == 1:
        whole = Register(code, "poison", "i64", WORDS)
        for lane, each in enumerate(found):
            whole = code.insert(whole, each, lane)
        return whole
    order = [word * count + number for number in range(count) for word in range(WORDS)]
    return code.shuffle(code.join(found), order)
