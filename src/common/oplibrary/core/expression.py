"""The scalar expression of an elementwise op: a text that is parsed once, into a tree.

An author writes it as one line of Python, ``{0}`` for an operand and ``{name}`` for an attribute.
Who makes something of it (code, a count, another format) folds the tree; how it was spelled is
forgotten.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from oplibrary.values.keys import exact_key

T = TypeVar("T")

OPERAND, ATTRIBUTE, CONSTANT = "{operand}", "{attribute}", "{constant}"
"""The operators of leaves, which no text can spell."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Expression:
    """A tree of operators; equal to another one where they compute the same in the same way.

    Parameters
    ----------
    operator : str
        The name of an operator or function, such as ``"add"``, ``"where"`` or ``"exp"``, or what
        kind of a leaf it is.
    operands : tuple of Expression
    value : object
        Of a leaf: the position of the operand, the name of the attribute, or the number.
    """

    operator: str
    operands: tuple[Expression, ...] = ()
    value: Any = None
    _key: tuple[Any, ...] = field(init=False, compare=False)
    _hash: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        key = (self.operator, exact_key(self.value), self.operands)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Expression) and self._hash == other._hash and self._key == other._key
        )

    def __repr__(self) -> str:
        """Return the tree as calls of its operators; parsed, it is this tree again."""

        def call(operator: str, operands: Sequence[str]) -> str:
            return f"{operator}({', '.join(operands)})"

        def leaf(value: Any) -> str:
            return f"{{{value}}}"

        return self.fold(leaf, repr, call, leaf)

    def fold(
        self,
        operand: Callable[[int], T],
        constant: Callable[[Any], T],
        operation: Callable[[str, Sequence[T]], T],
        attribute: Callable[[str], T] | None = None,
    ) -> T:
        """Return what the tree comes to, computed from its leaves upward.

        Parameters
        ----------
        operand : callable
            ``operand(position)`` is what an operand comes to.
        constant : callable
            ``constant(number)`` is what a number comes to, or None or a complex number.
        operation : callable
            ``operation(operator, operands)`` is what an operator makes of those.
        attribute : callable, optional
            ``attribute(name)``; not needed for a tree whose attributes were put in.
        """
        if self.operands:
            below = [each.fold(operand, constant, operation, attribute) for each in self.operands]
            return operation(self.operator, below)
        if self.operator is OPERAND:
            return operand(self.value)
        if self.operator is CONSTANT:
            return constant(self.value)
        assert attribute is not None, f"{self} has attributes: bind them first"
        return attribute(self.value)

    def leaves(self) -> Iterable[Expression]:
        """Yield every leaf, from left to right."""
        if not self.operands:
            yield self
        for each in self.operands:
            yield from each.leaves()

    def operators(self) -> set[str]:
        """Return the names of all operators and functions."""
        found = {self.operator} if self.operands else set()
        return found.union(*[each.operators() for each in self.operands])

    def bind(self, attrs: Mapping[str, Any]) -> Expression:
        """Return the tree with the numbers that attributes are in their places."""
        if all(leaf.operator is not ATTRIBUTE for leaf in self.leaves()):
            return self
        return self.fold(_operand, _constant, _operation, lambda name: _constant(attrs[name]))


def _operand(position: int) -> Expression:
    return Expression(OPERAND, value=position)


def _constant(value: Any) -> Expression:
    return Expression(CONSTANT, value=value.item() if isinstance(value, np.generic) else value)


def _is_constant(expression: Expression) -> bool:
    return expression.operator is CONSTANT


def _operation(operator: str, operands: Sequence[Expression]) -> Expression:
    if operator in ("min", "max"):  # None is a bound that is absent
        operands = [each for each in operands if each != _ABSENT] or operands
        if len(operands) == 1:
            return operands[0]
    if operator == "equal" and _ABSENT in operands and all(map(_is_constant, operands)):
        return _constant(operands[0] == operands[1])
    if operator == "where" and type(operands[0].value) is bool:
        return operands[1 if operands[0].value else 2]
    if operator == "negative" and operands[0].operator is CONSTANT:
        number = operands[0].value
        if isinstance(number, (int, float)):
            return _constant(-number)
    return Expression(operator, tuple(operands))


