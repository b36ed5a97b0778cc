"""The last run as text: every instruction with its line, its type and what it computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from oplibrary.core.op import Kind
from staticgraph.debugging.frame import call_text
from staticgraph.debugging.summary import summarize
from staticgraph.debugging.units import Activation
from staticgraph.program.program import Instruction

_INDENT = "  "


class _Row(NamedTuple):
    place: str
    text: str
    type: str
    summary: str


def format_trace(record: Mapping[str, Activation]) -> str:
    """Return the run as text, one line an instruction, those of regions below their op."""
    rows = list(_rows(record[""], record, ""))
    widths = [min(60, max(len(row[i]) for row in rows)) for i in range(3)]
    return "\n".join(
        "  ".join([*[row[i].ljust(widths[i]) for i in range(3)], row.summary]).rstrip()
        for row in rows
    )


def _rows(activation: Activation, record: Mapping[str, Activation], indent: str) -> Iterator[_Row]:
    unit = activation.unit
    program, values, names = unit.program, activation.values, unit.names
    for kind, given in (("input", program.inputs), ("variable", program.variables)):
        for value in given:
            text = f"{indent}{names[value]} = {kind}"
            yield _Row("", text, repr(value.type), summarize(values[value]))
    for each in program.instructions:
        place = each.sources[0].place if each.sources else ""
        text = f"{indent}{names[each.output]} = {call_text(each, names)}"
        done = each.output in values
        shown = _shown(values[each.output]) if done else "did not run"
        yield _Row(place, text, repr(each.output.type), shown)
        yield from _region_rows(each, activation, record, indent)


def _shown(result: Any) -> str:
    return "" if type(result) is tuple else summarize(result)


def _region_rows(
    instruction: Instruction,
    activation: Activation,
    record: Mapping[str, Activation],
    indent: str,
) -> Iterator[_Row]:
    """Yield the last steps of the regions of `instruction`, those that ran."""
    if instruction.op.kind is not Kind.CONTROL:
        return
    path = activation.unit.path
    start = f"{path}/" if path else ""
    start += f"{instruction.output.name or instruction.op.name}."
    for name, inner in record.items():
        if name.startswith(start) and "/" not in name[len(start) :]:
            yield _Row("", f"{indent}{_INDENT}{name}, step {inner.step}:", "", "")
            yield from _rows(inner, record, indent + 2 * _INDENT)
