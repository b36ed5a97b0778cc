"""Functions of complex numbers, made of functions of their parts.

Special numbers are those of C's functions (C11, annex G), which NumPy calls. Parts of single
precision are computed in double where squares of them are added, which then neither overflow nor
cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from oplibrary.machine.code import Code
from oplibrary.machine.complex_numbers.arithmetic import divide, exp
from oplibrary.machine.complex_numbers.parts import Complex
from oplibrary.machine.mathematics import call
from oplibrary.machine.register import Register

_FARTHEST = {"float": 88.0, "double": 709.0}
"""Whole numbers of which the exponential is finite, and beyond which it soon is not."""
_ONE_FROM = {"float": 10.0, "double": 20.0}
"""Where the hyperbolic tangent is 1 for good."""


def _number(code: Code, value: float, like: Register) -> Register:
    return code.constant(value, like.element, like.lanes)


def _finite(code: Code, x: Register) -> Register:
    return code.absolute(x).less(math.inf)


def _infinite(code: Code, x: Register) -> Register:
    return code.absolute(x).equals(math.inf)


def _wide(code: Code, x: Complex) -> Complex:
    """Return the parts in double precision."""
    if x.real.element == "double":
        return x
    return Complex(*[code.cast("fpext", part, "double") for part in x])


def _as(code: Code, x: Register, element: str) -> Register:
    return x if x.element == element else code.cast("fptrunc", x, element)


# roots and logarithms -----------------------------------------------------------------------------


def sqrt(code: Code, z: Complex) -> Complex:
    """Write the root with no negative real part."""
    x, y = code.pair(*z)
    real, imaginary = _wide(code, Complex(x, y))
    up = down = _number(code, 1.0, real)
    if x.element == "double":  # so that neither overflows, nor loses what is below the normal ones
        size = code.larger(code.absolute(real), code.absolute(imaginary))
        large, small = size.greater(2.0**1020), size.less(2.0**-960)
        up = code.select(large, 2.0**-4, code.select(small, 2.0**110, up))
        down = code.select(large, 2.0**2, code.select(small, 2.0**-55, down))
        real, imaginary = real * up, imaginary * up
    length = _length(code, x.element, real, imaginary)
    half = code.call_intrinsic("sqrt", (code.absolute(real) + length) * 0.5)
    other = code.absolute(imaginary) / (half + half)
    other = code.select(half.equals(0.0), 0.0, other)
    half, other = (_as(code, each * down, x.element) for each in (half, other))
    left = x.less(0.0)
    along, across = code.select(left, other, half), code.select(left, half, other)
    far = _infinite(code, y)
    along, across = (code.select(far, math.inf, each) for each in (along, across))
    # at infinity along the real line
    beyond, known = ~far & _infinite(code, x), ~y.is_nan()
    along = code.select(beyond & left, code.select(known, _number(code, 0.0, x), y), along)
    across = code.select(beyond & left, math.inf, across)
    along = code.select(beyond & ~left, math.inf, along)
    across = code.select(beyond & ~left, code.select(known, _number(code, 0.0, x), y), across)
    return Complex(along, code.copy_sign(across, y))


def _length(code: Code, element: str, x: Register, y: Register) -> Register:
    """Return the distance from 0 in double precision, of parts of `element`."""
    if element == "float":
        return code.call_intrinsic("sqrt", code.fma(x, x, y * y))
    return call(code, "hypot", x, y)


def log(code: Code, z: Complex) -> Complex:
    """Write the logarithm, its imaginary part from -pi to pi."""
    x, y = code.pair(*z)
    real, imaginary = _wide(code, Complex(x, y))
    if x.element == "float":
        size = call(code, "log", code.fma(real, real, imaginary * imaginary)) * 0.5
    else:
        size = _log_of_length(code, real, imaginary)
    size = _as(code, size, x.element)
    size = code.select(_infinite(code, x) | _infinite(code, y), math.inf, size)
    return Complex(size, call(code, "atan2", y, x))


def _log_of_length(code: Code, x: Register, y: Register) -> Register:
    """Write the logarithm of the distance from 0; where that is near 1, by what it differs."""
    a, b = code.absolute(x), code.absolute(y)
    swap = a.less(b)
    a, b = code.select(swap, b, a), code.select(swap, a, b)
    one = _number(code, 1.0, a)
    large, small = a.greater(2.0**1020), a.less(2.0**-960)
    up = code.select(large, 2.0**-4, code.select(small, 2.0**110, one))
    moved = code.select(large, 4.0, code.select(small, -110.0, one * 0.0)) * math.log(2)
    far = call(code, "log", call(code, "hypot", a * up, b * up)) + moved
    # a**2 + b**2 - 1, with what rounding the squares and the sums loses
    squares = a * a, b * b
    first, lost = _exact_sum(squares[0], -one)
    second, more = _exact_sum(first, squares[1])
    rest = code.fma(a, a, -squares[0]) + code.fma(b, b, -squares[1])
    near = call(code, "log1p", second + (lost + more + rest)) * 0.5
    around = squares[0] + squares[1]
    return code.select(around.greater(0.5) & around.less(3.0), near, far)


def _exact_sum(x: Register, y: Register) -> tuple[Register, Register]:
    """Return a sum, and what rounding it loses (Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _scaled_log(factor: float) -> Callable[[Code, Complex], Complex]:
    def write(code: Code, z: Complex) -> Complex:
        found = log(code, z)
        return Complex(found.real * factor, found.imaginary * factor)

    return write


def log1p(code: Code, z: Complex) -> Complex:
    """Write log(1 + z), as NumPy does, without more digits near 0."""
    x, y = code.pair(*z)
    length = call(code, "hypot", x + 1.0, y)
    return Complex(call(code, "log", length), call(code, "atan2", y, x + 1.0))


# exponentials -------------------------------------------------------------------------------------


def exp2(code: Code, z: Complex) -> Complex:
    """Write 2 to the z."""
    return exp(code, Complex(z.real * math.log(2), z.imaginary * math.log(2)))


def expm1(code: Code, z: Complex) -> Complex:
    """Write e to the z, less 1."""
    x, y = code.pair(*z)
    half = call(code, "sin", y * 0.5)
    real = call(code, "expm1", x) * call(code, "cos", y) - 2.0 * half * half
    return Complex(real, call(code, "exp", x) * call(code, "sin", y))


def _turned(code: Code, y: Register) -> tuple[Register, Register]:
    """Return the cosine and the sine of an angle; where there is none, NaN."""
    return call(code, "cos", y), call(code, "sin", y)


def _halves(
    code: Code, x: Register, along: Register, across: Register
) -> tuple[Register, Register, Register, Register]:
    """Return sinh(x) and cosh(x), each times `along` and `across`: finite as long as these are."""
    farthest = _FARTHEST[x.element]
    size = code.absolute(x)
    beyond = size.greater(farthest)
    half = call(code, "exp", size - farthest) * 0.5
    scale = math.exp(farthest)
    found = []
    for name, turn in (("sinh", along), ("sinh", across), ("cosh", along), ("cosh", across)):
        far = (half * turn) * scale
        if name == "sinh":
            far = code.select(x.less(0.0), -far, far)
        found.append(code.select(beyond, far, call(code, name, x) * turn))
    return found[0], found[1], found[2], found[3]


def sinh(code: Code, z: Complex) -> Complex:
    """Write the hyperbolic sine."""
    x, y = code.pair(*z)
    along, across = _turned(code, y)
    real, _, _, imaginary = _halves(code, x, along, across)
    flat, angle = y.equals(0.0), _finite(code, y)
    # x is infinite or unknown: so is what is along it, and no angle is no part across it
    imaginary = code.select(flat, y, imaginary)
    real = code.select(flat, call(code, "sinh", x), real)
    real = code.select(~angle & x.equals(0.0), x, real)
    real = code.select(~angle & _infinite(code, x), math.inf, real)
    return Complex(real, imaginary)


def cosh(code: Code, z: Complex) -> Complex:
    """Write the hyperbolic cosine."""
    x, y = code.pair(*z)
    along, across = _turned(code, y)
    _, imaginary, real, _ = _halves(code, x, along, across)
    flat, angle = y.equals(0.0), _finite(code, y)
    sign = code.copy_sign(_number(code, 1.0, x), x)
    imaginary = code.select(flat, code.select(x.is_nan(), y, y * sign), imaginary)
    real = code.select(flat, call(code, "cosh", x), real)
    imaginary = code.select(~angle & x.equals(0.0), _number(code, 0.0, x), imaginary)
    real = code.select(~angle & _infinite(code, x), math.inf, real)
    return Complex(real, imaginary)


def tanh(code: Code, z: Complex) -> Complex:
    """Write the hyperbolic tangent."""
    x, y = code.pair(*z)
    along, across = _turned(code, y)
    size = code.absolute(x)
    far = size.greater(_ONE_FROM[x.element])
    near = code.select(far, 1.0, x)
    low, high = call(code, "sinh", near), call(code, "cosh", near)
    below = code.fma(low, low, along * along)
    real, imaginary = low * high / below, across * along / below
    fading = call(code, "exp", -size)
    imaginary = code.select(far, (4.0 * across * along * fading) * fading, imaginary)
    one = code.copy_sign(_number(code, 1.0, x), x)
    real = code.select(far, one, real)
    flat, angle = y.equals(0.0), _finite(code, y)
    imaginary = code.select(flat, y, imaginary)
    real = code.select(flat & x.is_nan(), x, real)
    # at infinity there is nothing across, whatever the angle
    nothing = code.copy_sign(_number(code, 0.0, x), code.select(angle, across * along, y))
    imaginary = code.select(_infinite(code, x), nothing, imaginary)
    real = code.select(~angle & _finite(code, x), y - y, real)
    real = code.select(~angle & x.equals(0.0), x, real)
    return Complex(real, imaginary)


def _turned_once(x: Complex) -> Complex:
    """Return i times a number."""
    return Complex(-x.imaginary, x.real)


def _turned_back(x: Complex) -> Complex:
    """Return a number divided by i."""
    return Complex(x.imaginary, -x.real)


def sin(code: Code, z: Complex) -> Complex:
    """Write the sine."""
    x, y = code.pair(*z)
    real, imaginary = _turned_back(sinh(code, _turned_once(Complex(x, y))))
    lost = _infinite(code, y) & ~_finite(code, x)
    return Complex(real, code.select(lost, math.inf, imaginary))


def cos(code: Code, z: Complex) -> Complex:
    """Write the cosine."""
    return cosh(code, _turned_once(z))


def tan(code: Code, z: Complex) -> Complex:
    """Write the tangent."""
    return _turned_back(tanh(code, _turned_once(z)))


# powers -------------------------------------------------------------------------------------------

_MOST = 100
"""Whole powers below it are products, as NumPy's."""


def power(code: Code, z: Complex, exponent: Complex) -> Complex:
    """Write z to the power of numbers that are not known."""
    x, y = code.pair(*z)
    a, b = code.pair(*exponent)
    general = exp(code, _product(code, exponent, log(code, z)))
    bounded = code.select(code.absolute(a).less(_MOST), a, 0.0)
    whole = code.call_intrinsic("trunc", bounded)
    count = code.cast("fptosi", code.absolute(whole), "i32")
    one = Complex(_number(code, 1.0, x), _number(code, 0.0, x))
    product, factor = one, Complex(x, y)
    for bit in range(_MOST.bit_length()):
        has = (count & (1 << bit)).differs(0)
        product = _chosen(code, has, _times(product, factor), product)
        if bit < _MOST.bit_length() - 1:
            factor = _times(factor, factor)
    product = _chosen(code, whole.less(0.0), divide(code, one, product), product)
    first = known = Complex(x, y)
    for count_known in (1.0, 2.0, 3.0):  # which NumPy does not begin with 1
        product = _chosen(code, whole.equals(count_known), known, product)
        known = _times(first, known)
    by_products = b.equals(0.0) & a.equals(whole)
    found = _chosen(code, by_products, product, general)
    return _of_nothing(code, z, exponent, found)


def known_power(code: Code, z: Complex, exponent: complex) -> Complex:
    """Write z to the power of a number that is known."""
    number = Complex(*[_number(code, part, z.real) for part in (exponent.real, exponent.imag)])
    count = int(abs(exponent.real)) if abs(exponent.real) < _MOST else 0
    if exponent.imag or not count or count != abs(exponent.real):
        general = exp(code, _product(code, number, log(code, z)))
        return _of_nothing(code, z, number, general)
    one = Complex(_number(code, 1.0, z.real), _number(code, 0.0, z.real))
    product, factor = one, z
    if 0 < exponent.real < 4:  # which NumPy does not begin with 1
        product = z
        for _ in range(count - 1):
            product = _times(z, product)
        return _of_nothing(code, z, number, product)
    for bit in range(count.bit_length()):
        if count >> bit & 1:
            product = _times(product, factor)
        if bit < count.bit_length() - 1:
            factor = _times(factor, factor)
    if exponent.real < 0:
        product = divide(code, one, product)
    return _of_nothing(code, z, number, product)


def _of_nothing(code: Code, z: Complex, exponent: Complex, found: Complex) -> Complex:
    """Return powers, those of 0 and those with the exponent 0 as NumPy has them."""
    zero = z.real.equals(0.0) & z.imaginary.equals(0.0)
    nan = code.select(exponent.real.greater(0.0), 0.0, _number(code, math.nan, z.real))
    found = _chosen(code, zero, Complex(nan, nan), found)
    none = exponent.real.equals(0.0) & exponent.imaginary.equals(0.0)
    one = Complex(_number(code, 1.0, z.real), _number(code, 0.0, z.real))
    return _chosen(code, none, one, found)


def _times(x: Complex, y: Complex) -> Complex:
    """Write a product, each part of which is rounded three times, as those in NumPy's powers."""
    return Complex(
        x.real * y.real - x.imaginary * y.imaginary, x.real * y.imaginary + x.imaginary * y.real
    )


def _chosen(code: Code, test: Register, x: Complex, y: Complex) -> Complex:
    return Complex(*[code.select(test, a, b) for a, b in zip(x, y, strict=True)])


def _product(code: Code, x: Complex, y: Complex) -> Complex:
    """Write a product as C does: infinite where a factor is, also if a part is no number."""
    a, b = code.pair(*x)
    c, d = code.pair(*y)
    real, imaginary = a * c - b * d, a * d + b * c
    lost = real.is_nan() & imaginary.is_nan()
    first, second = (_infinite(code, p) | _infinite(code, q) for p, q in ((a, b), (c, d)))
    over = _infinite(code, a * c) | _infinite(code, b * d)
    over = (over | _infinite(code, a * d) | _infinite(code, b * c)) & ~first & ~second

    def side(part: Register, own: Register, other: Register) -> Register:
        """Return a part as a direction, where a factor is infinite."""
        zero = code.copy_sign(_number(code, 0.0, part), part)
        one = code.copy_sign(_number(code, 1.0, part), part)
        found = code.select((other | over) & part.is_nan(), zero, part)
        return code.select(own, code.select(_infinite(code, part), one, zero), found)

    a, b = side(a, first, second), side(b, first, second)
    c, d = side(c, second, first), side(d, second, first)
    again = lost & (first | second | over)
    return Complex(
        code.select(again, (a * c - b * d) * math.inf, real),
        code.select(again, (a * d + b * c) * math.inf, imaginary),
    )


FUNCTIONS: dict[str, Callable[[Code, Complex], Complex]] = {
    "sqrt": sqrt,
    "log": log,
    "log2": _scaled_log(1 / math.log(2)),
    "log10": _scaled_log(1 / math.log(10)),
    "log1p": log1p,
    "exp2": exp2,
    "expm1": expm1,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "sin": sin,
    "cos": cos,
    "tan": tan,
}
"""What gives complex numbers of one, by the name it has in scalar expressions."""