_ABSENT = _constant(None)
_UNARY = {
    ast.USub: "negative",
    ast.UAdd: "positive",
    ast.Invert: "bitwise_invert",
    ast.Not: "logical_not",
}
_BINARY = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "power",
    ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor",
    ast.LShift: "left_shift",
    ast.RShift: "right_shift",
}
_BOOLEAN = {ast.And: "logical_and", ast.Or: "logical_or"}
_COMPARISONS = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
COMPARISONS = frozenset(_COMPARISONS.values())
"""The operators whose result is a truth value, whatever they compare."""
BINARY = frozenset({*_BINARY.values(), *COMPARISONS})
"""The operators of two operands."""
_COUNTS = {
    **dict.fromkeys(_UNARY.values(), 1),
    **dict.fromkeys(BINARY, 2),
    **dict.fromkeys(("cast", "real", "imag", "conj", "abs", "sqrt"), 1),
    **dict.fromkeys(("floor", "ceil", "trunc", "round"), 1),
    **dict.fromkeys(("signbit", "spacing", "mantissa", "exponent", "bitwise_count", "cbrt"), 1),
    **dict.fromkeys(("copysign", "nextafter", "ldexp", "fmod", "gcd", "lcm", "complex"), 2),
    "where": 3,
}
_NUMBERS = {"inf": math.inf, "nan": math.nan, "pi": math.pi}
_PLACE = re.compile(r"\{(\w+)\}")
_PREFIX = "_place_of_"


def parse_expression(text: str) -> Expression:
    """Return the tree of a scalar expression.

    Raises
    ------
    ValueError
        If it is not one; the message says why.

    Examples
    --------
    >>> parse_expression("1/(1 + exp(-{0}))")
    divide(1, add(1, exp(negative({0}))))
    >>> parse_expression("({0}+{1})") == parse_expression("{0} + {1}")
    True
    """
    try:
        tree = ast.parse(_PLACE.sub(rf"{_PREFIX}\1", text), mode="eval").body
    except SyntaxError as error:
        raise ValueError(error.msg) from None
    return _parse(tree)


def _parse(tree: ast.expr) -> Expression:
    match tree:
        case ast.Constant(value=int() | float() | None as value):
            return _constant(value)
        case ast.Name(id=name):
            return _leaf(name)
        case ast.UnaryOp():
            return _operation(_UNARY[type(tree.op)], [_parse(tree.operand)])
        case ast.BinOp() if type(tree.op) in _BINARY:
            return _operation(_BINARY[type(tree.op)], [_parse(tree.left), _parse(tree.right)])
        case ast.BoolOp():
            return _operation(_BOOLEAN[type(tree.op)], list(map(_parse, tree.values)))
        case ast.Compare(ops=[relation]) if type(relation) in _COMPARISONS:
            operands = [_parse(tree.left), _parse(tree.comparators[0])]
            return _operation(_COMPARISONS[type(relation)], operands)
        case ast.IfExp():
            return _operation("where", [_parse(tree.test), _parse(tree.body), _parse(tree.orelse)])
        case ast.Call(func=ast.Name(id=name), args=[_, *_], keywords=[]):
            count = _COUNTS.get(name, len(tree.args))
            if count != len(tree.args):
                raise ValueError(f"{name} takes {count} operands, not {len(tree.args)}")
            return _operation(name, list(map(_parse, tree.args)))
    shown = ast.unparse(tree).replace(_PREFIX, "")
    raise ValueError(f"`{shown}` is no arithmetic of operands, attributes and numbers")


def _leaf(name: str) -> Expression:
    if name.startswith(_PREFIX):
        place = name.removeprefix(_PREFIX)
        return _operand(int(place)) if place.isdecimal() else Expression(ATTRIBUTE, value=place)
    if name not in _NUMBERS:
        raise ValueError(f"there is no number {name!r}; an attribute is written {{{name}}}")
    return _constant(_NUMBERS[name])
