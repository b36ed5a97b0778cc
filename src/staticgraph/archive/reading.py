"""From the document that a file holds to a program, checked as a declaration is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from oplibrary.core.op import Op
from oplibrary.messages.errors import PassError, ProgramFileError, SideBySideError
from oplibrary.messages.source import Source
from oplibrary.values.tree import Structure, leaf_count
from oplibrary.values.types import Array, TensorType
from staticgraph.archive.operations import attributes_fit, find_op
from staticgraph.archive.values import ValueReader, damaged
from staticgraph.compiler.feeds import Feed
from staticgraph.control.region import Region
from staticgraph.graph.graph import Graph
from staticgraph.graph.graph_ops import CONSTANT, PLACEHOLDER, VARIABLE
from staticgraph.graph.node import Node
from staticgraph.program.program import Instruction, Program, Value, Variable
from staticgraph.program.verify import verify


class DocumentReader:
    """Reads what everything in a document means by numbers and names; see `ProgramReader`."""

    def __init__(
        self,
        document: Mapping[str, Any],
        arrays: Sequence[Array],
        library: str = "",
        variables: Sequence[Variable] | None = None,
        after_passes: bool = False,
    ) -> None:
        self._arrays = arrays
        self._after_passes = after_passes
        self._library = library
        self._sources = [_source_of(each) for each in document["sources"]]
        if variables is None:
            variables = [
                Variable(str(each["name"]), self._array(each["array"]))
                for each in document["variables"]
            ]
        self._variables = variables
        self._regions: list[Region] = []
        self._values = ValueReader(document["symbols"], self._regions)
        for each in document["regions"]:
            self._regions.append(self._region(each))

    def _source(self, written: Mapping[str, Any]) -> Source | None:
        return self._sources[_index(written["source"])] if "source" in written else None

    def _array(self, number: int) -> Array:
        return self._arrays[_index(number)]

    # programs -------------------------------------------------------------------------------------

    def _program(self, written: Mapping[str, Any]) -> Program:
        values: dict[str, Value] = {}
        inputs = [self._define(each, values) for each in written["inputs"]]
        constants = {
            self._define(each, values): self._array(each["array"]) for each in written["constants"]
        }
        variables = {
            self._define(each, values): self._variables[_index(each["variable"])]
            for each in written["variables"]
        }
        program = Program(
            inputs=tuple(inputs),
            constants=constants,
            variables=variables,
            instructions=tuple(
                [self._instruction(each, values) for each in written["instructions"]]
            ),
            outputs=tuple([values[name] for name in written["results"]]),
            updates=tuple(
                [
                    (self._variables[_index(number)], values[name])
                    for number, name in written["updates"]
                ]
            ),
        )
        try:
            verify(program, "opening")
        except PassError as error:
            raise damaged(error.what.removeprefix("after opening: ")) from error
        return program

    def _define(self, written: Mapping[str, Any], values: dict[str, Value]) -> Value:
        name = written["name"]
        if not isinstance(name, str) or name in values:
            raise damaged(f"the name {name!r} is given twice, or is none")
        value = values[name] = Value(self._values.type(written["type"]), name)
        return value

    def _instruction(self, written: Mapping[str, Any], values: dict[str, Value]) -> Instruction:
        declared = self._source(written)
        op = find_op(written["op"])
        if op is None:
            raise self._unknown(f"the op {written['op']!r}", declared)
        attrs = self._attributes(op, written["attrs"], declared)
        for name in written["operands"]:
            if name not in values:
                raise damaged(f"{op.name} reads {name!r}, which is not computed before it")
        operands = tuple([values[name] for name in written["operands"]])
        self._require_fit(op, [value.type for value in operands], attrs)
        output = self._define(written, values)
        sources: tuple[Source, ...] = () if declared is None else (declared,)
        sources += tuple([self._sources[_index(each)] for each in written.get("also", ())])
        group = _index(written.get("group", 0))
        return Instruction(op, operands, output, attrs, sources, group)

    def _attributes(
        self, op: Op, written: Mapping[str, Any], declared: Source | None
    ) -> dict[str, Any]:
        attrs = {name: self._values.value(each) for name, each in written.items()}
        for name in attrs:
            if name not in op.attrs:
                raise self._unknown(f"the attribute {name!r} of {op.name}", declared)
        # in the order of the record, as they are declared
        attrs = {name: attrs.get(name, default) for name, default in op.attrs.items()}
        for name, value in attrs.items():
            if value is ...:
                raise damaged(f"{op.name} has no {name}")
        return attrs

    def _require_fit(self, op: Op, types: Sequence[TensorType], attrs: Mapping[str, Any]) -> None:
        if not attributes_fit(op, types, attrs, self._after_passes):
            raise damaged(f"the attributes of {op.name} do not fit its operands")

    def _unknown(self, what: str, declared: Source | None) -> ProgramFileError:
        return ProgramFileError(
            f"the file has {what}, which is not known here",
            cause=f"it was written by version {self._library} of the library, or by a program with "
            "ops of its own",
            fix="open it with that version, or save the program again with this one",
            related=(("declared", declared),),
        )

    # regions --------------------------------------------------------------------------------------

    def _region(self, written: Mapping[str, Any]) -> Region:
        program = self._program(written)
        owned = written["owned"]
        if program.updates or not 0 <= owned <= len(program.inputs):
            raise damaged("a branch or body assigns what it does not own")
        graph, nodes = declare_again(program, written["name"])
        return Region(
            graph,
            [nodes[value] for value in program.inputs],
            [nodes[value] for value in program.outputs],
            self._source(written),
            owned=owned,
        )


class ProgramReader(DocumentReader):
    """Makes a program of a document.

    Parameters
    ----------
    document : mapping
        As `ProgramWriter` made it.
    arrays : sequence of ndarray
        Those that belong to it.
    library : str
        The version of the library that wrote it, for messages.
    variables : sequence of Variable, optional
        Those of the document, where it does not hold their values.
    after_passes : bool
        Whether passes may have changed the program.

    Attributes
    ----------
    program : Program
    feeds : list of Feed
    structure : structure
        Of the outputs; see `oplibrary.values.tree`.

    Raises
    ------
    ProgramFileError
        At the first thing that cannot be what was written.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        arrays: Sequence[Array],
        library: str = "",
        variables: Sequence[Variable] | None = None,
        after_passes: bool = False,
    ) -> None:
        super().__init__(document, arrays, library, variables, after_passes)
        main = document["program"]
        self.program = self._program(main)
        self.structure: Structure = self._values.structure(document["outputs"])
        if leaf_count(self.structure) != len(self.program.outputs):
            raise damaged(f"the program has {len(self.program.outputs)} outputs in other places")
        self.feeds = [
            Feed(value.name, value.type, self._source(each))
            for value, each in zip(self.program.inputs, main["inputs"], strict=True)
        ]


