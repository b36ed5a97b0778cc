"""Scalar expressions: the text that an elementwise op's record has, as instructions.

An expression is evaluated as NumPy would evaluate it on arrays: each step converts its operands as
the ufunc of that step does, and Python numbers are weak.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import (
    BOOL,
    FLOAT16,
    FLOAT32,
    DType,
    Unsupported,
    convert,
    highest,
    is_unsigned,
    lowest,
    maximum,
    minimum,
    number,
)
from oplibrary.machine.expressions import parse
from oplibrary.machine.mathematics import FUNCTIONS
from oplibrary.machine.register import BITS, Register


class Scalar(NamedTuple):
    """A value of an expression: a register with its dtype, or a weak Python number."""

    value: Register | float
    dtype: DType | None

    @property
    def weak(self) -> bool:
        """Whether it is a Python number, which takes the dtype of what it meets."""
        return self.dtype is None


def write_expression(
    code: Code,
    expression: str,
    attrs: tuple[tuple[str, Any], ...],
    operands: Sequence[tuple[Register | float, DType]],
    result: DType,
) -> Register:
    """Write an expression and return its value as `result`.

    Raises
    ------
    Unsupported
        If something in it has no machine code here.
    """
    writer = _Writer(code, [], result)
    for operand in operands:
        scalar = Scalar(*operand)
        if result.kind == "f" and _is_narrower(operand[1], result):
            # kernels that compute in floating point convert their operands first
            scalar = Scalar(writer.converted(scalar, result), result)
        writer.operands.append(scalar)
    found = writer.write(parse(expression, attrs))
    return writer.converted(found, result)


def _is_narrower(dtype: DType, result: DType) -> bool:
    return dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize < result.itemsize)


@lru_cache(maxsize=4096)
def check_expression(
    expression: str, attrs: tuple[tuple[str, Any], ...], dtypes: tuple[DType, ...], result: DType
) -> str:
    """Return why an expression on operands of `dtypes` has no machine code, or ``""``."""
    from oplibrary.machine.elements import element_of
    from oplibrary.machine.module import Module
    from oplibrary.machine.target import host_target

    code = Code(Module(host_target()))
    try:
        element_of(result)
        operands = [
            (code.parameter(f"%x{i}", element_of(dtype)), dtype) for i, dtype in enumerate(dtypes)
        ]
        write_expression(code, expression, attrs, operands, result)
    except Unsupported as reason:
        return str(reason)
    return ""


_BINARY: dict[type, np.ufunc] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.Pow: np.power,
    ast.BitAnd: np.bitwise_and,
    ast.BitOr: np.bitwise_or,
    ast.BitXor: np.bitwise_xor,
    ast.LShift: np.left_shift,
    ast.RShift: np.right_shift,
}
_COMPARISONS: dict[type, tuple[np.ufunc, str]] = {
    ast.Eq: (np.equal, "eq"),
    ast.NotEq: (np.not_equal, "ne"),
    ast.Lt: (np.less, "lt"),
    ast.LtE: (np.less_equal, "le"),
    ast.Gt: (np.greater, "gt"),
    ast.GtE: (np.greater_equal, "ge"),
}
_ROUNDING = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven"}
_NAMES = {"inf": math.inf, "nan": math.nan, "pi": math.pi, "True": True, "False": False}


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

    def write(self, node: ast.expr) -> Scalar:
        write = _NODES.get(type(node))
        if write is None:
            raise Unsupported(f"`{ast.unparse(node)}`")
        return write(self, node)

    # operands -----------------------------------------------------------------------------------

    def converted(self, x: Scalar, dtype: DType) -> Register:
        """Return the register of `x` as `dtype`."""
        if not isinstance(x.value, Register):
            lanes = max(
                (o.value.lanes for o in self.operands if isinstance(o.value, Register)), default=1
            )
            return number(self.code, x.value, dtype, lanes)
        assert x.dtype is not None
        return convert(self.code, x.value, x.dtype, dtype)

    def _kind(self, x: Scalar) -> Any:
        return type(x.value) if x.weak else x.dtype

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

    def name(self, node: ast.Name) -> Scalar:
        if node.id[0] == "_":
            return self.operands[int(node.id[1:])]
        if node.id not in _NAMES:
            raise Unsupported(f"the name {node.id}")
        return Scalar(_NAMES[node.id], None)

    def constant(self, node: ast.Constant) -> Scalar:
        if not isinstance(node.value, (int, float)):
            raise Unsupported(f"the constant {node.value!r}")
        return Scalar(node.value, None)

    # operators ----------------------------------------------------------------------------------

    def unary(self, node: ast.UnaryOp) -> Scalar:
        x = self.write(node.operand)
        if x.weak:
            assert isinstance(node.op, ast.USub)
            return Scalar(-x.value, None)
        if isinstance(node.op, ast.USub):
            dtype, (operand,) = self._loop(np.negative, x)
            return Scalar(self._rounded(operator.neg, operand), dtype)
        if isinstance(node.op, ast.Not):
            return Scalar(~self.truth(x), BOOL)
        if isinstance(node.op, ast.Invert):
            dtype, (operand,) = self._loop(np.invert, x)
            return Scalar(~operand, dtype)
        raise Unsupported(f"`{ast.unparse(node)}`")

    def binary(self, node: ast.BinOp) -> Scalar:
        x, y = self.write(node.left), self.write(node.right)
        ufunc = _BINARY[type(node.op)]
        if x.weak and y.weak:
            return Scalar(ufunc(x.value, y.value).item(), None)
        if ufunc is np.power:
            return self._power(x, y)
        dtype, (a, b) = self._loop(ufunc, x, y)
        if dtype.kind == "f":
            if ufunc not in _FLOAT_OPERATORS:
                raise Unsupported(f"{ufunc.__name__} of {dtype}")
            return Scalar(self._rounded(_FLOAT_OPERATORS[ufunc], a, b), dtype)
        return Scalar(self._integers(ufunc, a, b, dtype), dtype)

    def _integers(self, ufunc: np.ufunc, a: Register, b: Register, dtype: DType) -> Register:
        if dtype == BOOL:
            return _BOOLEAN_OPERATORS[ufunc](a, b)
        plain = _INTEGER_OPERATORS.get(ufunc)
        if plain is not None:
            return plain(a, b)
        if ufunc in (np.left_shift, np.right_shift):
            return self._shift(ufunc, a, b, dtype)
        return self._whole_division(ufunc, a, b, dtype)

    def _shift(self, ufunc: np.ufunc, a: Register, b: Register, dtype: DType) -> Register:
        bits = BITS[a.element]
        inside = self.code.compare("lt", b, bits, signed=False)
        amount = self.code.select(inside, b, 0)
        if ufunc is np.left_shift:
            return self.code.select(inside, a << amount, 0)
        if is_unsigned(dtype):
            return self.code.select(inside, a.shift_right_unsigned(amount), 0)
        return a >> self.code.select(inside, b, bits - 1)

    def _whole_division(self, ufunc: np.ufunc, a: Register, b: Register, dtype: DType) -> Register:
        """Round towards minus infinity, as Python does; a divisor of 0 gives 0, as in NumPy."""
        code = self.code
        a, b = code.pair(a, b)
        zero = b.equals(0)
        remainder = ufunc is np.remainder
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
            found = code.select(adjust, rest + divisor, rest)
            return code.select(zero | minus, 0, found)
        found = code.select(adjust, quotient - 1, quotient)
        return code.select(zero, 0, code.select(minus, -a, found))

    def _power(self, x: Scalar, y: Scalar) -> Scalar:
        code = self.code
        dtype, (a, b) = self._loop(np.power, x, y)
        if dtype.kind != "f":
            raise Unsupported(f"powers of {dtype}")
        whole = _whole_exponent(y)
        if whole == 2:
            return Scalar(self._rounded(lambda v: v * v, a), dtype)
        if whole == 1:
            return Scalar(a, dtype)
        return Scalar(
            self._rounded(lambda v, w: code.module.call(code, "pow", *code.pair(v, w)), a, b), dtype
        )

    def compare(self, node: ast.Compare) -> Scalar:
        if len(node.ops) != 1:
            raise Unsupported(f"`{ast.unparse(node)}`")
        x, y = self.write(node.left), self.write(node.comparators[0])
        ufunc, relation = _COMPARISONS[type(node.ops[0])]
        *inputs, _ = _resolve(ufunc, (self._kind(x), self._kind(y)))
        if inputs[0] != inputs[1]:
            raise Unsupported(f"comparisons of {inputs[0]} with {inputs[1]}")
        _, (a, b) = self._loop(ufunc, x, y)
        signed = not is_unsigned(inputs[0])
        return Scalar(
            self._rounded(lambda v, w: self.code.compare(relation, v, w, signed), a, b), BOOL
        )

    def choice(self, node: ast.IfExp) -> Scalar:
        test = self.write(node.test)
        x, y = self.write(node.body), self.write(node.orelse)
        kinds: list[Any] = [v.dtype if v.dtype is not None else v.value for v in (x, y)]
        dtype = np.result_type(*kinds) if not (x.weak and y.weak) else self.result
        a, b = self.converted(x, dtype), self.converted(y, dtype)
        return Scalar(self.code.select(self.truth(test), a, b), dtype)

    def truth(self, x: Scalar) -> Register:
        """Return whether `x` is not zero."""
        return self.converted(x, BOOL)

    def boolean(self, node: ast.BoolOp) -> Scalar:
        values = [self.truth(self.write(value)) for value in node.values]
        combine = operator.and_ if isinstance(node.op, ast.And) else operator.or_
        result = values[0]
        for value in values[1:]:
            result = combine(result, value)
        return Scalar(result, BOOL)

    # calls --------------------------------------------------------------------------------------

    def call(self, node: ast.Call) -> Scalar:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise Unsupported(f"`{ast.unparse(node)}`")
        name = node.func.id
        if name in ("min", "max"):
            return self._extremum(name, node.args)
        operands = [self.write(argument) for argument in node.args]
        x = operands[0]
        if name == "cast":
            return Scalar(self.converted(x, self.result), self.result)
        if name in ("real", "conj"):
            return x
        if name == "imag":
            return Scalar(0, None)
        if name == "abs":
            return self._absolute(x)
        if name in _ROUNDING:
            return self._round(_ROUNDING[name], x)
        if name == "sqrt":
            dtype, (a,) = self._loop(np.sqrt, x)
            return Scalar(self._rounded(lambda v: self.code.call_intrinsic("sqrt", v), a), dtype)
        if name in FUNCTIONS:
            return self._function(name, operands)
        raise Unsupported(f"the function {name}")

    def _function(self, name: str, operands: list[Scalar]) -> Scalar:
        # every function of one operand has the dtypes of exp, those of two of arctan2
        ufunc = np.exp if len(operands) == 1 else np.arctan2
        dtype, registers = self._loop(ufunc, *operands)
        if len(registers) > 1:
            registers = list(self.code.pair(*registers))
        found = self._rounded(
            lambda *each: self.code.module.call(self.code, name, *each), *registers
        )
        return Scalar(found, dtype)

    def _absolute(self, x: Scalar) -> Scalar:
        dtype, (a,) = self._loop(np.absolute, x)
        if dtype.kind == "f":
            return Scalar(self.code.absolute(a), dtype)
        if is_unsigned(dtype):
            return Scalar(a, dtype)
        return Scalar(self.code.select(a.less(0), -a, a), dtype)

    def _round(self, intrinsic: str, x: Scalar) -> Scalar:
        if x.dtype is not None and x.dtype.kind in "iub":
            return x
        dtype, (a,) = self._loop(np.trunc, x)
        return Scalar(self._rounded(lambda v: self.code.call_intrinsic(intrinsic, v), a), dtype)

    def _extremum(self, name: str, arguments: Sequence[ast.expr]) -> Scalar:
        # None is a bound that is absent
        values = [
            self.write(a)
            for a in arguments
            if not (isinstance(a, ast.Constant) and a.value is None)
        ]
        result = values[0]
        for value in values[1:]:
            result = self._extremum_of_two(name, result, value)
        return result

    def _extremum_of_two(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        ufunc = np.minimum if name == "min" else np.maximum
        if x.dtype is not None and x.dtype.kind in "iu" and type(y.value) is int:
            # a bound beyond what the dtype holds bounds nothing
            y = Scalar(max(min(y.value, highest(x.dtype)), lowest(x.dtype)), None)
        dtype, (a, b) = self._loop(ufunc, x, y)
        if dtype.kind == "f" and y.weak and not math.isnan(y.value):  # type: ignore[arg-type]
            # one instruction, and NaN stays
            plain = self.code.smaller if name == "min" else self.code.larger
            return Scalar(self._rounded(plain, a, b), dtype)
        write = minimum if name == "min" else maximum
        wide = FLOAT32 if dtype == FLOAT16 else dtype
        return Scalar(
            self._rounded(lambda v, w: write(self.code, *self.code.pair(v, w), wide), a, b), dtype
        )


def _whole_exponent(y: Scalar) -> int | None:
    """Return an exponent that is known and whole."""
    if isinstance(y.value, Register):
        return None
    return int(y.value) if float(y.value).is_integer() else None


_Binary = Callable[[Register, Register], Register]
_FLOAT_OPERATORS: dict[np.ufunc, _Binary] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
}
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
_NODES: dict[type, Callable[[_Writer, Any], Scalar]] = {
    ast.Name: _Writer.name,
    ast.Constant: _Writer.constant,
    ast.UnaryOp: _Writer.unary,
    ast.BinOp: _Writer.binary,
    ast.Compare: _Writer.compare,
    ast.IfExp: _Writer.choice,
    ast.BoolOp: _Writer.boolean,
    ast.Call: _Writer.call,
}
