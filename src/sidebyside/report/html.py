"""Parts of HTML: tables, texts, and one document that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sidebyside.report.text_table import Line, Span

_STYLE = """
.sbs { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 70em; }
.sbs table { border-collapse: collapse; margin: .5em 0; }
.sbs th, .sbs td { border-bottom: 1px solid #ccc; padding: .3em .8em; text-align: right;
  vertical-align: top; white-space: pre-line; }
.sbs th:first-child, .sbs td:first-child, .sbs .claims td, .sbs .claims th { text-align: left; }
.sbs .claims td { white-space: normal; width: 50%; }
.sbs .claims .verdict td { background: #eef3fb; border-bottom: 2px solid #999; }
.sbs pre { background: #f6f6f6; padding: .6em; overflow-x: auto; }
.sbs .bar { fill: #7aa6d8; } .sbs .whisker { stroke: #222; } .sbs svg text { font-size: 13px; }
.sbs .about { color: #666; font-size: 13px; white-space: pre-line; }
"""


def document(title: str, body: str) -> str:
    """Return a whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title></head><body>\n{body}\n</body></html>\n"
    )


def block(parts: Sequence[str]) -> str:
    """Return the parts of a document with their style."""
    return "\n".join([f'<div class="sbs"><style>{_STYLE}</style>', *parts, "</div>"])


def element(tag: str, text: str, kind: str = "") -> str:
    """Return an element with text in it.

    Examples
    --------
    >>> element("p", "a < b"), element("p", "x", "about")
    ('<p>a &lt; b</p>', '<p class="about">x</p>')
    """
    return f"<{tag}{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</{tag}>"


def table(lines: Sequence[Line], kind: str = "") -> str:
    """Return a table, of the same lines as one of text: those before the first rule are headings.

    Examples
    --------
    >>> table([["op", "calls"], None, ["add", "3"]])
    '<table><tr><th>op</th><th>calls</th></tr><tr><td>add</td><td>3</td></tr></table>'
    """
    first, tag, rows = next(line for line in lines if isinstance(line, Sequence)), "th", []
    for line in lines:
        if line is None:
            tag = "td"
        elif isinstance(line, Span):
            cell = f'<td colspan="{len(first)}">{escape(line.text)}</td>'
            rows.append(f'<tr class="verdict">{cell}</tr>')
        else:
            rows.append(f"<tr>{''.join(element(tag, text) for text in line)}</tr>")
    return f"<table{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{''.join(rows)}</table>"
