"""The program that a reader makes: steps in order, each an entry of a table with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oplibrary.messages.errors import (
    ForeignProgramError,
    SideBySideError,
    UnsupportedOpError,
)
from oplibrary.messages.source import Source
from staticgraph.graph.graph import current_graph
from staticgraph.importing.shared.table import Entry

MOST_FOLDED = 1 << 16
"""Elements of a constant that is computed when a program is read; larger ones are computed in each
run, so that a program does not grow by them."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands among a step's arguments for a value of the program."""

    name: str


class Several:
    """The results of a step that are computed when they are asked for.

    Sources give, beside the result, what their own gradients read; here nothing reads it, and it
    should not be declared.
    """

    def __init__(self, *makers: Callable[[], Any]) -> None:
        self._makers = makers
        self._made: dict[int, Any] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self._made:
            self._made[index] = self._makers[index]()
        return self._made[index]


@dataclass(slots=True)
class Step:
    """One operation of the source.

    Attributes
    ----------
    label : str
        What the source calls the operation.
    entry : Entry
        What runs it.
    names : tuple of str
        What its result is called, or each of its results if there are `several`; one that nothing
        reads has no name.
    args, kwargs
        Trees in which a `Ref` stands for a value, and a `Block` for a function.
    line : Source or None
        The user's.
    dtypes : tuple
        The dtype of each result in the source; None where it is no array.
    key : str
        What random numbers of this step are called; empty if it draws none.
    """

    label: str
    entry: Entry
    names: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    line: Source | None = None
    dtypes: tuple[Any, ...] = ()
    several: bool = False
    key: str = ""


Draw = Callable[[str, Callable[[Any], Any]], Any]
"""Gives the random numbers of a step: its key's name, and what makes them of a key."""


def no_draw(name: str, make: Callable[[Any], Any]) -> Any:
    """Refuse a random number, for programs that draw none."""
    raise AssertionError(name)


@dataclass(slots=True)
class Block:
    """A function of the source: inputs by name, steps, and a tree of results.

    Attributes
    ----------
    inputs : tuple of str
    steps : list of Step
    outputs : tree
        With a `Ref` for each value.
    constants : dict of str to array
        Values that are known.
    captured : tuple of str
        Values of the block around it, which are its first inputs.
    """

    inputs: tuple[str, ...]
    steps: list[Step]
    outputs: Any
    constants: dict[str, Any] = field(default_factory=dict)
    captured: tuple[str, ...] = ()

    def run(self, xp: Any, values: Sequence[Any], draw: Draw = no_draw) -> Any:
        """Return the results of the steps, run by the namespace `xp` on `values`."""
        found: dict[str, Any] = {**self.constants, **dict(zip(self.inputs, values, strict=True))}
        for step in self.steps:
            with _at(step):
                self._run_step(xp, step, found, draw)
        return resolve(xp, self.outputs, found, draw)

    def _run_step(self, xp: Any, step: Step, found: dict[str, Any], draw: Draw) -> None:
        args = resolve(xp, step.args, found, draw)
        kwargs = resolve(xp, step.kwargs, found, draw)
        if step.key:
            kwargs["draw"] = lambda make: draw(step.key, make)
        result = step.entry.function(xp, *args, **kwargs)
        results = result if step.several else (result,)
        for i, name in enumerate(step.names):
            if not name:
                continue
            dtype = step.dtypes[i] if step.dtypes else None
            found[name] = _as(xp, results[i], dtype)

    def drawing(self) -> Iterator[tuple[str, Step]]:
        """Yield what draws random numbers, by the name of its key, in nested blocks, too."""
        for step in self.steps:
            if step.key:
                yield step.key, step
            for block in blocks((step.args, step.kwargs)):
                yield from block.drawing()


