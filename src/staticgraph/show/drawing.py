"""Graphs and programs as drawings and exchange formats: DOT, Mermaid, SVG, GraphML, JSON.

All of them draw one plain networkx graph with text attributes, which `plain_graph` makes.
"""

from __future__ import annotations

import io
import json
from html import escape
from typing import Any

import networkx as nx

from staticgraph.graph.graph import Graph, graph_as_svg
from staticgraph.graph.graph_ops import CONSTANT, SOURCES
from staticgraph.graph.node import Node
from staticgraph.program.program import Program, program_as_svg
from staticgraph.show.placement import place
from staticgraph.show.printing import format_array, value_names

_COLOURS = {
    "placeholder": "#d9e8fb",
    "variable": "#fde8c8",
    "constant": "#ececec",
    "op": "#ffffff",
    "output": "#d8f0d8",
}
"""Fill of each role; inputs blue, state orange, constants grey, results green."""

_LIGHT = {**_COLOURS, "paper": "#ffffff", "edge": "#888888", "line": "#555555", "text": "#111111"}
_DARK = {
    "placeholder": "#1d3a5f",
    "variable": "#5c4216",
    "constant": "#3b3d40",
    "op": "#26282c",
    "output": "#1f4d2b",
    "paper": "#17181b",
    "edge": "#8d9299",
    "line": "#9aa0a6",
    "text": "#f1f3f4",
}


def _rules(selector: str, colours: dict[str, str]) -> str:
    return f"{selector}{{{''.join(f'--sg-{name}:{c};' for name, c in colours.items())}}}"


THEMES = "".join(
    [
        _rules("svg.sg", _LIGHT),
        f"@media screen and (prefers-color-scheme:dark){{{_rules('svg.sg', _DARK)}}}",
        # what a notebook or a page is set to says more than the system does
        _rules('[data-jp-theme-light="true"] svg.sg,.vscode-light svg.sg', _LIGHT),
        _rules(
            '[data-jp-theme-light="false"] svg.sg,.vscode-dark svg.sg,[data-theme="dark"] svg.sg',
            _DARK,
        ),
        *[f".sg-{name}{{fill:var(--sg-{name})}}" for name in (*_COLOURS, "paper", "text")],
        ".sg-arrow{fill:var(--sg-edge)}.sg-edge{stroke:var(--sg-edge)}.sg-box{stroke:var(--sg-line)}",
    ]
)
"""The colours of drawings, in light and dark; what reads no style sheet draws in light."""


def plain_graph(source: Graph | Program | nx.MultiDiGraph) -> nx.MultiDiGraph:
    """Return a graph or program as a networkx graph of plain strings and numbers.

    Returns
    -------
    networkx.MultiDiGraph
        Its nodes are names. Node attributes: ``op``, ``type``, ``shape``, ``dtype``, ``role`` (one
        of placeholder, variable, constant and op), ``output`` (bool), ``label`` and ``place``, the
        user's line. Edge attribute: ``position``, that of the operand.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph() as graph:
    ...     x = sg.placeholder("x", (3,))
    ...     y = x * x
    >>> plain_graph(graph).nodes["multiply"]["type"]
    'float32[3]'
    """
    if isinstance(source, Program):
        return program_graph(source)
    if isinstance(source, Graph):
        return _declared_graph(source)
    return source


def _declared_graph(graph: Graph) -> nx.MultiDiGraph:
    plain = nx.MultiDiGraph(name=graph.name)
    outputs = set(graph.outputs)
    for node in graph:
        is_output = node in outputs if outputs else not graph.out_degree(node)
        plain.add_node(node.name, **_node_attributes(node), output=is_output)
    for operand, user, position in graph.edges(keys=True):
        plain.add_edge(operand.name, user.name, position, position=position)
    return plain


def _node_attributes(node: Node) -> dict[str, Any]:
    role = node.op.name if node.op in SOURCES else "op"
    label = format_array(node.value) if node.op is CONSTANT else node.op.name
    if role in ("placeholder", "variable"):
        label = node.name
    return _attributes(node.op.name, label, role, node.type, node.source)


def _attributes(op: str, label: str, role: str, type: Any, source: Any) -> dict[str, Any]:
    return {
        "op": op,
        "label": label,
        "role": role,
        "type": repr(type),
        "shape": "x".join(map(str, type.shape)),
        "dtype": type.dtype.name,
        "place": source.place if source is not None else "",
    }


def program_graph(program: Program) -> nx.MultiDiGraph:
    """Return a program as a networkx graph of plain strings; see `plain_graph`."""
    plain = nx.MultiDiGraph(name="program")
    names = value_names(program)
    results = set(program.results)

    def add(value: Any, op: str, label: str, role: str, source: Any = None) -> None:
        attributes = _attributes(op, label, role, value.type, source)
        plain.add_node(names[value], **attributes, output=value in results)

    for value in program.inputs:
        add(value, "placeholder", names[value], "placeholder")
    for value, variable in program.variables.items():
        add(value, "variable", variable.name, "variable")
    for value, array in program.constants.items():
        add(value, "constant", format_array(array), "constant")
    for instruction in program.instructions:
        source = instruction.sources[0] if instruction.sources else None
        add(instruction.output, instruction.op.name, instruction.op.name, "op", source)
        for position, value in enumerate(instruction.inputs):
            user = names[instruction.output]
            plain.add_edge(names[value], user, position, position=position)
    return plain


