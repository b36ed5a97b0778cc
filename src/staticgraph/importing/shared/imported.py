"""Imported: a program of another library as a graph, and as a function in either mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.values.tree import flatten
from oplibrary.values.types import TensorType
from staticgraph.declare.build import assign, placeholder, to_node, variable
from staticgraph.graph.dimension import dim
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.importing.shared.block import Block, Draw
from staticgraph.importing.shared.namespaces import DECLARING


@dataclass(frozen=True)
class Input:
    """An argument of the program: its name, its lengths (symbolic ones by name) and its dtype."""

    name: str
    shape: tuple[int | str, ...]
    dtype: Any


@dataclass(frozen=True)
class Difference:
    """How far a value was from the source's when the program was imported."""

    what: str
    error: float


@dataclass
class Signature:
    """What a reader found around a block.

    Attributes
    ----------
    parameters, buffers : dict of str to array
        By the names of the source; the block's first inputs.
    inputs : list of Input
        The rest of the block's inputs.
    updated : list of str
        The buffers whose next values are the block's first results.
    flat : callable
        ``flat(args, kwargs)`` returns the values of a call in the order of `inputs`.
    arranged : callable
        ``arranged(results)`` returns the results as the source arranges them.
    positional : int
        How many arguments of a call stand in their order; others are named.
    """

    parameters: dict[str, Any]
    buffers: dict[str, Any]
    inputs: list[Input]
    updated: list[str]
    flat: Callable[[tuple[Any, ...], dict[str, Any]], Sequence[Any]]
    arranged: Callable[[Sequence[Any]], Any]
    positional: int

    @property
    def called(self) -> list[str]:
        """The inputs' names, each with an underscore behind it where a value of the state has it.

        Sources keep both apart by where they stand, and a graph by their names.
        """
        taken = {*self.parameters, *self.buffers}
        names = []
        for each in self.inputs:
            name = each.name
            while name in taken:
                name += "_"
            taken.add(name)
            names.append(name)
        return names


@dataclass
class Imported:
    """A program of another library, checked against it.

    Attributes
    ----------
    source : str
        The library and what was read, such as ``"PyTorch: Net"``.
    parameters : dict of str to array
        By the names of the source; one that stands at several places has the first of its names.
    buffers : dict of str to array
        State that is no parameter, as it was when the program was imported.
    inputs : tuple of Input
    outputs : tuple of TensorType
    differences : list of Difference
        What the check at import found, in parts of the largest number of each value.
    """

    source: str
    block: Block
    signature: Signature
    notes: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    tied: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by the source's names."""
        return dict(self.signature.parameters)

    @property
    def buffers(self) -> dict[str, Any]:
        """The state that is no parameter, by the source's names."""
        return dict(self.signature.buffers)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arguments of the program."""
        return tuple(self.signature.inputs)

    @property
    def outputs(self) -> tuple[TensorType, ...]:
        """The types of the results, in their order."""
        return tuple([node.type for node in self.graph.outputs])

    @property
    def keys(self) -> tuple[str, ...]:
        """What draws random numbers, each from a key of its own."""
        return tuple([name for name, _ in self.block.drawing()])

    def function(
        self,
        xp: Any,
        parameters: Mapping[str, Any],
        *inputs: Any,
        buffers: Mapping[str, Any] | None = None,
        key: Any = None,
        **named: Any,
    ) -> Any:
        """Return the results on `inputs`, computed by the namespace `xp`.

        Parameters
        ----------
        xp : namespace
            ``dyngraph`` or ``staticgraph``.
        parameters : mapping of str to array
            Those of `parameters`, all of them.
        *inputs, **named
            Arranged as the arguments of the source.
        buffers : mapping of str to array, optional
            The state to start from; `buffers` if it is left out. With it the next state is
            returned, too.
        key : array, optional
            Where random numbers are drawn from; see ``random_key``. Needed if there are any.

        Returns
        -------
        tree, or (tree, dict of str to array)
            The results, arranged as in the source; with `buffers` also the next state.

        Raises
        ------
        ArgumentError
            If parameters are missing or unknown, or the inputs are arranged in another way.
        ShapeError
            If an input has another shape than the program was imported for.
        """
        values = list(self.signature.flat(inputs, named))
        for given, declared in zip(values, self.signature.inputs, strict=True):
            _require_fits(given, declared)
        state = self.signature.buffers if buffers is None else buffers
        drawn = self._drawn(xp, key)
        results, updated = self._results(xp, parameters, state, values, drawn)
        arranged = self.signature.arranged(results)
        return arranged if buffers is None else (arranged, {**state, **updated})

    def _drawn(self, xp: Any, key: Any) -> Draw:
        if not self.keys:
            return lambda name, make: make(None)
        if key is None:
            raise ArgumentError(
                f"{self.source} draws random numbers, but no key was passed",
                cause=f"these operations draw: {', '.join(self.keys)}",
                fix="pass key=sg.random_key(0)",
            )
        split = xp.random_split(xp.asarray(key), len(self.keys))
        position = {name: i for i, name in enumerate(self.keys)}
        return lambda name, make: make(split[position[name]])

    def _results(
        self,
        xp: Any,
        parameters: Mapping[str, Any],
        buffers: Mapping[str, Any],
        values: Sequence[Any],
        draw: Draw,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the results in their order, and the next state of the buffers that change."""
        given = [
            *_all_of("parameters", parameters, self.signature.parameters),
            *_all_of("buffers", buffers, self.signature.buffers),
            *values,
        ]
        results = [
            x
            if x is None or (hasattr(x, "shape") and not isinstance(x, np.ndarray))
            else xp.asarray(x)
            for x in self.block.run(xp, given, draw)
        ]
        updated = self.signature.updated
        return results[len(updated) :], dict(zip(updated, results, strict=False))

    def loss_with(self, loss: Callable[..., Any], xp: Any = None) -> Callable[..., Any]:
        """Return ``f(parameters, *inputs, *rest) = loss(results, *rest)``, to be differentiated.

        Parameters
        ----------
        loss : callable
            Gets the results as the source arranges them, and what follows the inputs.
        xp : namespace, optional
            ``staticgraph`` by default; ``dyngraph`` for tensors.
        """
        count = self.signature.positional

        def of_parameters(parameters: Mapping[str, Any], *args: Any, **named: Any) -> Any:
            results = self.function(xp or DECLARING, parameters, *args[:count], **named)
            return loss(results, *args[count:])

        return of_parameters

    @cached_property
    def graph(self) -> Graph:
        """The program, declared: variables for the state, placeholders for the inputs.

        Its outputs are the results in their order; `updates` makes a run leave the next state in
        the variables.
        """
        graph = Graph(name=self.source.rpartition(" ")[2])
        with graph:
            held = {
                name: variable(value, name=name)
                for name, value in {**self.signature.parameters, **self.signature.buffers}.items()
            }
            names = self.signature.called
            values = [
                placeholder(
                    name,
                    tuple([dim(n) if isinstance(n, str) else n for n in each.shape]),
                    each.dtype,
                )
                for name, each in zip(names, self.signature.inputs, strict=True)
            ]
            called = "random key" if "key" in {*held, *names} else "key"
            key = placeholder(called, (2,), "uint64") if self.keys else None
            results, updated = self._results(
                DECLARING,
                {name: held[name] for name in self.signature.parameters},
                {name: held[name] for name in self.signature.buffers},
                values,
                self._drawn(DECLARING, key),
            )
            graph.outputs = [to_node(graph, x) for x in results if x is not None]
            self._updates = {name: assign(held[name], value) for name, value in updated.items()}
        return graph

    @property
    def updates(self) -> dict[str, Node]:
        """What leaves the next state in the variables of `graph`, by the buffers' names."""
        assert self.graph is not None
        return dict(self._updates)

    def report(self) -> str:
        """Return what was imported and how near it is to its source, as text."""
        size = sum(int(np.size(value)) for value in self.signature.parameters.values())
        lines = [
            self.source,
            f"  {len(self.block.steps)} operations, {len(self.signature.parameters)} parameters "
            f"({size:,} numbers), {len(self.signature.buffers)} buffers",
        ]
        for each in self.signature.inputs:
            lengths = ",".join(map(str, each.shape))
            lines.append(f"  input {each.name}: {each.dtype}[{lengths}]")
        lines += [f"  {name} is {first}" for name, first in self.tied.items()]
        if self.signature.updated:
            lines.append(f"  the next state has {', '.join(self.signature.updated)}")
        lines += [f"  {name} draws from a key" for name in self.keys]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {each.what}: {each.error:.1e} from the source" for each in self.differences]
        return "\n".join(lines)


