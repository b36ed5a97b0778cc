"""Both graphs of a workload: the tape of dynamic, and static's program before and after passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx

from oplibrary.messages.errors import ArgumentError, SideBySideError
from sidebyside.drawing.nested import nested_json
from sidebyside.drawing.tape_graph import tape_graph, tape_text
from sidebyside.modes.static import trace
from sidebyside.results.comparison import DrawnGraph
from sidebyside.workloads.workload import Workload, size_label
from staticgraph.declare.lower import lower
from staticgraph.graph.graph import Graph
from staticgraph.passes import DEFAULT_PASSES, PassRecord, run_passes
from staticgraph.program.program import Program
from staticgraph.show import drawing
from staticgraph.show.printing import format_program


@dataclass(frozen=True)
class Picture:
    """One graph of a workload.

    Attributes
    ----------
    title : str
    graph : networkx.MultiDiGraph
        In the form of `staticgraph.drawing.plain_graph`.
    text : str
    note : str
        What was done to get there.
    """

    title: str
    graph: nx.MultiDiGraph
    text: str
    note: str = ""


def pictures(workload: Workload, size: Any = None) -> list[Picture]:
    """Return the graphs of a workload: dynamic, and static before and after the passes.

    Parameters
    ----------
    workload : Workload
    size : optional
        Defaults to its first.

    Raises
    ------
    SideBySideError
        If neither mode can run the program; where static alone refuses it, its error is the text
        of the second picture, and there is no third.
    """
    inputs = workload.make_inputs(workload.sizes[0] if size is None else size)
    tape = tape_graph(workload, inputs)
    found = [Picture(f"dynamic: {_count(tape)} recorded", tape, tape_text(tape))]
    try:
        graph = trace(workload, inputs)
    except SideBySideError as error:
        return [*found, Picture("static: refused", nx.MultiDiGraph(), str(error))]
    return [*found, *pictures_of(graph)]


def pictures_of(graph: Graph) -> list[Picture]:
    """Return a declared graph as a picture, and what the passes make of it as another."""
    before, after, note = _programs(graph)
    return [_program_picture(_DECLARED, before), _program_picture(_COMPILED, after, note)]


def drawn_graphs(workload: Workload, inputs: tuple[Any, ...]) -> tuple[DrawnGraph, ...]:
    """Return the declared and the compiled graph for a page; of what static refuses, the tape.

    Parameters
    ----------
    workload : Workload
    inputs : tuple

    Returns
    -------
    tuple of DrawnGraph
        Where a program cannot be drawn, one that says why.
    """
    drawn = drawn_graph(lambda: trace(workload, inputs))
    if drawn[0].data:
        return drawn
    try:
        tape = tape_graph(workload, inputs)
    except Exception as error:
        return *drawn, DrawnGraph("dynamic: no tape", str(error))
    return *drawn, DrawnGraph(f"dynamic: {_count(tape)} recorded", "", nested_json(tape))


def drawn_graph(declare: Callable[[], Graph]) -> tuple[DrawnGraph, ...]:
    """Return what `declare` gives, as it is and after the passes, for a page.

    Parameters
    ----------
    declare : callable
        Returns a graph.

    Returns
    -------
    tuple of DrawnGraph
        Where it is refused, one that says why.
    """
    try:
        before, after, note = _programs(declare())
    except Exception as error:  # code of others' libraries says it in its own way
        return (DrawnGraph("static: no graph", str(error)),)
    return (
        DrawnGraph(_counted(_DECLARED, before), "", nested_json(before)),
        DrawnGraph(
            _counted(_COMPILED, after),
            note,
            nested_json(after, lambda region: run_passes(region.lower(), DEFAULT_PASSES)),
        ),
    )


_DECLARED, _COMPILED = "static, as declared", "static, after the passes"


def _programs(graph: Graph) -> tuple[Program, Program, str]:
    """Return the program as declared and after the passes, and what they changed."""
    before = lower(graph, graph.outputs, graph.inputs)
    records: list[PassRecord] = []
    after = run_passes(before, DEFAULT_PASSES, observer=records.append)
    return before, after, _changes(records)


def _changes(records: Sequence[PassRecord]) -> str:
    """Return which passes changed the program, and how many instructions they left."""
    changed = []
    for record in records:
        if record.before != record.after:
            changed.append(f"{record.name} ({record.before:,} → {record.after:,})")
        elif record.changed:
            changed.append(record.name)
    return f"changed by {', '.join(changed)}" if changed else "no pass changed it"


def _count(tape: nx.MultiDiGraph) -> str:
    count = sum(role == "op" for _, role in tape.nodes(data="role"))
    return f"{count:,} operation{'' if count == 1 else 's'}"


def _program_picture(title: str, program: Program, note: str = "") -> Picture:
    return Picture(
        _counted(title, program),
        drawing.program_graph(program),
        format_program(program),
        note,
    )


def _counted(title: str, program: Program) -> str:
    count = len(program.instructions)
    return f"{title}: {count:,} instruction{'' if count == 1 else 's'}"


def pictures_text(workload: Workload, found: Sequence[Picture], size: Any = None) -> str:
    """Return the graphs as text."""
    label = f"{workload.name} {size_label(workload.sizes[0] if size is None else size)}".strip()
    heading = f"{label}: {workload.title}" if workload.title else label
    parts = [heading]
    for each in found:
        parts.append("\n".join(line for line in (each.title, each.note, each.text) if line))
    return "\n\n".join(parts)


# files --------------------------------------------------------------------------------------------


def format_of(path: Path) -> Callable[[Sequence[Picture]], str]:
    """Return what makes a file of the kind that a path's suffix names.

    Raises
    ------
    ArgumentError
        If the suffix is not known.
    """
    maker = _FORMATS.get(path.suffix.lower())
    if maker is None:
        raise ArgumentError(
            f"{path}: there is no drawing of the kind {path.suffix or 'without a suffix'!r}",
            cause=f"the suffix says the format: {', '.join(_FORMATS)}",
            fix="choose one of them",
        )
    return maker


def _drawn(found: Sequence[Picture]) -> list[Picture]:
    return [each for each in found if len(each.graph)]


def _as_svg(found: Sequence[Picture]) -> str:
    """Return the drawings side by side in one SVG document, each below its title."""
    from html import escape

    parts: list[str] = []
    left, height, gap, head = 0.0, 0.0, 40.0, 36.0
    for each in _drawn(found):
        svg = drawing.to_svg(each.graph)
        size = re.search(r'width="([\d.e+]+)" height="([\d.e+]+)"', svg)
        assert size is not None
        wide, high = float(size[1]), float(size[2])
        # a marker's id must be unique in the whole document
        name = f"arrow{len(parts)}"
        svg = svg.replace('id="arrow"', f'id="{name}"').replace("url(#arrow)", f"url(#{name})")
        svg = svg.replace("<svg ", f'<svg x="{left:g}" y="{head:g}" ', 1)
        title = each.title
        where = f'class="sg-text" x="{left + 12:g}" y="22"'
        parts.append(f'<text {where} font-weight="bold">{escape(title)}</text>')
        parts.append(svg)
        left += max(wide, 9.0 * len(title)) + gap
        height = max(height, high + head)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="sg" width="{left:g}" '
            f'height="{height:g}" '
            f'viewBox="0 0 {left:g} {height:g}" font-family="Helvetica, Arial, sans-serif" '
            'font-size="14">',
            '<rect class="sg-paper" width="100%" height="100%" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _as_dot(found: Sequence[Picture]) -> str:
    """Return the graphs as clusters of one DOT graph."""
    lines = ["digraph {", '  node [shape=box, style="rounded,filled", fontname="Helvetica"];']
    for number, each in enumerate(_drawn(found)):
        title = each.title.replace('"', "'")
        lines += [f"  subgraph cluster_{number} {{", f'  label="{title}";']
        body = drawing.to_dot(each.graph).splitlines()[2:-1]
        lines += [_renamed(line, number) for line in body]
        lines.append("  }")
    return "\n".join((*lines, "}", ""))


def _as_mermaid(found: Sequence[Picture]) -> str:
    """Return the graphs as subgraphs of one Mermaid flowchart."""
    lines, classes = ["flowchart TD"], []
    for number, each in enumerate(_drawn(found)):
        title = each.title.replace('"', "'")
        lines.append(f'  subgraph g{number}["{title}"]')
        body = drawing.to_mermaid(each.graph).splitlines()[1:]
        classes = [line for line in body if line.startswith("  classDef")]
        lines += [_renamed(line, number) for line in body if line not in classes]
        lines.append("  end")
    return "\n".join((*lines, *classes, ""))


def _renamed(line: str, number: int) -> str:
    """Return a line of a drawing with its ids, n0, n1, ..., made those of graph `number`."""
    line = re.sub(r"^( *)n(\d+)\b", rf"\1g{number}n\2", line)
    return re.sub(r"(-+>) n(\d+)(;?)$", rf"\1 g{number}n\2\3", line)


def _together(found: Sequence[Picture]) -> nx.MultiDiGraph:
    """Return one graph of all of them; the attribute ``graph`` says where a node belongs."""
    whole = nx.MultiDiGraph(name="sidebyside")
    for each in _drawn(found):
        kind = each.title.partition(":")[0]
        names: Mapping[str, str] = {name: f"{kind}/{name}" for name in each.graph}
        for name, data in each.graph.nodes(data=True):
            whole.add_node(names[name], **data, graph=kind)
        for operand, user, position, data in each.graph.edges(keys=True, data=True):
            whole.add_edge(names[operand], names[user], position, **data)
    return whole


_FORMATS: dict[str, Callable[[Sequence[Picture]], str]] = {
    ".svg": _as_svg,
    ".dot": _as_dot,
    ".mmd": _as_mermaid,
    ".graphml": lambda found: drawing.to_graphml(_together(found)),
    ".json": lambda found: drawing.to_json(_together(found)),
}