def _role(data: dict[str, Any]) -> str:
    return "output" if data["output"] and data["role"] == "op" else str(data["role"])


def to_dot(source: Graph | Program | nx.MultiDiGraph) -> str:
    """Return the drawing as text in Graphviz's DOT language."""
    plain = plain_graph(source)
    lines = [
        "digraph {",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica"];',
    ]
    ids = {name: f"n{number}" for number, name in enumerate(plain)}
    for name, data in plain.nodes(data=True):
        label = f"{_dot_text(data['label'])}\\n{_dot_text(data['type'])}"
        attributes = [f'label="{label}"', f'fillcolor="{_COLOURS[_role(data)]}"']
        attributes.append(f'tooltip="{_dot_text(_title(name, data))}"')
        lines.append(f"  {ids[name]} [{', '.join(attributes)}];")
    for operand, user in plain.edges():
        lines.append(f"  {ids[operand]} -> {ids[user]};")
    return "\n".join((*lines, "}", ""))


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _title(name: str, data: dict[str, Any]) -> str:
    return f"{name} = {data['op']}" + (f" at {data['place']}" if data["place"] else "")


def to_mermaid(source: Graph | Program | nx.MultiDiGraph) -> str:
    """Return the drawing as text in Mermaid's flowchart language."""
    plain = plain_graph(source)
    lines = ["flowchart TD"]
    ids = {name: f"n{number}" for number, name in enumerate(plain)}
    for name, data in plain.nodes(data=True):
        label = f"{_mermaid_text(data['label'])}<br/>{_mermaid_text(data['type'])}"
        lines.append(f'  {ids[name]}("{label}"):::{_role(data)}')
    for operand, user in plain.edges():
        lines.append(f"  {ids[operand]} --> {ids[user]}")
    for role, colour in _COLOURS.items():
        lines.append(f"  classDef {role} fill:{colour},stroke:#555,color:#111")
    return "\n".join((*lines, ""))


def _mermaid_text(text: str) -> str:
    # Mermaid reads entities with # in place of &
    return escape(text, quote=True).replace("&#x27;", "'").replace("&", "#")


def to_svg(source: Graph | Program | nx.MultiDiGraph) -> str:
    """Return the drawing as one SVG document that needs nothing else.

    Operands stand above their users, in layers; hovering over a box shows its name and line. The
    colours follow the page or the system, light or dark.
    """
    plain = plain_graph(source)
    drawing = place(plain)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sg" width="{drawing.width:g}" '
        f'height="{drawing.height:g}" viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f"<defs><style>{THEMES}</style>"
        '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="sg-arrow" d="M0,0 L8,4 L0,8 z" fill="#888888"/></marker>'
        "</defs>",
        f'<rect class="sg-paper" width="{drawing.width:g}" height="{drawing.height:g}" '
        'fill="#ffffff"/>',
    ]
    for points in drawing.edges:
        lines.append(
            f'<path class="sg-edge" d="{_curve(points)}" fill="none" stroke="#888888" '
            'marker-end="url(#arrow)"/>'
        )
    for name, box in drawing.boxes.items():
        data = plain.nodes[name]
        middle = box.x + box.width / 2
        lines.append(
            f"<g><title>{escape(_title(name, data))}</title>"
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
            f'rx="7" class="sg-box sg-{_role(data)}" fill="{_COLOURS[_role(data)]}" '
            'stroke="#555555"/>'
            f'<text class="sg-text" x="{middle:g}" y="{box.y + 16:g}" text-anchor="middle" '
            f'font-weight="bold">{escape(data["label"])}</text>'
            f'<text class="sg-text" x="{middle:g}" y="{box.y + 31:g}" text-anchor="middle" '
            'fill-opacity="0.7" '
            f'font-size="11">{escape(data["type"])}</text></g>'
        )
    return "\n".join((*lines, "</svg>", ""))


def _curve(points: list[tuple[float, float]]) -> str:
    """Return a path that leaves and enters each point vertically."""
    (x, y), *rest = points
    path = f"M{x:g},{y:g}"
    for end_x, end_y in rest:
        bend = (end_y - y) / 2
        path += f" C{x:g},{y + bend:g} {end_x:g},{end_y - bend:g} {end_x:g},{end_y:g}"
        x, y = end_x, end_y
    return path


def to_graphml(source: Graph | Program | nx.MultiDiGraph) -> str:
    """Return the graph as GraphML, as networkx writes it; edges have the operand's position."""
    buffer = io.BytesIO()
    nx.write_graphml(plain_graph(source), buffer)
    return buffer.getvalue().decode()


def to_json(source: Graph | Program | nx.MultiDiGraph) -> str:
    """Return the graph as node-link JSON, as networkx reads it."""
    return json.dumps(nx.node_link_data(plain_graph(source), edges="edges"), indent=1)


graph_as_svg.enter(to_svg)
program_as_svg.enter(to_svg)