def _all_of(what: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> list[Any]:
    """Return the values of `given` in the order of `known`, whose names it must have."""
    missing = [name for name in known if name not in given]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        said = [f"{name} is missing" for name in missing[:3]]
        said += [f"{name} is unknown" for name in unknown[:3]]
        raise ArgumentError(
            f"the {what} are not those of the program: {', '.join(said)}",
            cause=f"it has {', '.join(known) or 'none'}",
            fix=f"pass {{**imported.{what}}} with other values, and no other names",
        )
    for name, value in known.items():
        shape = getattr(given[name], "shape", None)
        if shape is not None and tuple(shape) != np.shape(value):
            raise ShapeError(f"{name} has shape {tuple(shape)}, not {np.shape(value)}")
    return [given[name] for name in known]


def _require_fits(value: Any, declared: Input) -> None:
    shape = getattr(value, "shape", () if isinstance(value, (int, float, complex)) else None)
    if shape is None:  # a list, which becomes an array
        return
    fits = len(shape) == len(declared.shape) and all(
        isinstance(n, str) or not isinstance(m, int) or n == m
        for n, m in zip(declared.shape, shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"the input {declared.name} has shape {tuple(shape)}, and the program was imported for "
            f"({', '.join(map(str, declared.shape))})",
            cause="the source's program holds for the shapes of the example inputs",
            fix=f'import it with dynamic={{"{declared.name}": {{0: "batch"}}}} to let it change',
        )


def require_same(source: str, name: str, given: Any, known: Any) -> None:
    """Refuse another value of an argument that belongs to the program, as it is no array there.

    Raises
    ------
    ArgumentError
        If `given` is not what the program was imported with, `known`.
    """
    if given is known:
        return
    if hasattr(given, "shape") or type(given) is not type(known) or given != known:
        shown = (
            f"an array of shape {tuple(given.shape)}" if hasattr(given, "shape") else repr(given)
        )
        raise ArgumentError(
            f"{source}: the argument {name} is {shown}",
            cause=f"the program was imported with {name}={known!r}, which is a part of it",
            fix=f"pass {known!r} there, or import the program with the other value, too",
        )


def flat_tree(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
    """Return the leaves of a call's arguments."""
    return flatten((args, kwargs))[0]
