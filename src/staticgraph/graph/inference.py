"""Types of declared ops: every combination of an op and its operands' types is inferred once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.core.refusals import BEYOND_INDICES, beyond_memory, is_beyond_memory, refused
from oplibrary.messages.errors import ArgumentError, ShapeError, SideBySideError, SymbolicValueError
from oplibrary.values.keys import exact_key
from oplibrary.values.types import TensorType
from staticgraph.graph.node import Node
from staticgraph.program.lengths import named_type
from staticgraph.program.polynomial import (
    bounded,
    evaluated,
    is_lost,
    is_symbolic,
    named_text,
    samples,
    symbols_in,
)


def infer(op: Op, types: tuple[TensorType, ...], attrs: Mapping[str, Any]) -> TensorType:
    """Return the type of the result, or raise the error of the op's rule with the op's name."""
    try:
        return op.infer(*types, **attrs)
    except SideBySideError as error:
        error.what, error.cause = named_text(error.what), named_text(error.cause)
        error.fix = named_text(error.fix)
        raise error.with_context(op.name) from None
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        if type(error) in OF_STAND_INS and any(is_symbolic(x.shape) for x in types):
            raise takes_a_number(op.name) from None
        raise refused(op, types, error) from None


OF_STAND_INS = (OverflowError, ValueError)
"""What Python and NumPy raise where a length that is not known is taken for a number."""


def takes_a_number(name: str) -> SymbolicValueError:
    """Return the error of what asks for the number of a length that is not known."""
    return SymbolicValueError(
        f"{name} takes a length for a number that is known, and it is symbolic",
        cause="one program is compiled for all lengths, and each run has its own",
        fix="write the number if the length is always the same; or let sg.function trace each "
        "length",
    )


class TypeTable:
    """The types of one graph: equal types are one object, and inferred types are remembered.

    A rule costs some microseconds, and a graph repeats few combinations many times.
    """

    def __init__(self) -> None:
        self._types: dict[TensorType, TensorType] = {}
        self._inferred: dict[Any, TensorType] = {}

    def intern(self, type: TensorType) -> TensorType:
        """Return the one object that stands for types equal to `type`."""
        known = self._types.get(type)
        if known is None:
            known = self._types[type] = named_type(type)
        return known

    def infer(self, op: Op, operands: tuple[Node, ...], attrs: Mapping[str, Any]) -> TensorType:
        """Return the type of the result of `op` on operands whose types are interned here."""
        key: Any
        # an interned type lives as long as this table, so its id tells it apart
        if attrs:
            key = (op, exact_key(attrs), *[id(x.type) for x in operands])
        else:
            key = (op, *[id(x.type) for x in operands])
        try:
            known = self._inferred.get(key)
        except TypeError:  # an attribute that cannot be hashed
            known = key = None
        if known is None:
            for name, value in attrs.items():
                _check_attribute(op, name, value)
            types = tuple([x.type for x in operands])
            if any(is_symbolic(t.shape) for t in types):
                _refuse_quotients(op, types, attrs)
            known = infer(op, types, attrs)
            known = self.intern(known)
            _require_for_all_lengths(op, types, attrs, known)
            _refuse_beyond_index(op, types, attrs, known)
            if key is not None:
                self._inferred[key] = known
        return known


def _refuse_quotients(op: Op, types: tuple[TensorType, ...], attrs: Mapping[str, Any]) -> None:
    """Refuse an attribute that a division of a length has left: it stands for no length.

    Raises
    ------
    SymbolicValueError
    """
    for name, value in attrs.items():
        for each in value if isinstance(value, tuple) else (value,):
            if type(each) is int and is_lost(each):
                listing = ", ".join(map(repr, map(named_type, types)))
                raise SymbolicValueError(
                    f"{op.name}({listing}): {name} follows from a length by a division",
                    cause="one program is compiled for all lengths, and the quotient is no "
                    "polynomial in them",
                    fix="declare the axis as a multiple, 2 * dim('half'), where it is divided; or "
                    "let sg.function trace each length",
                )


def _refuse_beyond_index(
    op: Op, types: tuple[TensorType, ...], attrs: Mapping[str, Any], result: TensorType
) -> None:
    """Refuse lengths and positions that no kernel can count with, as it would when it runs.

    Raises
    ------
    OutOfMemoryError
        If it is the result that is too large.
    ArgumentError
        If it is an argument.
    """
    if not (isinstance(result, TensorType) and is_symbolic(result.shape)) and is_beyond_memory(
        result
    ):
        raise beyond_memory(op, types, result)
    counts = [value for name, value in attrs.items() if type(op.attrs.get(name)) is int]
    for value in attrs.values():
        if type(value) is tuple:
            counts += value
    for count in counts:
        if type(count) is int and abs(count) >= BEYOND_INDICES and not is_symbolic(count):
            raise refused(op, types, OverflowError(f"{count} is more than 64 bits hold"))


def _require_for_all_lengths(
    op: Op, types: tuple[TensorType, ...], attrs: Mapping[str, Any], result: TensorType
) -> None:
    """Refuse an op whose result has not the same type, but for the lengths, whatever they are.

    Raises
    ------
    ShapeError
        With a length for which it is another one.
    """
    values = tuple(attrs.values())
    if op.kind is Kind.CONTROL:  # its regions were looked at when they were declared
        return
    if not (is_symbolic(values) or any(is_symbolic(x.shape) for x in (*types, result))):
        return
    found = {symbol for each in (values, *[x.shape for x in types]) for symbol in symbols_in(each)}
    for lengths in samples(found):
        numbered = {name: evaluated(value, lengths) for name, value in attrs.items()}
        operands = [TensorType(evaluated(tuple(x.shape), lengths), x.dtype) for x in types]
        try:
            expected = evaluated(tuple(result.shape), lengths)
        except KeyError:  # read back as one of lengths that have no part in it
            expected = None
        try:
            shape = op.infer(*operands, **numbered).shape
        except SideBySideError as error:
            raise _not_for_all(op, types, lengths, error.what) from None
        if shape != expected:
            what = f"the result has the shape {shape}, which does not follow from that length"
            raise _not_for_all(op, types, lengths, what)


def _not_for_all(
    op: Op, types: tuple[TensorType, ...], lengths: Mapping[str, int], what: str
) -> ShapeError:
    given = ", ".join(f"{name} {n}" for name, n in lengths.items())
    listing = ", ".join(map(repr, map(named_type, types)))
    bounds = ", ".join(bounded(name, n + 1) for name, n in lengths.items())
    return ShapeError(
        f"{op.name}({listing}) does not hold for every length: with {given} {what}",
        cause="one program is compiled for all lengths, and its shapes follow from them by sums "
        "and products",
        fix=f"bound the lengths, {bounds}; declare an axis as a multiple, 2 * dim('half'), where "
        "it is divided; or let sg.function trace each length",
    )


def _check_attribute(op: Op, name: str, value: Any) -> None:
    symbolic = value
    if isinstance(value, (tuple, list)):
        symbolic = next((each for each in value if isinstance(each, Node)), None)
    if not isinstance(symbolic, Node):
        return
    # what would fit in no mode is the same mistake in both
    number = symbolic in symbolic.graph.weak or symbolic.dtype.kind in "iu"
    kind = SymbolicValueError if number and not symbolic.shape else ArgumentError
    raise kind(
        f"{op.name}: {name} is {symbolic!r}, a value of the graph",
        cause=f"{name} shapes the graph itself, so it must be known while it is declared",
        fix=f"pass {name} as a static Python argument (static_argnums of sg.function), or take "
        "it from x.shape",
        related=((f"{symbolic.name} declared", symbolic.source),),
    )
