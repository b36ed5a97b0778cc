"""Bound: a program with its inputs and outputs in memory that stays the same from call to call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from oplibrary.messages.errors import BindingError, PicklingError, out_of_memory
from oplibrary.values.memory import aligned_array
from oplibrary.values.tree import LEAF, Structure, flatten_like, leaf_paths, unflatten
from oplibrary.values.types import Array, TensorType
from staticgraph.backends.backend import Runner
from staticgraph.backends.turns import in_turns
from staticgraph.compiler.feeds import Feed, convert_feeds
from staticgraph.compiler.run_lengths import lengths_reader
from staticgraph.program.lengths import program_is_symbolic, type_at
from staticgraph.program.program import Program


class Bound(partial[Any]):
    """A program that is bound to arrays: called with nothing, it reads and overwrites them.

    Made by `Executable.bind` and `StaticFunction.bind`. Threads that call it take turns, and see
    one set of outputs. After an error, what the outputs hold is not defined.

    Attributes
    ----------
    inputs : dict of str to numpy.ndarray
        What each call reads, in place.
    outputs : numpy.ndarray, or a tree of them
        What each call overwrites and returns, the same objects each time.
    """

    # a partial, since of all objects that have attributes it is the one that is called quickest
    inputs: dict[str, Array]
    outputs: Any

    def __init__(self, run: Callable[[], Any], inputs: Mapping[str, Array], outputs: Any) -> None:
        self.inputs = dict(inputs)
        self.outputs = outputs

    def __new__(cls, run: Callable[[], Any], *rest: Any) -> Bound:  # noqa: D102
        return super().__new__(cls, run)

    def __reduce__(self) -> NoReturn:
        raise PicklingError(
            "a bound program cannot be pickled or copied",
            cause="it is made of addresses in the memory of this process",
            fix="pickle the executable and the arrays, and bind it to them at the other end",
        )

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__reduce__()

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {_type_of(x)}" for name, x in self.inputs.items())
        return f"<Bound ({inputs})>"


def bind_program(
    runner: Runner,
    program: Program,
    feeds: Sequence[Feed],
    structure: Structure,
    arrays: Sequence[Any],
    named: Mapping[str, Any],
    out: Any,
) -> Bound:
    """Return a program bound to arrays; `Executable.bind` says how.

    Parameters
    ----------
    runner : Runner
        Of the program.
    program : Program
    feeds : sequence of Feed
        Its inputs.
    structure : structure
        Of its outputs.
    arrays, named
        What a call would be passed.
    out : array, or a tree of them, or None
    """
    inputs = _in_place(feeds, arrays, named)
    types = [value.type for value in program.outputs]
    if program_is_symbolic(program):
        lengths = lengths_reader(program, feeds)(inputs)
        types = [type_at(type_, lengths) for type_ in types]
    if out is None:
        outputs = [_allocated(type_) for type_ in types]
    else:
        outputs = _given(structure, out, types)
    names = leaf_paths(structure, "out")
    _refuse_overlaps([feed.name for feed in feeds], inputs, names, outputs)
    result = unflatten(structure, outputs)
    plain = [np.asarray(x) for x in outputs]  # of a subclass, such as a file's memory
    run = None if runner.bind is None else runner.bind(inputs, plain, result)
    if run is None:
        run = _copied(runner, inputs, plain, result)
    return Bound(run, dict(zip([feed.name for feed in feeds], inputs, strict=True)), result)


def _copied(
    runner: Runner, inputs: Sequence[Array], outputs: Sequence[Array], result: Any
) -> Callable[[], Any]:
    """Return what runs as any call does, and copies the results into the outputs."""

    def run() -> Any:
        try:
            found = runner.call(*inputs)
        except MemoryError as error:
            raise out_of_memory(error, "a run of the program") from None
        for output, array in zip(outputs, found, strict=True):
            np.copyto(output, array)
        return result

    return in_turns(run)


# inputs -------------------------------------------------------------------------------------------


def _in_place(
    feeds: Sequence[Feed], arrays: Sequence[Any], named: Mapping[str, Any]
) -> list[Array]:
    """Return for each input an array in the memory of what was passed for it."""
    converted = convert_feeds(feeds, arrays, named)
    passed = {**{feed.name: x for feed, x in zip(feeds, arrays, strict=False)}, **named}
    for feed, array in zip(feeds, converted, strict=True):
        value = passed[feed.name]
        if isinstance(value, (int, float, complex, np.generic)):  # which nobody can change
            continue
        why = _why_copied(value, array)
        if why:
            raise BindingError(
                f"bind: input {feed.name!r} cannot be read in place: it {why}",
                cause="a bound program reads the memory of row-major arrays at each call, and a "
                "copy would not follow what is written there",
                fix=f"{feed.name} = np.require({feed.name}, '{feed.type.dtype}', 'CAE')",
                related=((f"{feed.name} declared", feed.source),),
            )
    return converted


def _why_copied(array: Any, converted: Array) -> str:
    """Return why `converted` is not in the memory of what was passed, or nothing."""
    if not isinstance(array, np.ndarray):
        return f"is a {type(array).__name__}"
    if isinstance(array, np.ma.MaskedArray):
        return "has a mask"
    if not array.size or _address(array) == _address(converted):
        return ""
    if not array.dtype.isnative:
        return "has its bytes in the other order"
    if not array.flags.aligned:
        return "is not aligned in memory"
    return f"is not row-major: its strides are {array.strides}"


# outputs ------------------------------------------------------------------------------------------


def _allocated(type_: TensorType) -> Array:
    return aligned_array(type_)


def _given(structure: Structure, out: Any, types: Sequence[TensorType]) -> list[Any]:
    """Return the arrays that the user passed for the outputs, if programs can write into them."""
    flat = structure is not None and structure is not LEAF and structure[0] in (list, tuple)
    if flat and isinstance(out, (list, tuple)):
        out = structure[0](out)  # either will do
    outputs = flatten_like(structure, out)
    for path, array, type_ in zip(leaf_paths(structure, "out"), outputs, types, strict=True):
        why = _why_not_written(array, type_)
        if why:
            raise BindingError(
                f"bind: {path} cannot be written in place: it {why}",
                cause=f"a bound program writes a row-major {type_} there at each call",
                fix=f"pass np.empty({type_.shape}, '{type_.dtype}')",
            )
    return outputs


def _why_not_written(array: Any, type_: TensorType) -> str:
    """Return why an output cannot be written into `array`, or nothing."""
    if not isinstance(array, np.ndarray):
        return f"is a {type(array).__name__}"
    if isinstance(array, np.ma.MaskedArray):
        return "has a mask"
    if array.shape != type_.shape or array.dtype != type_.dtype:
        return f"is {_type_of(array)}"
    if not array.flags.writeable:
        return "is read-only"
    if not array.flags.aligned:
        return "is not aligned in memory"
    if not array.flags.c_contiguous:
        return f"is not row-major: its strides are {array.strides}"
    return ""


def _refuse_overlaps(
    names: Sequence[str],
    inputs: Sequence[Array],
    output_names: Sequence[str],
    outputs: Sequence[Array],
) -> None:
    """Refuse outputs in memory that an input, or another output, is in."""
    spans = [(name, x, False) for name, x in zip(names, inputs, strict=True)]
    spans += [(name, x, True) for name, x in zip(output_names, outputs, strict=True)]
    placed = [(_address(x), _address(x) + x.nbytes, name, w) for name, x, w in spans if x.size]
    # the one so far that ends last, among all, and among those that are written
    last = last_written = (0, "")
    for start, end, name, written in sorted(placed):
        before = last if written else last_written
        if start < before[0]:
            raise BindingError(
                f"bind: {name} and {before[1]} overlap in memory",
                cause="a run would read, or write elsewhere, what it has overwritten",
                fix="pass arrays that are apart from them, or let the outputs be allocated",
            )
        last = max(last, (end, name))
        if written:
            last_written = max(last_written, (end, name))


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _type_of(array: Any) -> str:
    return str(TensorType(array.shape, array.dtype))
