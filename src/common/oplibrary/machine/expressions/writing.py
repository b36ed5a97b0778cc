"""Writing scalar expressions as instructions.

An expression is evaluated as NumPy would evaluate it on arrays: each step converts its operands as
the ufunc of that step does, and Python numbers are weak.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.expression import BINARY, COMPARISONS, Expression
from oplibrary.machine.code import Code
from oplibrary.machine.complex_numbers import arithmetic, functions, parts
from oplibrary.machine.complex_numbers.parts import Complex
from oplibrary.machine.elements import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    DType,
    Unsupported,
    convert,
    element_of,
    highest,
    is_unsigned,
    lowest,
    maximum,
    minimum,
    number,
)
from oplibrary.machine.expressions import integers
from oplibrary.machine.expressions.powers import POWER_OF_ONE_NUMBER
from oplibrary.machine.mathematics import (
    FUNCTIONS,
    call,
    next_after,
    product_of_equals,
    spacing,
    whole_power,
)
from oplibrary.machine.module import Module
from oplibrary.machine.register import BITS, Register
from oplibrary.machine.target import host_target
from oplibrary.values.dtypes import REAL_FLOATING, is_bfloat16, promoted


class Scalar(NamedTuple):
    """A value of an expression: registers with their dtype, or a weak Python number."""

    value: Register | Complex | float
    dtype: DType | None

    @property
    def weak(self) -> bool:
        """Whether it is a Python number, which takes the dtype of what it meets."""
        return self.dtype is None

    @property
    def number(self) -> float:
        """The Python number that it is."""
        assert not isinstance(self.value, (Register, Complex))
        return self.value


def write_expression(
    code: Code,
    expression: Expression,
    operands: Sequence[tuple[Register | float, DType]],
    result: DType,
) -> Register:
    """Write an expression and return its value as `result`.

    Raises
    ------
    Unsupported
        If something in it has no machine code here.
    """
    inner = FLOAT32 if result == FLOAT16 and _rounds_inside(expression) else result
    writer = _Writer(code, [], inner)
    for operand in operands:
        scalar = Scalar(*operand)
        if isinstance(scalar.value, Register) and operand[1].kind == "c":
            scalar = Scalar(parts.unpacked(code, scalar.value, operand[1]), operand[1])
        if result.kind in REAL_FLOATING and _is_narrower(operand[1], inner):
            # kernels that compute in floating point convert their operands first
            scalar = Scalar(writer.converted(scalar, inner), inner)
        writer.operands.append(scalar)
    found = expression.fold(writer.operands.__getitem__, writer.constant, writer.operation)
    if result.kind == "c":
        return parts.packed(code, writer.complex(found, result), result)
    return writer.converted(found, result)


def _rounds_inside(expression: Expression) -> bool:
    """Tell whether operators work on what others have rounded; kernels then compute in float32."""
    return any(each.operands for each in expression.operands) and not (
        expression.operators() <= _EXACT
    )


def _is_narrower(dtype: DType, result: DType) -> bool:
    return dtype.kind in "biu" or (dtype.kind in REAL_FLOATING and dtype.itemsize < result.itemsize)


@lru_cache(maxsize=4096)
def check_expression(expression: Expression, dtypes: tuple[DType, ...], result: DType) -> str:
    """Return why an expression on operands of `dtypes` has no machine code, or ``""``."""
    code = Code(Module(host_target()))
    try:
        element_of(result)
        operands = [
            (code.parameter(f"%x{i}", element_of(dtype)), dtype) for i, dtype in enumerate(dtypes)
        ]
        write_expression(code, expression, operands, result)
    except Unsupported as reason:
        return str(reason)
    return ""


_BINARY: dict[str, np.ufunc] = {name: getattr(np, name) for name in BINARY - COMPARISONS}
_RELATIONS = {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}
_EXACT = frozenset({*COMPARISONS, "where", "min", "max", "abs", "negative", "signbit", "copysign"})
"""Operators that round nothing."""
_ROUNDING = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven"}


@lru_cache(maxsize=4096)
def _resolve(ufunc: np.ufunc, kinds: tuple[Any, ...]) -> tuple[DType, ...]:
    try:
        return ufunc.resolve_dtypes((*kinds, None))
    except TypeError:
        raise Unsupported(f"{ufunc.__name__} of {' and '.join(map(str, kinds))}") from None


class _Writer:
    def __init__(self, code: Code, operands: list[Scalar], result: DType) -> None:
        self.code = code
        self.operands = operands
        self.result = result

    # operands -----------------------------------------------------------------------------------

    @property
    def lanes(self) -> int:
        """How many elements are worked on."""
        registers = [o.value for o in self.operands if isinstance(o.value, (Register, Complex))]
        return max((each.lanes for each in registers), default=1)

    def converted(self, x: Scalar, dtype: DType) -> Register:
        """Return the register of `x` as `dtype`, which is not complex."""
        if isinstance(x.value, Complex):
            assert x.dtype is not None
            if dtype == BOOL:
                return x.value.real.differs(0.0) | x.value.imaginary.differs(0.0)
            return convert(self.code, x.value.real, parts.part_of(x.dtype), dtype)
        if not isinstance(x.value, Register):
            value = x.value if dtype == BOOL else x.value.real
            return number(self.code, value, dtype, self.lanes)
        assert x.dtype is not None
        return convert(self.code, x.value, x.dtype, dtype)

    def complex(self, x: Scalar, dtype: DType) -> Complex:
        """Return the parts of `x` as those of the complex `dtype`."""
        if not isinstance(x.value, (Register, Complex)):
            return parts.from_number(self.code, x.value, dtype, self.lanes)
        assert x.dtype is not None
        if isinstance(x.value, Complex):
            return parts.converted(self.code, x.value, x.dtype, dtype)
        return parts.from_real(self.code, x.value, x.dtype, dtype)

    def _kind(self, x: Scalar) -> Any:
        """Return what NumPy promotes of `x`: bfloat16 is computed with as float32."""
        if x.dtype is None:
            return type(x.value)
        return FLOAT32 if is_bfloat16(x.dtype) else x.dtype

    def _of_bfloat16(self, *operands: Scalar) -> bool:
        """Tell whether an operator gives what NumPy rounds to bfloat16."""
        known = [x.dtype for x in operands if x.dtype is not None]
        return bool(known) and all(map(is_bfloat16, known))

    def _loop(self, ufunc: np.ufunc, *operands: Scalar) -> tuple[DType, list[Register]]:
        """Return the result's dtype and the operands as `ufunc` would convert them."""
        *inputs, output = _resolve(ufunc, tuple(map(self._kind, operands)))
        if any(d.kind not in "biuf" for d in (*inputs, output)):
            raise Unsupported(f"{ufunc.__name__} of {inputs[0]}")
        return output, [self.converted(x, d) for x, d in zip(operands, inputs, strict=True)]

    def _rounded(self, write: Callable[..., Register], *operands: Register) -> Register:
        """Apply `write`; half-precision operands are computed in single precision."""
        if operands[0].element != "half":
            return write(*operands)
        wide = [self.code.cast("fpext", x, "float") for x in operands]
        found = write(*wide)
        return found if found.element == "i1" else self.code.cast("fptrunc", found, "half")

    # leaves -------------------------------------------------------------------------------------

    def constant(self, value: Any) -> Scalar:
        if not isinstance(value, (int, float)):
            raise Unsupported(f"the constant {value!r}")
        return Scalar(value, None)

    # operators ----------------------------------------------------------------------------------

    def operation(self, name: str, operands: Sequence[Scalar]) -> Scalar:
        if any(x.dtype is not None and x.dtype.kind == "c" for x in operands):
            return self._of_complex(name, operands)
        write = _OPERATIONS.get(name)
        if write is not None:
            return write(self, *operands)
        if name in _BINARY:
            return self._binary(_BINARY[name], *operands)
        if name in COMPARISONS:
            return self._compare(name, *operands)
        if name in _ROUNDING:
            return self._round(_ROUNDING[name], *operands)
        if name in FUNCTIONS and FUNCTIONS[name].arity == len(operands):
            return self._function(name, operands)
        raise Unsupported(f"the function {name}")

    def _of_complex(self, name: str, operands: Sequence[Scalar]) -> Scalar:
        if name in ("cast", "where", "logical_and", "logical_or", "logical_not"):
            return _OPERATIONS[name](self, *operands)
        if name == "divide" and operands[0].weak and operands[0].value == 1:
            name, operands = "reciprocal", operands[1:]
        kinds = tuple(map(self._kind, operands))
        if name in arithmetic.OPERATIONS:
            *_, dtype = _resolve(getattr(np, name), kinds)
            given = [self.complex(x, dtype) for x in operands]
            return Scalar(arithmetic.OPERATIONS[name](self.code, *given), dtype)
        if name in ("power", POWER_OF_ONE_NUMBER):
            return self._complex_power(*operands)
        if name in functions.FUNCTIONS:
            *_, dtype = _resolve(np.exp, kinds)
            return Scalar(
                functions.FUNCTIONS[name](self.code, self.complex(operands[0], dtype)), dtype
            )
        if name in arithmetic.TESTS:
            dtype, *_ = _resolve(getattr(np, name), kinds)
            given = [self.complex(x, dtype) for x in operands]
            return Scalar(arithmetic.TESTS[name](self.code, *given), BOOL)
        if name not in ("abs", "real", "imag"):
            raise Unsupported(f"{name} of complex numbers")
        whole = operands[0].dtype
        assert whole is not None
        one = self.complex(operands[0], whole)
        part = arithmetic.absolute(self.code, one) if name == "abs" else one[name == "imag"]
        return Scalar(part, parts.part_of(whole))

    def _complex_power(self, x: Scalar, y: Scalar) -> Scalar:
        *_, dtype = _resolve(np.power, (self._kind(x), self._kind(y)))
        code = self.code
        if x.weak and x.number == 2:
            return Scalar(functions.exp2(code, self.complex(y, dtype)), dtype)
        base = Complex(*code.pair(*self.complex(x, dtype)))
        if not isinstance(y.value, (Register, Complex)):
            return Scalar(functions.known_power(code, base, complex(y.number)), dtype)
        exponent = Complex(*code.pair(*self.complex(y, dtype)))
        # one of both may be one number for all lanes
        pairs = [code.pair(a, b) for a, b in zip(base, exponent, strict=True)]
        base, exponent = (Complex(*each) for each in zip(*pairs, strict=True))
        return Scalar(functions.power(code, base, exponent), dtype)

    def _of_parts(self, x: Scalar, y: Scalar) -> Scalar:
        part = parts.part_of(self.result)
        return Scalar(Complex(self.converted(x, part), self.converted(y, part)), self.result)

    def _negative(self, x: Scalar) -> Scalar:
        if x.weak:
            return Scalar(-x.number, None)
        dtype, (operand,) = self._loop(np.negative, x)
        return Scalar(self._rounded(operator.neg, operand), dtype)

    def _invert(self, x: Scalar) -> Scalar:
        dtype, (operand,) = self._loop(np.invert, x)
        return Scalar(~operand, dtype)

    def _not(self, x: Scalar) -> Scalar:
        return Scalar(~self.truth(x), BOOL)

    def _all(self, *operands: Scalar) -> Scalar:
        return Scalar(reduce(operator.and_, map(self.truth, operands)), BOOL)

    def _any(self, *operands: Scalar) -> Scalar:
        return Scalar(reduce(operator.or_, map(self.truth, operands)), BOOL)

    def _binary(self, ufunc: np.ufunc, x: Scalar, y: Scalar) -> Scalar:
        if x.weak and y.weak:
            return Scalar(ufunc(x.value, y.value).item(), None)
        if ufunc is np.power:
            return self._power(x, y)
        dtype, (a, b) = self._loop(ufunc, x, y)
        if dtype.kind != "f":
            return Scalar(integers.combine(self.code, ufunc, a, b, dtype), dtype)
        if ufunc in _FLOAT_OPERATORS:
            return Scalar(self._rounded(_FLOAT_OPERATORS[ufunc], a, b), dtype)
        return Scalar(self._called(ufunc.__name__, a, b), dtype)

    def _called(self, name: str, *operands: Register) -> Register:
        """Write the call of a function of floating-point numbers."""
        if len(operands) > 1:
            operands = self.code.pair(*operands)
        return self._rounded(lambda *each: call(self.code, name, *each), *operands)

    def _power(self, x: Scalar, y: Scalar) -> Scalar:
        code = self.code
        dtype, (a, b) = self._loop(np.power, x, y)
        whole = _whole_exponent(y)
        if dtype.kind != "f":
            if whole is None or whole < 0:  # a negative one is refused, by the kernel
                raise Unsupported(f"powers of {dtype} by numbers that are not known")
            one = number(code, 1, dtype, a.lanes)
            return Scalar(product_of_equals(a, whole, one), dtype)
        if whole == 2:
            return Scalar(self._rounded(lambda v: v * v, a), dtype)
        if whole == 1:
            return Scalar(a, dtype)
        if x.weak and x.number == 2:
            return Scalar(self._called("exp2", b), dtype)

        def write(v: Register, w: Register) -> Register:
            product = None if whole is None else whole_power(code, v, whole)
            return call(code, "pow", *code.pair(v, w)) if product is None else product

        return Scalar(self._rounded(write, a, b), dtype)

    def _power_of_one_number(self, x: Scalar, y: Scalar) -> Scalar:
        dtype, (a, b) = self._loop(np.power, x, y)
        known = not isinstance(y.value, Register)
        if dtype not in (FLOAT32, FLOAT64) or (known and y.value != 0.5):
            return self._power(x, y)
        root = self._rounded(lambda v: self.code.call_intrinsic("sqrt", v), a)
        if known:
            return Scalar(root, dtype)
        power = self.converted(self._power(x, y), dtype)
        return Scalar(self.code.select(b.equals(0.5), root, power), dtype)

    def _compare(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        ufunc: np.ufunc = getattr(np, name)
        if x.weak and y.weak:
            return Scalar(number(self.code, ufunc(x.value, y.value), BOOL, self.lanes), BOOL)
        *inputs, _ = _resolve(ufunc, (self._kind(x), self._kind(y)))
        if inputs[0] != inputs[1]:
            raise Unsupported(f"comparisons of {inputs[0]} with {inputs[1]}")
        _, (a, b) = self._loop(ufunc, x, y)
        signed = not is_unsigned(inputs[0])
        relation = _RELATIONS[name]
        return Scalar(
            self._rounded(lambda v, w: self.code.compare(relation, v, w, signed), a, b), BOOL
        )

    def _choice(self, test: Scalar, x: Scalar, y: Scalar) -> Scalar:
        kinds: list[Any] = [v.dtype if v.dtype is not None else v.value for v in (x, y)]
        dtype = promoted(*kinds) if not (x.weak and y.weak) else self.result
        if dtype.kind == "c":
            chosen, one, other = self.truth(test), self.complex(x, dtype), self.complex(y, dtype)
            pairs = zip(one, other, strict=True)
            return Scalar(Complex(*[self.code.select(chosen, a, b) for a, b in pairs]), dtype)
        a, b = self.converted(x, dtype), self.converted(y, dtype)
        return Scalar(self.code.select(self.truth(test), a, b), dtype)

    def truth(self, x: Scalar) -> Register:
        """Return whether `x` is not zero."""
        return self.converted(x, BOOL)

    # functions ----------------------------------------------------------------------------------

    def _cast(self, x: Scalar) -> Scalar:
        if self.result.kind == "c":
            return Scalar(self.complex(x, self.result), self.result)
        return Scalar(self.converted(x, self.result), self.result)

    def _real(self, x: Scalar) -> Scalar:
        return x

    def _imaginary(self, _: Scalar) -> Scalar:
        return Scalar(0, None)

    def _square_root(self, x: Scalar) -> Scalar:
        dtype, (a,) = self._loop(np.sqrt, x)
        return Scalar(self._rounded(lambda v: self.code.call_intrinsic("sqrt", v), a), dtype)

    def _function(self, name: str, operands: Sequence[Scalar]) -> Scalar:
        # every function of one operand has the dtypes of exp, those of two of arctan2
        ufunc = np.exp if len(operands) == 1 else np.arctan2
        dtype, registers = self._loop(ufunc, *operands)
        return Scalar(self._called(name, *registers), dtype)

    def _absolute(self, x: Scalar) -> Scalar:
        if x.weak:
            return Scalar(abs(x.number), None)
        dtype, (a,) = self._loop(np.absolute, x)
        if dtype.kind == "f":
            return Scalar(self.code.absolute(a), dtype)
        return Scalar(integers.magnitude(self.code, a, dtype), dtype)

    def _round(self, intrinsic: str, x: Scalar) -> Scalar:
        if x.dtype is not None and x.dtype.kind in "iub":
            return x
        dtype, (a,) = self._loop(np.trunc, x)
        return Scalar(self._rounded(lambda v: self.code.call_intrinsic(intrinsic, v), a), dtype)

    # bits ---------------------------------------------------------------------------------------

    def _sign_bit(self, x: Scalar) -> Scalar:
        _, (a,) = self._loop(np.signbit, x)
        return Scalar(a.as_integer().less(0), BOOL)

    def _copied_sign(self, x: Scalar, y: Scalar) -> Scalar:
        dtype, operands = self._loop(np.copysign, x, y)
        a, b = (v.as_integer() for v in self.code.pair(*operands))
        sign = -(1 << (BITS[a.element] - 1))
        return Scalar(((a & ~sign) | (b & sign)).as_float(), dtype)

    def _neighbour(self, x: Scalar, y: Scalar) -> Scalar:
        dtype, operands = self._loop(np.nextafter, x, y)
        unit = 1 << 16 if self._of_bfloat16(x, y) else 1
        return Scalar(next_after(self.code, *self.code.pair(*operands), unit), dtype)

    def _spacing(self, x: Scalar) -> Scalar:
        dtype, (a,) = self._loop(np.spacing, x)
        return Scalar(spacing(self.code, a, 1 << 16 if self._of_bfloat16(x) else 1), dtype)

    def _count_bits(self, x: Scalar) -> Scalar:
        source, dtype = _resolve(np.bitwise_count, (self._kind(x),))
        a = self.converted(x, source)  # of a truth value an int8
        count = self.code.call_intrinsic("ctpop", integers.magnitude(self.code, a, source))
        return Scalar(convert(self.code, count, source, dtype), dtype)

    def _divisor(self, x: Scalar, y: Scalar) -> Scalar:
        dtype, operands = self._loop(np.gcd, x, y)
        a, b = (integers.magnitude(self.code, v, dtype) for v in self.code.pair(*operands))
        return Scalar(call(self.code, "gcd", a, b), dtype)

    def _multiple(self, x: Scalar, y: Scalar) -> Scalar:
        dtype, operands = self._loop(np.lcm, x, y)
        a, b = (integers.magnitude(self.code, v, dtype) for v in self.code.pair(*operands))
        divisor = call(self.code, "gcd", a, b)
        divisor = self.code.select(divisor.equals(0), 1, divisor)
        part = self.code.pure(f"udiv {a.type} {a.ref}, {divisor.ref}", a.element, a.lanes)
        return Scalar(part * b, dtype)

    def _smallest(self, *operands: Scalar) -> Scalar:
        return reduce(partial(self._extremum_of_two, "min"), operands)

    def _largest(self, *operands: Scalar) -> Scalar:
        return reduce(partial(self._extremum_of_two, "max"), operands)

    def _extremum_of_two(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        ufunc = np.minimum if name == "min" else np.maximum
        x, y = _within(x, y.dtype), _within(y, x.dtype)
        dtype, (a, b) = self._loop(ufunc, x, y)
        # of equal zeros NumPy gives the second, and the first where it computes in halves
        first = dtype == FLOAT16
        known = dtype.kind == "f" and not isinstance(y.value, Register)
        if known and (first or y.value != 0) and not math.isnan(y.value):  # type: ignore[arg-type]
            # one instruction, and NaN stays
            plain = self.code.smaller if name == "min" else self.code.larger
            return Scalar(self._rounded(plain, a, b), dtype)
        write = minimum if name == "min" else maximum
        if first:
            a, b = b, a
        wide = FLOAT32 if dtype == FLOAT16 else dtype
        return Scalar(
            self._rounded(lambda v, w: write(self.code, *self.code.pair(v, w), wide), a, b), dtype
        )


def _within(bound: Scalar, dtype: DType | None) -> Scalar:
    """Return a whole number as `dtype` holds it: a bound beyond that bounds nothing."""
    if dtype is None or dtype.kind not in "iu" or type(bound.value) is not int:
        return bound
    return Scalar(max(min(bound.value, highest(dtype)), lowest(dtype)), None)


def _whole_exponent(y: Scalar) -> int | None:
    """Return an exponent that is known and whole."""
    if isinstance(y.value, Register):
        return None
    return int(y.number) if float(y.number).is_integer() else None


_Binary = Callable[[Register, Register], Register]
_FLOAT_OPERATORS: dict[np.ufunc, _Binary] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
}
_OPERATIONS: dict[str, Callable[..., Scalar]] = {
    "fmod": lambda writer, x, y: writer._binary(np.fmod, x, y),
    "signbit": _Writer._sign_bit,
    "copysign": _Writer._copied_sign,
    "nextafter": _Writer._neighbour,
    "spacing": _Writer._spacing,
    "bitwise_count": _Writer._count_bits,
    "gcd": _Writer._divisor,
    "lcm": _Writer._multiple,
    "negative": _Writer._negative,
    "bitwise_invert": _Writer._invert,
    "logical_not": _Writer._not,
    "logical_and": _Writer._all,
    "logical_or": _Writer._any,
    "where": _Writer._choice,
    "min": _Writer._smallest,
    "max": _Writer._largest,
    "cast": _Writer._cast,
    "real": _Writer._real,
    "conj": _Writer._real,
    "imag": _Writer._imaginary,
    "complex": _Writer._of_parts,
    "abs": _Writer._absolute,
    "sqrt": _Writer._square_root,
    POWER_OF_ONE_NUMBER: _Writer._power_of_one_number,
}
