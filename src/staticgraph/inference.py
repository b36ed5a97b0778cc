"""Types of declared ops: every combination of an op and its operands' types is inferred once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import ArgumentError, SideBySideError, SymbolicValueError
from common.op import Op
from common.types import TensorType
from staticgraph.node import Node


def infer(op: Op, types: tuple[TensorType, ...], attrs: Mapping[str, Any]) -> TensorType:
    """Return the type of the result, or raise the error of the op's rule with the op's name."""
    try:
        return op.infer(*types, **attrs)
    except SideBySideError as error:
        raise error.with_context(op.name) from None
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        listing = ", ".join(map(repr, types))
        raise ArgumentError(
            f"{op.name}({listing}): {error}",
            cause="the op's shape rule refused these operands",
            fix=f"the signature is {op.name}{op.signature}",
        ) from None


class TypeTable:
    """The types of one graph: equal types are one object, and inferred types are remembered.

    A rule costs some microseconds, and a graph repeats few combinations many times.
    """

    def __init__(self) -> None:
        self._types: dict[TensorType, TensorType] = {}
        self._inferred: dict[Any, TensorType] = {}

    def intern(self, type: TensorType) -> TensorType:
        """Return the one object that stands for types equal to `type`."""
        return self._types.setdefault(type, type)

    def infer(self, op: Op, operands: tuple[Node, ...], attrs: Mapping[str, Any]) -> TensorType:
        """Return the type of the result of `op` on operands whose types are interned here."""
        key: Any
        # an interned type lives as long as this table, so its id tells it apart
        if attrs:
            values = tuple(attrs.values())
            key = (op, values, *map(type, values), *[id(x.type) for x in operands])
        else:
            key = (op, *[id(x.type) for x in operands])
        try:
            known = self._inferred.get(key)
        except TypeError:  # an attribute that cannot be hashed, such as a slice
            known = key = None
        if known is None:
            for name, value in attrs.items():
                _check_attribute(op, name, value)
            known = self.intern(infer(op, tuple(x.type for x in operands), attrs))
            if key is not None:
                self._inferred[key] = known
        return known


def _check_attribute(op: Op, name: str, value: Any) -> None:
    symbolic = value
    if isinstance(value, (tuple, list)):
        symbolic = next((each for each in value if isinstance(each, Node)), None)
    if isinstance(symbolic, Node):
        raise SymbolicValueError(
            f"{op.name}: {name} is {symbolic!r}, a value of the graph",
            cause=f"{name} shapes the graph itself, so it must be known while it is declared",
            fix=f"pass {name} as a static Python argument (static_argnums of sg.function), or take "
            "it from x.shape",
            related=((f"{symbolic.name} declared", symbolic.source),),
        )
