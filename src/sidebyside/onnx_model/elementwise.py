"""Elementwise ops in ONNX: the scalar expression of the record, node by node."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from sidebyside.onnx_model.writer import Name, Writer

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
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "Add",
    ast.Sub: "Sub",
    ast.Mult: "Mul",
    ast.Div: "Div",
    ast.Pow: "Pow",
}
_LOGICAL: dict[type[ast.operator], str] = {
    ast.BitAnd: "And",
    ast.BitOr: "Or",
    ast.BitXor: "Xor",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "Equal",
    ast.Lt: "Less",
    ast.LtE: "LessOrEqual",
    ast.Gt: "Greater",
    ast.GtE: "GreaterOrEqual",
}
_WHOLE = {
    "1 / (1 + exp(-{0}))": "Sigmoid",
    "max({0}, 0)": "Relu",
}
"""Expressions for which ONNX has one op."""

BOOL = np.dtype(bool)


class Unknown(Exception):
    """An expression that has no form in ONNX."""


def elementwise(
    writer: Writer,
    expr: str,
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
    if expr in _WHOLE:
        name, have = operands[0]
        return writer.node(_WHOLE[expr], writer.cast(name, have, dtype))
    names = {f"x{position}": operand for position, operand in enumerate(operands)}
    numbers = {key: repr(float(x)) if isinstance(x, float) else repr(x) for key, x in attrs.items()}
    tree = _parsed(expr.format(*names, **numbers))
    name, have = _Expression(writer, names, dtype).typed(tree)
    return writer.cast(name, have, dtype)


@lru_cache(maxsize=256)
def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


class _Expression:
    """Writes one expression."""

    def __init__(self, writer: Writer, names: Mapping[str, Typed], dtype: np.dtype[Any]) -> None:
        self.writer = writer
        self.names = names
        self.dtype = dtype

    def typed(self, tree: ast.expr, like: np.dtype[Any] | None = None) -> Typed:
        """Write a part, a number in the dtype of its neighbour."""
        found = self.write(tree)
        if isinstance(found, tuple):
            return found
        dtype = self.dtype if like is None else like
        return self.writer.constant(np.array(found, dtype)), dtype

    def write(self, tree: ast.expr) -> Operand:
        """Write a part."""
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
            return tree.value
        if isinstance(tree, ast.Name) and tree.id in self.names:
            return self.names[tree.id]
        if isinstance(tree, ast.Name) and tree.id in ("inf", "nan"):
            return float(tree.id)
        if isinstance(tree, ast.UnaryOp):
            return self.unary(tree)
        if isinstance(tree, ast.BinOp):
            return self.binary(tree)
        if isinstance(tree, ast.Compare) and len(tree.ops) == 1:
            return self.compare(tree)
        if isinstance(tree, ast.IfExp):
            return self.choice(tree)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            return self.call(tree.func.id, tree.args)
        raise Unknown(ast.unparse(tree))

    def alike(self, *trees: ast.expr) -> tuple[list[Name], np.dtype[Any]]:
        """Write parts in the one dtype that holds all of them; ONNX converts nothing."""
        found = [self.write(tree) for tree in trees]
        known = [each[1] for each in found if isinstance(each, tuple)]
        wide = np.result_type(*known) if known else self.dtype
        if wide.kind in "iub" and any(isinstance(each, float) for each in found):
            wide = self.dtype
        names = []
        for each in found:
            if isinstance(each, tuple):
                names.append(self.writer.cast(each[0], each[1], wide))
            else:
                names.append(self.writer.constant(np.array(each, wide)))
        return names, wide

    def unary(self, tree: ast.UnaryOp) -> Operand:
        """Write a sign or a complement."""
        found = self.write(tree.operand)
        if not isinstance(found, tuple):
            if isinstance(tree.op, ast.USub):
                return -found
            raise Unknown(ast.unparse(tree))
        name, dtype = found
        if isinstance(tree.op, ast.USub):
            return self.writer.node("Neg", name), dtype
        if isinstance(tree.op, ast.Invert):
            return self.writer.node("Not" if dtype == BOOL else "BitwiseNot", name), dtype
        raise Unknown(ast.unparse(tree))

    def binary(self, tree: ast.BinOp) -> Typed:
        """Write arithmetic, logic or bits."""
        names, dtype = self.alike(tree.left, tree.right)
        kind = type(tree.op)
        if kind in _LOGICAL:
            return self.writer.node(
                ("" if dtype == BOOL else "Bitwise") + _LOGICAL[kind], *names
            ), dtype
        if dtype == BOOL:  # NumPy computes with booleans where ONNX does not
            names = [self.writer.cast(name, dtype, self.dtype) for name in names]
            dtype = self.dtype
        if kind is ast.Div and dtype.kind != "f":
            names = [self.writer.cast(name, dtype, self.dtype) for name in names]
            dtype = self.dtype
        if kind in _BINARY and dtype != BOOL:
            return self.writer.node(_BINARY[kind], *names), dtype
        if kind in (ast.FloorDiv, ast.Mod) and dtype.kind == "f":
            floor = self.writer.node("Floor", self.writer.node("Div", *names))
            if kind is ast.FloorDiv:
                return floor, dtype
            return self.writer.node(
                "Sub", names[0], self.writer.node("Mul", floor, names[1])
            ), dtype
        if kind is ast.Mod and dtype.kind in "iu":
            return self.writer.node("Mod", *names), dtype
        raise Unknown(ast.unparse(tree))

    def compare(self, tree: ast.Compare) -> Typed:
        """Write a comparison."""
        names, dtype = self.alike(tree.left, tree.comparators[0])
        kind = type(tree.ops[0])
        if dtype == BOOL and kind not in (ast.Eq, ast.NotEq):
            names = [self.writer.cast(name, dtype, np.dtype(np.int32)) for name in names]
        if kind is ast.NotEq:
            return self.writer.node("Not", self.writer.node("Equal", *names)), BOOL
        return self.writer.node(_COMPARISONS[kind], *names), BOOL

    def choice(self, tree: ast.IfExp) -> Typed:
        """Write ``a if test else b``, as NumPy's ``where``."""
        test, dtype = self.typed(tree.test)
        names, wide = self.alike(tree.body, tree.orelse)
        return self.writer.node("Where", self.writer.cast(test, dtype, BOOL), *names), wide

    def call(self, function: str, arguments: Sequence[ast.expr]) -> Typed:
        """Write a function of numbers."""
        if function == "cast":
            return self.typed(arguments[0])
        # a bound that is left out is None
        given = [x for x in arguments if not (isinstance(x, ast.Constant) and x.value is None)]
        names, dtype = self.alike(*given)
        if dtype.kind != "f" and function not in ("abs", "max", "min"):
            names = [self.writer.cast(name, dtype, self.dtype) for name in names]
            dtype = self.dtype
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
