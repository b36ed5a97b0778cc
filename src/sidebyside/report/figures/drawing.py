"""Figures as SVG inside a page: specifications of Vega-Lite, in the colours of the page.

`vl-convert-python` draws them here, so that the page needs no script and no network; it writes ARIA
labels for what is drawn. Colours are names in the specification and variables of the page's style
in the SVG, which the reader's light or dark page, or the printer's paper, then has its own of.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.util import find_spec
from typing import Any

from sidebyside.report import html

MISSING = (
    "Figures are drawn where vl-convert-python is installed: pip install 'sidebyside[plots]'. "
    "All numbers are in the tables."
)

_TEXT, _LINE, _FAINT = "#010101", "#010102", "#010103"
SERIES = tuple(f"#0102{place:02d}" for place in range(1, 9))
"""Colours of series, as they stand in a specification."""

STRONG = "#010104"
"""The colour of what is to be found at once."""

_VARIABLES = {
    _TEXT: "text",
    _LINE: "line",
    _FAINT: "faint",
    STRONG: "strong",
    **{colour: f"series-{place}" for place, colour in enumerate(SERIES, start=1)},
}
"""The variable of the page for each colour of a specification."""

_CONFIG = {
    "background": None,
    "padding": {"left": 12, "right": 12, "top": 8, "bottom": 5},
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "gridColor": _LINE,
        "gridOpacity": 0.6,
        "domainColor": _FAINT,
        "tickColor": _FAINT,
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 220,
    },
    "legend": {
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "labelFontSize": 12,
        "labelLimit": 260,
        "orient": "bottom",
        "columns": 3,
        "title": None,
    },
    "range": {"category": list(SERIES)},
    "rule": {"color": _TEXT},
    "text": {"color": _TEXT, "fontSize": 12},
}


Values = list[dict[str, Any]]
"""Data of a figure."""


@dataclass(frozen=True)
class Drawn:
    """A figure before it is drawn.

    Attributes
    ----------
    caption : str
        What it shows: one sentence, below it.
    spec : mapping
        Of Vega-Lite.
    """

    caption: str
    spec: Mapping[str, Any]


@cache
def can_draw() -> bool:
    """Tell whether the library that draws is installed."""
    return find_spec("vl_convert") is not None


def figure(drawn: Drawn) -> str:
    """Return a figure as HTML."""
    svg = to_svg(drawn)
    return f"<figure>{svg}{html.element('figcaption', drawn.caption)}</figure>"


def to_svg(drawn: Drawn) -> str:
    """Return a figure as SVG, its colours those of the page around it."""
    import vl_convert

    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": _CONFIG,
        **drawn.spec,
    }
    svg: str = vl_convert.vegalite_to_svg(spec)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)  # within a page it needs no address
    for colour, name in _VARIABLES.items():
        svg = svg.replace(f'"{colour}"', f'"var(--{name})"')
    # a marker of one figure must not be another's
    prefix = f"f{zlib.crc32(svg.encode()):x}-"
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", svg)
    label = f'role="group" aria-label="{escape(drawn.caption, quote=True)}"'
    return svg.replace("<svg ", f"<svg {label} ", 1)


def figures(found: Sequence[Drawn]) -> list[str]:
    """Return figures as parts of a page; one sentence where they cannot be drawn."""
    if not found:
        return []
    return list(map(figure, found)) if can_draw() else [html.element("p", MISSING, "about")]


# parts of specifications --------------------------------------------------------------------------


def table(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return data of a specification."""
    return {"data": {"values": list(values)}}


def log_axis(
    field: str, title: str, values: Iterable[float], unit: str = "", format_: str = "~s"
) -> dict[str, Any]:
    """Return a log axis around `values`, whose numbers have the prefixes of units: ``10 µs``."""
    finite = [value for value in values if 0 < value < math.inf]
    least, most = min(finite), max(finite)
    axis: dict[str, Any] = {"title": title, "values": ticks(least, most), "grid": True}
    axis["labelExpr"] = _with_prefix(unit, format_)
    # both ends lie a little inside of the axis
    margin = (most / least) ** 0.03
    scale = {"type": "log", "nice": False, "domain": [least / margin, most * margin]}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def linear_axis(field: str, title: str, most: float, unit: str = "") -> dict[str, Any]:
    """Return an axis from zero on, with room for a label behind `most`."""
    axis = {"title": title, "labelExpr": _with_prefix(unit), "tickCount": 5}
    scale = {"domain": [0, most * 1.25]}
    return {"field": field, "type": "quantitative", "axis": axis, "scale": scale}


def _with_prefix(unit: str, format_: str = "~s") -> str:
    """Return the expression of a label with the prefix of its unit: 0.00001 s is 10 µs."""
    plain = f"format(datum.value, '{format_}') + '{unit}'"
    return f"replace({plain}, /([^0-9.]+)$/, ' $1')" if unit else plain


def ticks(least: float, most: float) -> list[float]:
    """Return the ticks of a log axis: powers of ten, or 1, 2 and 5 of each where they are few.

    Examples
    --------
    >>> ticks(1.0, 1e4), ticks(2.0, 60.0)
    ([1.0, 10.0, 100.0, 1000.0, 10000.0], [2.0, 5.0, 10.0, 20.0, 50.0])
    """
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    whole = last - first
    apart = max(1, round(whole / 8))
    parts = (1, 2, 5) if whole <= 2 else (1,)
    powers = range(first, last + 1, apart)
    found = [float(f"{part}e{power}") for power in powers for part in parts]
    return [each for each in found if least * 0.999 <= each <= most * 1.001]


def colour_of(field: str, order: Sequence[str], legend: bool = True) -> dict[str, Any]:
    """Return the colours of series in their order, the same in every figure of a report."""
    scale = {"domain": list(order), "range": [SERIES[n % len(SERIES)] for n in range(len(order))]}
    shown = {"symbolOpacity": 1, "symbolType": "square", "symbolSize": 90} if legend else None
    return {"field": field, "type": "nominal", "scale": scale, "legend": shown}


def shape_of(field: str, shapes: Mapping[str, str]) -> dict[str, Any]:
    """Return a shape for each value of a field."""
    scale = {"domain": list(shapes), "range": list(shapes.values())}
    legend = {"symbolFillColor": _TEXT, "symbolStrokeColor": _TEXT}
    return {"field": field, "type": "nominal", "scale": scale, "legend": legend}
