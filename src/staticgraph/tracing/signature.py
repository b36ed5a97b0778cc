"""The signature of a call: what each argument is, and a quick test whether a call has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.values.keys import exact_key
from oplibrary.values.tree import LEAF, ExactKeys, Structure
from oplibrary.values.types import Array, TensorType
from staticgraph.backends.source import SourceWriter
from staticgraph.capture.guards import holds_the_same
from staticgraph.compiler.feeds import fits
from staticgraph.program.lengths import named_type
from staticgraph.program.polynomial import is_symbolic
from staticgraph.tracing.number_feeds import UNFIT, NumberFeeds
from staticgraph.tracing.trace import spec_type

PYTHON_NUMBERS: dict[type, np.dtype[Any]] = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
"""The dtype in which a Python number reaches the graph; there it acts as a Python number."""


class Static:
    """An argument that is part of the signature, as one leaf whatever it holds."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _is_like(type: TensorType | None, spec: TensorType) -> bool:
    return type is not None and type.dtype == spec.dtype and fits(type.shape, spec.shape)


class Slot:
    """What one leaf of the arguments is: an array, a Python number, or static.

    Parameters
    ----------
    leaf : object
    spec : TensorType, optional
        With symbolic dimensions; what an array is that fits it.

    Attributes
    ----------
    type : TensorType or None
        Of the input; None for a static leaf.
    weak : type or None
        The Python type of a number.
    value : object
        Of a static leaf.
    """

    __slots__ = ("type", "value", "weak")

    def __init__(self, leaf: Any, spec: TensorType | None = None) -> None:
        kind = type(leaf)
        self.weak = kind if kind in PYTHON_NUMBERS else None
        self.type = TensorType((), PYTHON_NUMBERS[kind]) if self.weak else None
        self.value = None
        if kind is Static:
            self.value = leaf.value
        elif not self.weak:
            self.type = spec_type(leaf)
            self.value = leaf if self.type is None else None
        if spec is not None and not self.weak and _is_like(self.type, spec):
            self.type = spec

    @property
    def key(self) -> Any:
        """What tells this slot from others; it can be hashed if a static value can."""
        return self.weak or self.type or _StaticKey(self.value)

    @property
    def hashable(self) -> bool:
        """Whether the key can be hashed, and so can a static value, so that it stays what it is."""
        try:
            hash(self.key)
            hash(self.value)
        except TypeError:
            return False
        return True

    def describe(self, name: str) -> str:
        """Return the slot as the report shows it."""
        if self.type is None:
            return f"{name}={self.value!r} (static)"
        return f"{name}: {self.weak.__name__ if self.weak else named_type(self.type)}"


class _StaticKey:
    """A static value, equal to another that is equal to it and whose attributes are the same."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.key = exact_key(value)
        self.value = value

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _StaticKey):
            return False
        one, another = self.value, other.value
        return one is another or (self.key == other.key and holds_the_same(one, another))


Match = Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[Array, ...] | None]


def matcher(structure: Structure, slots: Sequence[Slot], numbers: NumberFeeds) -> Match:
    """Return a test for calls of one signature, as quick as one written by hand.

    Parameters
    ----------
    structure : structure
        Of ``(args, kwargs)``.
    slots : sequence of Slot
        For each leaf.
    numbers : NumberFeeds
        What Python numbers are converted to.

    Returns
    -------
    callable
        ``match(args, kwargs)`` returns the arrays to pass on, or None if the call is of another
        signature, or cannot be told quickly to be of this one.
    """
    writer = SourceWriter("match")
    for name in ("match", "args", "kwargs"):
        writer.new_name(name)
    for name, thing in {"ndarray": np.ndarray, "asarray": np.asarray}.items():
        writer.bind(thing, name)
    _, _, (args, kwargs) = structure
    leaves = iter(slots)
    names: list[str] = []
    with writer.block("def match(args, kwargs):"), writer.block("try:"):
        _match_children(writer, "args", args, leaves, names)
        _match_children(writer, "kwargs", kwargs, leaves, names)
        arrays = [name for name, slot in zip(names, slots) if slot.type and not slot.weak]
        passed = [*arrays, *numbers.write(writer, dict(enumerate(names)))]
        writer.line(f"return ({', '.join(passed)}{',' if passed else ''})")
    writer.bind((KeyError, *UNFIT), "other")  # a dict of as many keys, but not of these
    writer.line("    except other:")
    writer.line("        return None")
    match: Match = writer.define("match")
    return match


def _match(
    writer: SourceWriter, name: str, structure: Structure, leaves: Any, names: list[str]
) -> None:
    """Write the test that the value called `name` has that structure and these leaves."""
    if structure is LEAF:
        names.append(name)
        _match_leaf(writer, name, next(leaves))
    elif structure is None:
        _refuse_if(writer, f"{name} is not None")
    else:
        _refuse_if(writer, f"type({name}) is not {writer.bind(structure[0], 'kind')}")
        _match_children(writer, name, structure, leaves, names)


def _match_children(
    writer: SourceWriter, name: str, structure: Structure, leaves: Any, names: list[str]
) -> None:
    kind, keys, children = structure
    _refuse_if(writer, f"len({name}) != {len(children)}")
    by_key = keys is not None and not issubclass(kind, tuple)
    if isinstance(keys, ExactKeys):  # a key may be found by an equal one, such as 1 by True
        _refuse_if(
            writer, f"{writer.bind(ExactKeys, 'keys_of')}({name}) != {writer.bind(keys, 'keys')}"
        )
    elif by_key and len(children) > 1:  # a function may loop over its items
        _refuse_if(writer, f"(*{name},) != {writer.bind(tuple(keys), 'keys')}")
    for position, child in enumerate(children):
        key = writer.literal(keys[position]) if by_key else repr(position)
        inner = writer.new_name("x")
        writer.line(f"{inner} = {name}[{key}]")
        _match(writer, inner, child, leaves, names)


def _match_leaf(writer: SourceWriter, name: str, slot: Slot) -> None:
    if slot.type is None:
        _refuse_if(writer, f"{name} is not {writer.bind(slot.value, 'static')}")
        return
    if slot.weak is not None:
        _refuse_if(writer, f"type({name}) is not {writer.bind(slot.weak, 'kind')}")
        return
    shape = writer.bind(slot.type.shape, "shape")
    differs = f"{name}.shape != {shape}"
    if is_symbolic(slot.type.shape):
        differs = f"not {writer.bind(fits, 'fits')}({name}.shape, {shape})"
    dtype = writer.dtype(slot.type.dtype)
    _refuse_if(writer, f"type({name}) is not ndarray or {name}.dtype is not {dtype} or {differs}")


def _refuse_if(writer: SourceWriter, test: str) -> None:
    writer.line(f"if {test}: return None")
