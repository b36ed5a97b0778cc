"""Operations on integers and truth values, as NumPy's kernels do them."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import BOOL, DType, is_unsigned
from oplibrary.machine.register import BITS, Register

_Binary = Callable[[Register, Register], Register]
_INTEGER_OPERATORS: dict[np.ufunc, _Binary] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
}
_BOOLEAN_OPERATORS: dict[np.ufunc, _Binary] = {
    np.add: operator.or_,
    np.multiply: operator.and_,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
}


def combine(code: Code, ufunc: np.ufunc, a: Register, b: Register, dtype: DType) -> Register:
    """Write what `ufunc` makes of two integers or truth values.

    Parameters
    ----------
    code : Code
    ufunc : numpy.ufunc
        Of two operands.
    a, b : Register
        Converted to `dtype`.
    dtype : dtype
        Of the result.
    """
    if dtype == BOOL:
        return _BOOLEAN_OPERATORS[ufunc](a, b)
    plain = _INTEGER_OPERATORS.get(ufunc)
    if plain is not None:
        return plain(a, b)
    if ufunc in (np.left_shift, np.right_shift):
        return _shift(code, ufunc, a, b, dtype)
    return _whole_division(code, ufunc, a, b, dtype)


def _shift(code: Code, ufunc: np.ufunc, a: Register, b: Register, dtype: DType) -> Register:
    bits = BITS[a.element]
    inside = code.compare("lt", b, bits, signed=False)
    amount = code.select(inside, b, 0)
    if ufunc is np.left_shift:
        return code.select(inside, a << amount, 0)
    if is_unsigned(dtype):
        return code.select(inside, a.shift_right_unsigned(amount), 0)
    return a >> code.select(inside, b, bits - 1)


def _whole_division(
    code: Code, ufunc: np.ufunc, a: Register, b: Register, dtype: DType
) -> Register:
    """Round towards minus infinity, as Python does; a divisor of 0 gives 0, as in NumPy.

    What is left of a division that rounds towards zero has the sign of the dividend.
    """
    a, b = code.pair(a, b)
    zero = b.equals(0)
    remainder = ufunc in (np.remainder, np.fmod)
    if is_unsigned(dtype):
        divisor = code.select(zero, 1, b)
        word = "urem" if remainder else "udiv"
        found = code.pure(f"{word} {a.type} {a.ref}, {divisor.ref}", a.element, a.lanes)
        return code.select(zero, 0, found)
    # dividing by -1 overflows for the least integer, which traps
    minus = b.equals(-1)
    divisor = code.select(zero | minus, 1, b)
    quotient, rest = a / divisor, code.arithmetic("rem", a, divisor)
    adjust = rest.differs(0) & (rest ^ divisor).less(0)
    if remainder:
        found = rest if ufunc is np.fmod else code.select(adjust, rest + divisor, rest)
        return code.select(zero | minus, 0, found)
    found = code.select(adjust, quotient - 1, quotient)
    return code.select(zero, 0, code.select(minus, -a, found))


def magnitude(code: Code, a: Register, dtype: DType) -> Register:
    """Return the magnitude of integers, without a sign."""
    return a if is_unsigned(dtype) else code.select(a.less(0), -a, a)
