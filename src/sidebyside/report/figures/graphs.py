"""The declared and the compiled graph in a page, where a script opens blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from sidebyside.drawing.nested import overview
from sidebyside.report import html
from sidebyside.results.comparison import DrawnGraph
from staticgraph.show import drawing

_BUTTONS = {
    "out": ("−", "smaller"),
    "in": ("+", "larger"),
    "fit": ("fit", "as wide as the page"),
    "collapse": ("collapse", "close all blocks"),
}
_HINT = (
    "Click, Enter or → opens a block, ← closes it; ↑ and ↓ go on; + − 0, or the wheel with Ctrl, "
    "zoom; / searches."
)


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def graph_figures(graphs: Sequence[DrawnGraph], first: int = 0) -> list[str]:
    """Return graphs as HTML, each of which works without the script as far as a drawing does.

    Parameters
    ----------
    graphs : sequence of DrawnGraph
    first : int
        How many graphs the page has before these.
    """
    return [_figure(graph, first + number) for number, graph in enumerate(graphs)]


def script(parts: Sequence[str]) -> list[str]:
    """Return the style and the script for the graphs among the parts of a page; none for none."""
    if not any('<section class="graph"' in part for part in parts):
        return []
    return [
        f"<style>{drawing.THEMES}{_file('graphs.css')}</style>",
        f"<script>{_file('graphs.js')}</script>",
    ]


def _figure(graph: DrawnGraph, number: int) -> str:
    heading = html.element("h4", graph.title)
    note = html.element("p", graph.note, "about") if graph.note else ""
    if not graph.data:
        return heading + note
    try:
        drawn = drawing.to_svg(overview(json.loads(graph.data)))
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # of a file that was cut
        return heading + html.element("p", f"It cannot be drawn, since it is damaged: {error}.")
    # the id of a marker is the page's, and what a reader needs of it is in the script's drawing
    drawn = drawn.replace('id="arrow"', f'id="graph-{number}"')
    drawn = drawn.replace("url(#arrow)", f"url(#graph-{number})")
    drawn = re.sub(r' xmlns="[^"]*"', ' role="img"', drawn, count=1)
    drawn = drawn.replace('role="img"', f'role="img" aria-label="{escape(graph.title)}"', 1)
    buttons = "".join(
        f'<button type="button" data-act="{act}" aria-label="{words}" title="{words}">{sign}'
        "</button>"
        for act, (sign, words) in _BUTTONS.items()
    )
    field = (
        '<span class="graph-search">'
        '<input type="search" placeholder="op, name or line" aria-label="search the graph">'
        '<button type="button" data-act="previous" aria-label="previous match">‹</button>'
        '<button type="button" data-act="next" aria-label="next match">›</button></span>'
    )
    # "<" would end the script element where a text of the user's has it
    data = graph.data.replace("<", "\\u003c")
    return (
        f'<section class="graph" data-title="{escape(graph.title)}" '
        f'aria-label="{escape(graph.title)}">{heading}{note}'
        f'<div class="graph-bar" role="toolbar" aria-label="the drawing" hidden>{buttons}{field}'
        f"{html.element('small', _HINT)}</div>"
        f'<div class="graph-view" tabindex="0" role="group" aria-label="drawing">{drawn}</div>'
        '<p class="graph-said" role="status"></p>'
        f'<script type="application/json">{data}</script></section>'
    )
