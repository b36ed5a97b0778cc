"""Elementwise ops in ONNX: the scalar expression of the record, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.core.expression import COMPARISONS, Expression, parse_expression
from staticgraph.exporting.writer import Name, Writer

Typed = tuple[Name, np.dtype[Any]]
"""A value with its dtype; a number of the expression has none yet and is a `float` or `int`."""

Operand = Typed | float

_FUNCTIONS = {
    "abs": "Abs",
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "max": "Max",
    "min": "Min",
    "round": "Round",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "tan": "Tan",
    "tanh": "Tanh",
}
_BINARY = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow"}
_LOGICAL = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}
_COMPARISONS = {
    "equal": "Equal",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}
_ARITHMETIC = frozenset({*_BINARY, *_LOGICAL, "floor_divide", "remainder"})
_WHOLE = {
    parse_expression("1 / (1 + exp(-{0}))"): "Sigmoid",
    parse_expression("max({0}, 0)"): "Relu",
}
"""Expressions for which ONNX has one op."""

BOOL = np.dtype(bool)
_NUMBER = np.dtype(np.int32)


class Unknown(Exception):
    """An expression that has no form in ONNX."""


def elementwise(
    writer: Writer,
    expression: Expression,
    operands: Sequence[Typed],
    attrs: Mapping[str, Any],
    dtype: np.dtype[Any],
) -> Name:
    """Write an expression, and return its value in the result's `dtype`.

    Raises
    ------
    Unknown
        If ONNX has no op for a part of it.
    """
    expression = expression.bind(attrs)
    if expression in _WHOLE:
        name, have = operands[0]
        return writer.node(_WHOLE[expression], writer.cast(name, have, dtype))
    part = _Writer(writer, dtype)
    found = expression.fold(operands.__getitem__, part.constant, part.operation)
    if not isinstance(found, tuple):
        raise Unknown("a number that no operand is part of")
    return writer.cast(*part.typed(found), dtype)


class _Writer:
    """Writes one expression, from its leaves upward."""

    def __init__(self, writer: Writer, dtype: np.dtype[Any]) -> None:
        self.writer = writer
        self.dtype = dtype

    def constant(self, value: Any) -> float:
        """Return a number, which has no dtype yet."""
        if not isinstance(value, (int, float)):
            raise Unknown(repr(value))
        return value

    def operation(self, name: str, operands: Sequence[Operand]) -> Operand:
        """Write an operator or a function."""
        if name in ("real", "imag", "conj"):
            return self.part(name, *operands)
        if name in ("logical_and", "logical_or"):
            return self.joined(name, *operands)
        if name == "negative" or name == "bitwise_invert":
            return self.unary(name, *operands)
        if name in COMPARISONS:
            return self.compare(name, *operands)
        if name == "where":
            return self.choice(*operands)
        if name in _ARITHMETIC:
            return self.binary(name, *operands)
        return self.call(name, operands)

    def typed(self, found: Operand) -> Typed:
        """Return a part, a number in the dtype of the result."""
        if isinstance(found, tuple):
            return found
        return self.writer.constant(np.array(found, self.dtype)), self.dtype

    def alike(self, *found: Operand) -> tuple[list[Name], np.dtype[Any]]:
        """Return parts in the one dtype that holds all of them; ONNX converts nothing."""
        known = [each[1] for each in found if isinstance(each, tuple)]
        wide = np.result_type(*known) if known else self.dtype
        if wide.kind in "iub" and any(isinstance(each, float) for each in found):
            # a number with a fraction, or an infinite one, is no whole number
            wide = self.dtype if self.dtype.kind == "f" else np.dtype(np.float64)
        names = []
        for each in found:
            if isinstance(each, tuple):
                names.append(self.writer.cast(each[0], each[1], wide))
            else:
                names.append(self.writer.constant(np.array(each, wide)))
        return names, wide

    def bounded(self, operands: Sequence[Operand]) -> Sequence[Operand]:
        """Return operands of an extremum; a bound beyond what the others can be bounds nothing."""
        known = [each[1] for each in operands if isinstance(each, tuple)]
        wide = np.result_type(*known) if known else self.dtype
        if wide.kind not in "iu":
            return operands
        limits = np.iinfo(wide)
        return [
            min(max(each, limits.min), limits.max) if type(each) is int else each
            for each in operands
        ]

    def unary(self, operator: str, found: Operand) -> Operand:
        """Write a sign or a complement."""
        if not isinstance(found, tuple):
            if operator == "negative":
                return -found
            raise Unknown(operator)
        name, dtype = found
        if operator == "negative":
            return self.writer.node("Neg", name), dtype
        return self.writer.node("Not" if dtype == BOOL else "BitwiseNot", name), dtype

    def binary(self, operator: str, x: Operand, y: Operand) -> Typed:
        """Write arithmetic, logic or bits."""
        names, dtype = self.alike(x, y)
        if operator in _LOGICAL:
            return self.writer.node(
                ("" if dtype == BOOL else "Bitwise") + _LOGICAL[operator], *names
            ), dtype
        if dtype == BOOL:  # NumPy computes with booleans where ONNX does not
            names = [self.writer.cast(name, dtype, self.dtype) for name in names]
            dtype = self.dtype
        if operator == "divide" and dtype.kind != "f":
            names = [self.writer.cast(name, dtype, self.dtype) for name in names]
            dtype = self.dtype
        if operator in _BINARY and dtype != BOOL:
            return self.writer.node(_BINARY[operator], *names), dtype
        if operator in ("floor_divide", "remainder") and dtype.kind == "f":
            floor = self.writer.node("Floor", self.writer.node("Div", *names))
            if operator == "floor_divide":
                return floor, dtype
            return self.writer.node(
                "Sub", names[0], self.writer.node("Mul", floor, names[1])
            ), dtype
        if operator == "remainder" and dtype.kind in "iu":
            return self.writer.node("Mod", *names), dtype
        raise Unknown(operator)

    def part(self, name: str, found: Operand) -> Operand:
        """Write the part of a real number."""
        if isinstance(found, tuple) and found[1].kind == "c":
            raise Unknown(f"{name} of complex numbers")
        return 0 if name == "imag" else found

    def joined(self, operator: str, *found: Operand) -> Operand:
        """Write whether all or any of several parts are not 0, without those that are known."""
        decides = operator == "logical_or"
        if any(bool(each) is decides for each in found if not isinstance(each, tuple)):
            return int(decides)
        names = [self.writer.cast(*each, BOOL) for each in found if isinstance(each, tuple)]
        while len(names) > 1:
            names[:2] = [self.writer.node("Or" if decides else "And", *names[:2])]
        return (names[0], BOOL) if names else int(not decides)

    def compare(self, relation: str, x: Operand, y: Operand) -> Operand:
        """Write a comparison."""
        if not isinstance(x, tuple) and not isinstance(y, tuple):
            return int(getattr(np, relation)(x, y))
        names, dtype = self.alike(x, y)
        if dtype == BOOL and relation not in ("equal", "not_equal"):
            names = [self.writer.cast(name, dtype, np.dtype(np.int32)) for name in names]
        if relation == "not_equal":
            return self.writer.node("Not", self.writer.node("Equal", *names)), BOOL
        return self.writer.node(_COMPARISONS[relation], *names), BOOL

    def choice(self, test: Operand, x: Operand, y: Operand) -> Typed:
        """Write the choice between two values, as NumPy's ``where``."""
        names, wide = self.alike(x, y)
        return self.writer.node("Where", self.writer.cast(*self.typed(test), BOOL), *names), wide

    def call(self, function: str, operands: Sequence[Operand]) -> Operand:
        """Write a function of numbers."""
        if function == "cast":
            return self.typed(operands[0])
        if function == "abs" and not isinstance(operands[0], tuple):
            return abs(operands[0])
        if function in ("max", "min"):
            operands = self.bounded(operands)
        names, dtype = self.alike(*operands)
        if dtype.kind != "f" and function not in ("abs", "max", "min"):
            names = [self.writer.cast(name, dtype, self.dtype) for name in names]
            dtype = self.dtype
        if dtype == BOOL:  # which ONNX has no such functions of
            names = [self.writer.cast(name, dtype, _NUMBER) for name in names]
            dtype = _NUMBER
        if function in _FUNCTIONS:
            return self.writer.node(_FUNCTIONS[function], *names), dtype
        one = self.writer.constant(np.ones((), dtype))
        if function == "log1p":
            return self.writer.node("Log", self.writer.node("Add", names[0], one)), dtype
        if function == "expm1":
            return self.writer.node("Sub", self.writer.node("Exp", names[0]), one), dtype
        if function in ("log2", "log10"):
            base = self.writer.constant(np.array(np.log(float(function[3:])), dtype))
            return self.writer.node("Div", self.writer.node("Log", names[0]), base), dtype
        if function == "trunc":
            size = self.writer.node("Floor", self.writer.node("Abs", names[0]))
            return self.writer.node("Mul", self.writer.node("Sign", names[0]), size), dtype
        raise Unknown(function)
