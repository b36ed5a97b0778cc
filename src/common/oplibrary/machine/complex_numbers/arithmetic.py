"""Arithmetic of complex numbers, by the formulas of NumPy's loops."""

from __future__ import annotations

import math
from collections.abc import Callable

from oplibrary.machine.code import Code
from oplibrary.machine.complex_numbers.parts import Complex
from oplibrary.machine.mathematics import call
from oplibrary.machine.register import Register


def add(code: Code, x: Complex, y: Complex) -> Complex:
    """Write the sum."""
    return Complex(x.real + y.real, x.imaginary + y.imaginary)


def subtract(code: Code, x: Complex, y: Complex) -> Complex:
    """Write the difference."""
    return Complex(x.real - y.real, x.imaginary - y.imaginary)


def negative(code: Code, x: Complex) -> Complex:
    """Write the number on the other side of 0."""
    return Complex(-x.real, -x.imaginary)


def conjugate(code: Code, x: Complex) -> Complex:
    """Write the number on the other side of the real line."""
    return Complex(x.real, -x.imaginary)


def multiply(code: Code, x: Complex, y: Complex) -> Complex:
    """Write the product; of the two products in each part the second one is rounded first."""
    return Complex(
        code.fma(x.real, y.real, -(x.imaginary * y.imaginary)),
        code.fma(x.real, y.imaginary, x.imaginary * y.real),
    )


def divide(code: Code, x: Complex, y: Complex) -> Complex:
    """Write the quotient, by Smith's method: the larger part of the divisor divides first."""
    sizes = [code.absolute(part) for part in y]
    along = sizes[0].greater_equal(sizes[1])
    large = code.select(along, y.real, y.imaginary)
    small = code.select(along, y.imaginary, y.real)
    first = code.select(along, x.real, x.imaginary)
    second = code.select(along, x.imaginary, x.real)
    ratio = small / large
    scale = 1.0 / (large + small * ratio)
    real = (first + second * ratio) * scale
    turned = first * ratio
    imaginary = code.select(along, second - turned, turned - second) * scale
    zero = sizes[0].equals(0.0) & sizes[1].equals(0.0)
    return Complex(
        code.select(zero, x.real / sizes[0], real),
        code.select(zero, x.imaginary / sizes[0], imaginary),
    )


def reciprocal(code: Code, x: Complex) -> Complex:
    """Write 1 / x, by the same method."""
    along = code.absolute(x.imaginary).less_equal(code.absolute(x.real))
    large = code.select(along, x.real, x.imaginary)
    small = code.select(along, x.imaginary, x.real)
    ratio = small / large
    scale = large + small * ratio
    one = code.constant(1.0, ratio.element, ratio.lanes)
    return Complex(
        code.select(along, one, ratio) / scale, -(code.select(along, ratio, one) / scale)
    )


def equal(code: Code, x: Complex, y: Complex) -> Register:
    """Write whether both parts are equal."""
    return x.real.equals(y.real) & x.imaginary.equals(y.imaginary)


def not_equal(code: Code, x: Complex, y: Complex) -> Register:
    """Write whether a part is another one."""
    return x.real.differs(y.real) | x.imaginary.differs(y.imaginary)


def absolute(code: Code, x: Complex) -> Register:
    """Write the distance from 0."""
    return call(code, "hypot", *code.pair(*x))


_FARTHEST = {"float": 88.0, "double": 709.0}
"""Whole numbers of which the exponential is finite, and beyond which it soon is not."""


def exp(code: Code, x: Complex) -> Complex:
    """Write e to the x: the exponential of the real part, turned by the imaginary one."""
    real, imaginary = code.pair(*x)
    farthest = _FARTHEST[real.element]
    beyond = real.greater(farthest)
    size = call(code, "exp", code.select(beyond, real - farthest, real))
    more = code.select(beyond, math.exp(farthest), code.constant(1.0, real.element, real.lanes))
    along, across = (size * (call(code, name, imaginary) * more) for name in ("cos", "sin"))
    straight = imaginary.equals(0.0)
    along = code.select(straight, size * more, along)
    across = code.select(straight, imaginary, across)
    # turned by no known angle: of nothing nothing is left, and what is infinite stays so
    lost = ~code.absolute(imaginary).less(math.inf)
    zero = code.constant(0.0, real.element, real.lanes)
    along = code.select(lost & real.equals(math.inf), real, along)
    nothing = lost & real.equals(-math.inf)
    turned = code.copy_sign(zero, imaginary)
    return Complex(code.select(nothing, zero, along), code.select(nothing, turned, across))


OPERATIONS: dict[str, Callable[..., Complex]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "reciprocal": reciprocal,
    "negative": negative,
    "conj": conjugate,
    "exp": exp,
}
"""What gives complex numbers, by the name of NumPy's function for it."""
TESTS: dict[str, Callable[..., Register]] = {"equal": equal, "not_equal": not_equal}