@contextmanager
def reading(what: str, library: str = "this or another") -> Iterator[None]:
    """Let whatever a document that was changed leads to be an error of the catalogue.

    Parameters
    ----------
    what : str
        What is done, for messages.
    library : str
        The version of the library that wrote the document.
    """
    try:
        try:
            yield
        except SideBySideError:
            raise
        except Exception as error:
            raise damaged(
                f"it says what cannot be: {type(error).__name__} {error}; version {library} of "
                "the library wrote it"
            ) from error
    except SideBySideError as error:
        raise error.with_context(what) from error.__cause__


def declare_again(program: Program, name: str) -> tuple[Graph, dict[Value, Node]]:
    """Declare a graph which, lowered, is `program`.

    Parameters
    ----------
    program : Program
        Before the passes, without updates.
    name : str
        Of the graph.

    Returns
    -------
    graph : Graph
    nodes : dict of Value to Node
    """
    graph = Graph(name=name)
    nodes: dict[Value, Node] = {}

    def declare(value: Value, node: Node, source: Source | None = None) -> None:
        node.source = source
        nodes[value] = node

    def given(value: Value, op: Any, attrs: dict[str, Any]) -> None:
        declare(value, graph.add_op(op, (), attrs, type=value.type, name=value.name))

    for value in program.inputs:
        given(value, PLACEHOLDER, {})
    for value, array in program.constants.items():
        given(value, CONSTANT, {"value": array})
    for value, variable in program.variables.items():
        given(value, VARIABLE, {"variable": variable})
    for each in program.instructions:
        operands = tuple([nodes[value] for value in each.inputs])
        output = each.output
        node = graph.add_op(each.op, operands, each.attrs, type=output.type, name=output.name)
        declare(output, node, each.sources[0] if each.sources else None)
    return graph, nodes


def _source_of(written: Mapping[str, Any]) -> Source:
    column, end_column, end_line = written["span"]
    return Source(
        _one_line(written["file"]),
        int(written["line"]),
        _one_line(written["function"]),
        column,
        end_column,
        end_line,
        _one_line(written["text"]),
    )


def _one_line(text: str) -> str:
    """Return `text`, which stands in comments of generated code, without what would end a line."""
    return "".join([c if c.isprintable() or c == "\t" else "?" for c in text])


def _index(number: Any) -> int:
    """Return `number`, which must not count from the end."""
    if type(number) is not int or number < 0:
        raise damaged(f"{number!r} is no number of an entry")
    return number
