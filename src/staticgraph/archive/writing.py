"""From a program to the document that a file holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from oplibrary.core.op import Op
from oplibrary.core.tree import Structure
from oplibrary.core.types import Array
from oplibrary.messages.errors import ProgramFileError
from oplibrary.messages.source import Source
from staticgraph.archive.operations import find_op
from staticgraph.archive.values import NotWritable, ValueWriter
from staticgraph.compiler.feeds import Feed
from staticgraph.control.region import Region
from staticgraph.debugging.units import node_names
from staticgraph.program.program import Instruction, Program, Value, Variable


class ProgramWriter:
    """Makes a document of a program, and the list of arrays that belong to it.

    Attributes
    ----------
    arrays : list of ndarray
        What the document means by their numbers.
    """

    def __init__(self) -> None:
        self.arrays: list[Array] = []
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
            written |= self._source(feed.source)
        return {
            "outputs": self._structure(structure),
            "program": main,
            "regions": self._written_regions,
            "sources": self._sources,
            "symbols": self._values.symbols,
            "variables": self._written_variables,
        }

    def _structure(self, structure: Structure) -> Any:
        try:
            return self._values.structure(structure)
        except NotWritable as error:
            raise ProgramFileError(
                f"save_program: the outputs have {error} as a key",
                cause="the structure of the outputs is part of the file",
                fix="use texts and numbers as keys",
            ) from None

    def _program(self, program: Program) -> dict[str, Any]:
        names = node_names(program)
        return {
            "inputs": [self._value(value, names) for value in program.inputs],
            "constants": [
                {**self._value(value, names), "array": self._array(array)}
                for value, array in program.constants.items()
            ],
            "variables": [
                {**self._value(value, names), "variable": self._variable(variable)}
                for value, variable in program.variables.items()
            ],
            "instructions": [self._instruction(each, names) for each in program.instructions],
            "results": [names[value] for value in program.outputs],
            "updates": [
                [self._variable(variable), names[value]] for variable, value in program.updates
            ],
        }

    def _value(
        self, value: Value, names: dict[Value, str], declared: Source | None = None
    ) -> dict[str, Any]:
        try:
            return {"name": names[value], "type": self._values.type(value.type)}
        except NotWritable as error:
            raise ProgramFileError(
                f"save_program: {names[value]} has {error}",
                cause="a file holds the numbers that every machine has",
                fix="cast it to such a dtype, float64 for example",
                source=declared,
            ) from None

    def _instruction(self, each: Instruction, names: dict[Value, str]) -> dict[str, Any]:
        declared = each.sources[0] if each.sources else None
        if find_op(each.op.name) is not each.op:
            raise _own_op(each.op, declared)
        attrs = {}
        for name, value in each.attrs.items():
            try:
                attrs[name] = self._values.value(value)
            except NotWritable as error:
                raise ProgramFileError(
                    f"save_program: {name} of {each.op.name} is {error}: {value!r}",
                    cause="a file holds numbers, texts, and tuples, lists and mappings of them",
                    fix=f"pass {name} as such a value",
                    source=declared,
                ) from None
        return {
            "op": each.op.name,
            "operands": [names[value] for value in each.inputs],
            "attrs": attrs,
            **self._value(each.output, names, declared),
            **self._source(declared),
        }

    def _region(self, region: Region) -> int:
        if region not in self._regions:
            written = {
                "name": region.graph.name,
                "owned": region.owned,
                **self._program(region.lower()),
                **self._source(region.source),
            }
            # behind the regions in it: each is declared before it is used
            self._regions[region] = len(self._regions)
            self._written_regions.append(written)
        return self._regions[region]

    def _source(self, source: Source | None) -> dict[str, int]:
        if source is None:
            return {}
        written = _source_fields(source)
        key = tuple(written.values())  # sources of one line are equal, whatever they mark in it
        if key not in self._source_numbers:
            self._source_numbers[key] = len(self._sources)
            self._sources.append(written)
        return {"source": self._source_numbers[key]}

    def _variable(self, variable: Variable) -> int:
        if variable not in self._variables:
            self._variables[variable] = len(self._variables)
            array = self._array(variable.stored)
            self._written_variables.append({"name": variable.name, "array": array})
        return self._variables[variable]

    def _array(self, array: Array) -> int:
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


def _own_op(op: Op, declared: Source | None) -> ProgramFileError:
    return ProgramFileError(
        f"save_program: {op.name} is no op of the library",
        cause="a file names ops, and holds no Python code that could compute one",
        fix="write it with ops of the library, or save the program up to its operands",
        source=declared,
    )