class _at:
    """Give the nodes that a step declares, and the errors that it raises, the line of its user."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __enter__(self) -> None:
        self.graph = current_graph()
        if self.graph is not None:
            self.outer, self.graph.line = self.graph.line, self.step.line or self.graph.line

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.graph is not None:
            self.graph.line = self.outer
        if isinstance(error, (TypeError, LookupError, AttributeError)) and not isinstance(
            error, SideBySideError
        ):
            raise UnsupportedOpError(
                f"{self.step.label}: these arguments are not supported: {error}",
                source=self.step.line,
            ) from error
        if isinstance(error, SideBySideError) and not hasattr(error, "of_step"):
            error.with_context(self.step.label)
            error.source = self.step.line or error.source
            error.of_step = self.step.label  # type: ignore[attr-defined]


def _as(xp: Any, value: Any, dtype: Any) -> Any:
    """Return a result in the dtype that the source has, where the library's rule is another."""
    if dtype is None or getattr(value, "dtype", dtype) == dtype:
        return value
    if isinstance(value, np.ndarray):  # and stays one that is known
        return value.astype(dtype)
    return xp.astype(value, dtype)


def resolve(xp: Any, tree: Any, found: Mapping[str, Any], draw: Draw) -> Any:
    """Return `tree` with values in place of references and functions in place of blocks."""
    if isinstance(tree, Ref):
        return found[tree.name]
    if isinstance(tree, Block):
        around = [found[name] for name in tree.captured]
        return lambda *values: tree.run(xp, [*around, *values], draw)
    if type(tree) in (tuple, list):  # and no named tuple, which is an argument of its own
        return type(tree)([resolve(xp, each, found, draw) for each in tree])
    if isinstance(tree, dict):
        return {name: resolve(xp, each, found, draw) for name, each in tree.items()}
    return tree


def refs(tree: Any) -> Iterator[str]:
    """Yield the names of the values that a tree reads."""
    if isinstance(tree, Ref):
        yield tree.name
    elif isinstance(tree, Block):
        yield from tree.captured
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from refs(each)
    elif isinstance(tree, dict):
        yield from refs(list(tree.values()))


def blocks(tree: Any) -> Iterator[Block]:
    """Yield the blocks in a tree."""
    if isinstance(tree, Block):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from blocks(each)
    elif isinstance(tree, dict):
        yield from blocks(list(tree.values()))


def simplified(block: Block, arrays: Any) -> Block:
    """Return `block` without steps that nothing reads, and with constants computed.

    Parameters
    ----------
    block : Block
    arrays : namespace
        Runs steps on arrays at once.
    """
    wanted = set(refs(block.outputs))
    kept = []
    for step in reversed(block.steps):
        if wanted.intersection(step.names):
            wanted.update(refs((step.args, step.kwargs)))
            kept.append(step)
    steps = []
    found = {name: value for name, value in block.constants.items() if name in wanted}
    for step in reversed(kept):
        inner = any(True for _ in blocks((step.args, step.kwargs)))
        known = found.keys() >= set(refs((step.args, step.kwargs)))
        if known and not (inner or step.key) and _folds(arrays, step, found):
            continue
        steps.append(step)
    read = {*refs(block.outputs), *(n for s in steps for n in refs((s.args, s.kwargs)))}
    constants = {name: value for name, value in found.items() if name in read}
    for step in steps:
        if step.several:
            step.names = tuple([name if name in read else "" for name in step.names])
    return Block(block.inputs, steps, block.outputs, constants)


def _folds(arrays: Any, step: Step, found: dict[str, Any]) -> bool:
    """Compute a step of constants into `found`, unless its results are large."""
    made: dict[str, Any] = dict(found)
    try:
        with np.errstate(all="ignore"):  # as in a run
            Block((), [], None)._run_step(arrays, step, made, no_draw)
    except Exception:  # the run says what is wrong, and where
        return False
    results = {name: made[name] for name in step.names if name}
    if any(np.size(value) > MOST_FOLDED for value in results.values() if not _lazy(value)):
        return False
    found.update(results)
    return True


def _lazy(value: Any) -> bool:
    return isinstance(value, (Several, tuple, list))


def unsupported(
    label: str, line: Source | None, rewriting: str = "", cause: str = ""
) -> UnsupportedOpError:
    """Return the error of an operation that no table has."""
    return UnsupportedOpError(
        f"{label} is not in the table of operations that are read",
        source=line,
        cause=cause,
        fix=rewriting,
    )


def not_given(reader: str, name: str, reason: str, line: Source | None) -> ForeignProgramError:
    """Return the error of a program that its own library does not give."""
    return ForeignProgramError(
        f"{reader} refuses {name}: {reason}",
        cause=f"a program is read as {reader} gives it",
        fix=f"correct what {reader} names, or import a part that it accepts",
        source=line,
    )
