"""Programs and graphs as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.core.op import Op
from oplibrary.messages.source import Source
from oplibrary.values.types import Array
from staticgraph.control.region import BoundRegion, Region
from staticgraph.graph.graph import Graph, graph_as_text
from staticgraph.graph.graph_ops import CONSTANT, PLACEHOLDER, VARIABLE
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import named
from staticgraph.program.program import Instruction, Program, Value, program_as_text

_LONGEST = 60
_Row = tuple[str, str, str]


def format_program(program: Program, title: str = "program") -> str:
    """Return `program` as text: one line an instruction, with its type and the user's line.

    Examples
    --------
    >>> import staticgraph as sg
    >>> from staticgraph.declare.lower import lower
    >>> with sg.Graph() as graph:
    ...     x = sg.placeholder("x", (4, 3))
    ...     y = sg.sum(x, axis=0)
    >>> print(format_program(lower(graph, [y])).partition("#")[0].rstrip())
    program(x: float32[4,3]) {
      %0 = sum(x, axis=0)  float32[3]
    """
    names = value_names(program)
    rows: list[_Row | str] = []
    for value, variable in program.variables.items():
        rows.append((f"{names[value]} = variable {variable.name!r}", repr(value.type), ""))
    for value, array in program.constants.items():
        rows.append((f"{names[value]} = constant {format_array(array)}", repr(value.type), ""))
    for instruction in program.instructions:
        call = f"{names[instruction.output]} = {format_call(instruction, names)}"
        rows.append((call, repr(instruction.output.type), _places(instruction.sources)))
        rows += _regions(instruction.attrs)
    parameters = ", ".join(f"{names[value]}: {value.type}" for value in program.inputs)
    lines = [f"{title}({parameters}) {{", *_columns(rows)]
    for variable, value in program.updates:
        lines.append(f"  {variable.name!r} <- {names[value]}")
    lines += [f"  return {', '.join(names[value] for value in program.outputs)}", "}"]
    return "\n".join(lines)


def value_names(program: Program) -> dict[Value, str]:
    """Return a short name for each value of `program`: results are numbered, the rest named."""
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for value in (*program.inputs, *program.variables, *program.constants):
        name = base = value.name or "value"
        count = 0
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        names[value] = name
    for number, instruction in enumerate(program.instructions):
        names[instruction.output] = f"%{number}"
    return names


def format_call(instruction: Instruction, names: Mapping[Value, str]) -> str:
    """Return an instruction's right-hand side, such as ``sum(%3, axis=0)``."""
    operands = [names[value] for value in instruction.inputs]
    return _call(instruction.op, operands, instruction.attrs)


def _call(op: Op, operands: list[str], attrs: Mapping[str, Any]) -> str:
    """Return a call as the user would write it: attributes at their defaults are left out."""
    arguments = list(operands)
    for key, value in attrs.items():
        default = op.attrs.get(key, ...)
        if _regions_in(value):
            continue  # which are written out below
        if type(value) is not type(default) or value != default:
            arguments.append(f"{key}={_short(value)}")
    return f"{op.name}({', '.join(arguments)})"


def _short(value: Any) -> str:
    text = " ".join((str(value) if isinstance(value, np.dtype) else repr(named(value))).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def format_array(array: Array) -> str:
    """Return the elements of a small array, and a summary of a large one.

    Examples
    --------
    >>> format_array(np.array([1.0, 2.0]))
    '[1.0, 2.0]'
    """
    if array.size <= 8:
        return _short(array.tolist())
    flat = array.reshape(-1)
    if (flat == flat[0]).all():
        return f"all {flat[0].item()!r}"
    return f"[{flat[0].item()!r}, ..., {flat[-1].item()!r}]"


def _places(sources: Iterable[Source]) -> str:
    listed = list(dict.fromkeys(source.place for source in sources))
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _regions_in(value: Any) -> list[Any]:
    """Return the regions that an attribute is, or holds."""
    values = value if isinstance(value, tuple) else (value,)
    return [each for each in values if isinstance(each, (Region, BoundRegion))]


def inner_programs(attrs: Mapping[str, Any]) -> Iterator[tuple[str, Program | Region]]:
    """Yield what runs inside an instruction or node, each with its attribute's name.

    A region is given as its program where it is compiled, and as it was declared elsewhere.
    """
    for key, value in attrs.items():
        for number, region in enumerate(_regions_in(value)):
            title = key if region is value else f"{key}[{number}]"
            yield title, getattr(region, "program", None) or getattr(region, "region", region)


def _regions(attrs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the regions of an instruction or node as indented text, each under its attribute."""
    for title, inner in inner_programs(attrs):
        if isinstance(inner, Program):
            text = format_program(inner, title)
        else:
            text = graph_text(inner.graph, title, inner.outputs)
        yield textwrap.indent(text, "      ")


def _columns(rows: Sequence[_Row | str]) -> list[str]:
    """Return rows of (text, type, place) as aligned lines, and texts as they are."""
    cells = [row for row in rows if not isinstance(row, str)]
    first = max((len(text) for text, _, _ in cells if len(text) <= _LONGEST), default=0)
    second = max((len(kind) for _, kind, _ in cells), default=0)
    lines = []
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
            continue
        text, kind, place = row
        line = f"  {text:{first}}  {kind:{second}}"
        lines.append(f"{line}  # {place}" if place else line.rstrip())
    return lines


def graph_text(graph: Graph, title: str = "", outputs: Sequence[Node] = ()) -> str:
    """Return `graph` as text: one line a node, in the order of declaration.

    Parameters
    ----------
    graph : Graph
    title : str
        By default the graph's name.
    outputs : sequence of Node
        What is returned, if not the graph's own outputs.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph(name="square") as graph:
    ...     x = sg.placeholder("x", (3,))
    ...     y = x * x
    >>> print(graph_text(graph).partition("#")[0].rstrip())
    graph square {
      x        = placeholder     float32[3]
    """
    nodes = sorted(graph, key=lambda node: node.sequence)
    width = max((len(node.name) for node in nodes), default=0)
    rows: list[_Row | str] = []
    for node in nodes:
        place = node.source.place if node.source is not None else ""
        rows.append((f"{node.name:{width}} = {_describe(node)}", repr(node.type), place))
        rows += _regions(node.attrs)
    lines = [f"{title or f'graph {graph.name}'} {{", *_columns(rows)]
    if outputs or graph.outputs:
        lines.append(f"  return {', '.join(node.name for node in outputs or graph.outputs)}")
    return "\n".join((*lines, "}"))


def _describe(node: Node) -> str:
    if node.op is PLACEHOLDER:
        return "placeholder"
    if node.op is VARIABLE:
        return "variable"
    if node.op is CONSTANT:
        return f"constant {format_array(node.value)}"
    return _call(node.op, [operand.name for operand in node.operands], node.attrs)


program_as_text.enter(format_program)
graph_as_text.enter(graph_text)
