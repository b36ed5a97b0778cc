"""Expressions: the text of a scalar expression as a syntax tree, and what it costs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=4096)
def parse(expression: str, attrs: tuple[tuple[str, Any], ...]) -> ast.expr:
    """Return the syntax tree of a scalar expression, operands named ``_0``, ``_1`` and so on."""
    values = {name: repr(value) for name, value in attrs}
    text = expression.format(*(f"_{i}" for i in range(10)), **values)
    return ast.parse(text, mode="eval").body


def numeric_attrs(attrs: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the attributes that may stand in an expression: numbers and None."""
    return tuple(
        (name, value.item() if isinstance(value, np.generic) else value)
        for name, value in attrs.items()
        if value is None or isinstance(value, (int, float, np.generic))
    )


_COSTS = {"sqrt": 4, "abs": 1, "min": 1, "max": 2, "floor": 1, "ceil": 1, "trunc": 1, "round": 1}
_FREE = frozenset({"cast", "real", "imag", "conj"})


@lru_cache(maxsize=4096)
def expression_cost(expression: str, attrs: tuple[tuple[str, Any], ...]) -> int:
    """Return about how many additions an expression takes as long as."""
    cost = 0
    for node in ast.walk(parse(expression, attrs)):
        if isinstance(node, ast.BinOp):
            division = isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod))
            cost += 4 if division else 25 if isinstance(node.op, ast.Pow) else 1
        elif isinstance(node, (ast.Compare, ast.IfExp, ast.UnaryOp)):
            cost += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            cost += 0 if node.func.id in _FREE else _COSTS.get(node.func.id, 12)
    return cost
