"""From a program to the document that a file holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from oplibrary.core.op import Op
from oplibrary.messages.errors import ProgramFileError
from oplibrary.messages.source import Source
from oplibrary.values.tree import Structure
from oplibrary.values.types import Array, TensorType
from staticgraph.archive.operations import find_op
from staticgraph.archive.values import NotWritable, ValueWriter
from staticgraph.compiler.feeds import Feed
from staticgraph.control.region import Region
from staticgraph.debugging.units import node_names
from staticgraph.program.program import Instruction, Program, Value, Variable


class ProgramWriter:
    """Makes a document of a program, and the list of arrays that belong to it.

    Parameters
    ----------
    what : str
        What is done, for messages.
    with_variables : bool
        Whether the values of variables are among the arrays; else they are taken along as objects.

    Attributes
    ----------
    arrays : list of ndarray
        What the document means by their numbers.
    variables : list of Variable
        What it means by those.
    """

    def __init__(self, what: str = "save_program", with_variables: bool = True) -> None:
        self.arrays: list[Array] = []
        self.variables: list[Variable] = []
        self._what = what
        self._with_variables = with_variables
        self._array_numbers: dict[int, int] = {}
        self._variables: dict[Variable, int] = {}
        self._written_variables: list[dict[str, Any]] = []
        self._sources: list[dict[str, Any]] = []
        self._source_numbers: dict[tuple[Any, ...], int] = {}
        self._regions: dict[Region, int] = {}
        self._written_regions: list[dict[str, Any]] = []
        self._values = ValueWriter(self._region)

    def document(
        self, program: Program, feeds: Sequence[Feed], structure: Structure
    ) -> dict[str, Any]:
        """Return `program`, before the passes, as JSON.

        Raises
        ------
        ProgramFileError
            If an op or an attribute cannot be written.
        """
        main = self._program(program)
        for written, feed in zip(main["inputs"], feeds, strict=True):
            written |= self.source(feed.source)
        return {"outputs": self.structure(structure), "program": main, **self.shared()}

    def shared(self) -> dict[str, Any]:
        """Return what everything in a document means by numbers and names."""
        return {
            "regions": self._written_regions,
            "sources": self._sources,
            "symbols": self._values.symbols,
            "variables": self._written_variables,
        }

    def structure(self, structure: Structure) -> Any:
        """Return the structure of outputs as JSON."""
        try:
            return self._values.structure(structure)
        except NotWritable as error:
            raise ProgramFileError(
                f"{self._what}: the outputs have {error} as a key",
                cause="the structure of the outputs is part of the file",
                fix="use texts and numbers as keys",
            ) from None

    def _program(self, program: Program) -> dict[str, Any]:
        names = node_names(program)
        return {
            "inputs": [self.named(names[value], value.type, None) for value in program.inputs],
            "constants": [
                {**self.named(names[value], value.type, None), "array": self.array(array)}
                for value, array in program.constants.items()
            ],
            "variables": [
                {**self.named(names[value], value.type, None), "variable": self.variable(variable)}
                for value, variable in program.variables.items()
            ],
            "instructions": [self._instruction(each, names) for each in program.instructions],
            "results": [names[value] for value in program.outputs],
            "updates": [
                [self.variable(variable), names[value]] for variable, value in program.updates
            ],
        }

    def named(self, name: str, type: TensorType, declared: Source | None) -> dict[str, Any]:
        """Return the name and the type of a value as JSON.

        Raises
        ------
        ProgramFileError
            If its dtype cannot be written.
        """
        try:
            return {"name": name, "type": self._values.type(type)}
        except NotWritable as error:
            raise ProgramFileError(
                f"{self._what}: {name} has {error}",
                cause="a file holds the numbers that every machine has",
                fix="cast it to such a dtype, float64 for example",
                source=declared,
            ) from None

    def _instruction(self, each: Instruction, names: dict[Value, str]) -> dict[str, Any]:
        declared = each.sources[0] if each.sources else None
        written = {
            "op": each.op.name,
            "operands": [names[value] for value in each.inputs],
            "attrs": self.attributes(each.op, each.attrs, declared),
            **self.named(names[each.output], each.output.type, declared),
            **self.source(declared),
        }
        if each.group:
            written["group"] = each.group
        if len(each.sources) > 1:
            written["also"] = [self.source(source)["source"] for source in each.sources[1:]]
        return written

    def attributes(
        self, op: Op, attrs: Mapping[str, Any], declared: Source | None
    ) -> dict[str, Any]:
        """Return the attributes of an op as JSON.

        Raises
        ------
        ProgramFileError
            If the op, or one of them, cannot be written.
        """
        if find_op(op.name) is not op:
            raise _own_op(self._what, op, declared)
        written = {}
        for name, value in attrs.items():
            try:
                written[name] = self._values.value(value)
            except NotWritable as error:
                raise ProgramFileError(
                    f"{self._what}: {name} of {op.name} is {error}: {value!r}",
                    cause="a file holds numbers, texts, and tuples, lists and mappings of them",
                    fix=f"pass {name} as such a value",
                    source=declared,
                ) from None
        return written

    def _region(self, region: Region) -> int:
        if region not in self._regions:
            written = {
                "name": region.graph.name,
                "owned": region.owned,
                **self._program(region.lower()),
                **self.source(region.source),
            }
            # behind the regions in it: each is declared before it is used
            self._regions[region] = len(self._regions)
            self._written_regions.append(written)
        return self._regions[region]

    def source(self, source: Source | None) -> dict[str, int]:
        """Return the entry that names a line, if there is one."""
        if source is None:
            return {}
        written = _source_fields(source)
        key = tuple(written.values())  # sources of one line are equal, whatever they mark in it
        if key not in self._source_numbers:
            self._source_numbers[key] = len(self._sources)
            self._sources.append(written)
        return {"source": self._source_numbers[key]}

    def variable(self, variable: Variable) -> int:
        """Return the number of a variable."""
        if variable not in self._variables:
            self._variables[variable] = len(self._variables)
            self.variables.append(variable)
            written: dict[str, Any] = {"name": variable.name}
            if self._with_variables:
                written["array"] = self.array(variable.stored)
            self._written_variables.append(written)
        return self._variables[variable]

    def array(self, array: Array) -> int:
        """Return the number of an array."""
        number = self._array_numbers.get(id(array))
        if number is None:
            number = self._array_numbers[id(array)] = len(self.arrays)
            self.arrays.append(array)
        return number


def _source_fields(source: Source) -> dict[str, Any]:
    """Return a line as it is to be shown where its file is not at hand; of the path the name."""
    return {
        "file": os.path.basename(source.filename),
        "line": source.line,
        "function": source.function,
        "span": (source.column, source.end_column, source.end_line),
        "text": source.whole_line,
    }


def _own_op(what: str, op: Op, declared: Source | None) -> ProgramFileError:
    return ProgramFileError(
        f"{what}: {op.name} is no op of the library",
        cause="a file names ops, and holds no Python code that could compute one",
        fix="write it with ops of the library, or save the program up to its operands",
        source=declared,
    )
