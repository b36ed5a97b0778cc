"""Pickles and copies: programs, graphs and executables leave the process as they do in files.

In a pickle stands what an archive holds: the document, with ops by name, and the arrays. It is read
and proved as a file is, and compiled at the other end, where machine code is found in the cache.
Variables stand beside it as objects, so that what shares state in one pickle shares it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from oplibrary.messages.errors import PicklingError, ProgramFileError
from oplibrary.values.tree import LEAF, Structure, flatten
from oplibrary.values.types import Array
from staticgraph.archive import values
from staticgraph.archive.graphs import GraphReader, graph_document
from staticgraph.archive.reading import ProgramReader, reading
from staticgraph.archive.values import damaged
from staticgraph.archive.writing import ProgramWriter
from staticgraph.compiler.compile import compile_program
from staticgraph.compiler.declared import Declared
from staticgraph.compiler.executable import Executable
from staticgraph.compiler.feeds import Feed
from staticgraph.compiler.options import Options
from staticgraph.compiler.phases import Clock
from staticgraph.graph.graph import Graph
from staticgraph.program.pickled import reduced
from staticgraph.program.program import Program, Variable
from staticgraph.tracing.pickling import require_name

Document = Mapping[str, Any]
_WHAT = "pickling"


def reduce(value: Any) -> tuple[Any, ...]:
    """Return what a pickle holds of `value`, a program, a graph or an executable.

    Raises
    ------
    PicklingError
        If it cannot leave the process: it has an op or an attribute that no file can hold, is being
        debugged, or is a part of a graph that is being declared.
    """
    writer = ProgramWriter(_WHAT, with_variables=False)
    try:
        make, *parts = _parts(value, writer)
    except ProgramFileError as error:
        raise PicklingError(
            error.what, cause=error.cause, fix=error.fix, source=error.source
        ) from None
    return make, (*parts, writer.arrays, writer.variables)


def _parts(value: Any, writer: ProgramWriter) -> tuple[Any, ...]:
    if isinstance(value, Executable):
        for each in value.options.passes or ():
            require_name(each, f"an executable with the pass {getattr(each, '__name__', each)}")
        document = writer.document(value.lowered, value.inputs, value.structure)
        return executable_of, value.options, _classes(value.structure), document
    if isinstance(value, Graph):
        return graph_of, _classes(value.output_tree), graph_document(value, writer)
    assert isinstance(value, Program)
    feeds = [Feed(each.name, each.type) for each in value.inputs]
    owned = [number for number, each in enumerate(value.inputs) if each in value.owned]
    structure = flatten(tuple(value.outputs))[1]
    return program_of, owned, writer.document(value, feeds, structure)


def executable_of(
    options: Options,
    classes: Sequence[type | None],
    document: Document,
    arrays: Sequence[Array],
    variables: Sequence[Variable],
) -> Executable:
    """Return the executable of what a pickle holds; the errors are those of `open_program`."""
    clock = Clock()
    with reading(_WHAT):
        reader = ProgramReader(document, _locked(arrays), variables=variables)
        structure = _with_classes(reader.structure, iter(classes))
    declared = Declared(Graph(name="pickled"), reader.program, reader.feeds, structure)
    clock.lap("open")
    return compile_program(declared, options, clock)


def program_of(
    owned: Sequence[int],
    document: Document,
    arrays: Sequence[Array],
    variables: Sequence[Variable],
) -> Program:
    """Return the program of what a pickle holds."""
    with reading(_WHAT):
        program = ProgramReader(
            document, _locked(arrays), variables=variables, after_passes=True
        ).program
        return replace(program, owned=frozenset([program.inputs[number] for number in owned]))


def graph_of(
    classes: Sequence[type | None],
    document: Document,
    arrays: Sequence[Array],
    variables: Sequence[Variable],
) -> Graph:
    """Return the graph of what a pickle holds."""
    with reading(_WHAT):
        graph = GraphReader(document, _locked(arrays), variables=variables).graph
        graph.output_tree = _with_classes(graph.output_tree, iter(classes))
        return graph


def _named_tuples(structure: Structure) -> Iterator[type]:
    if structure is None or structure is LEAF:
        return
    kind, keys, children = structure
    if keys is not None and not issubclass(kind, Mapping):
        yield kind
    for child in children:
        yield from _named_tuples(child)


def _classes(structure: Structure) -> list[type | None]:
    """Return the classes of named tuples; None for one that a file stood for."""
    found: list[type | None] = []
    for kind in _named_tuples(structure):
        of_file = kind.__module__ == values.__name__
        if not of_file:
            require_name(kind, f"a program whose outputs are a {kind.__name__}")
        found.append(None if of_file else kind)
    return found


def _with_classes(structure: Structure, classes: Iterator[type | None]) -> Structure:
    if structure is None or structure is LEAF:
        return structure
    kind, keys, children = structure
    if keys is not None and not issubclass(kind, Mapping):
        kind = next(classes) or kind
        if not issubclass(kind, tuple) or getattr(kind, "_fields", None) != keys:
            raise damaged(f"its outputs are a {kind.__name__} with other fields")
    return kind, keys, tuple([_with_classes(child, classes) for child in children])


def _locked(arrays: Sequence[Array]) -> Sequence[Array]:
    """Return the arrays of a pickle, which no run may write to; from a file they come so."""
    for array in arrays:
        if type(array) is np.ndarray:
            array.flags.writeable = False
    return arrays


reduced.enter(reduce)
