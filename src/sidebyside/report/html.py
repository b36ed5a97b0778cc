"""Parts of HTML: tables, texts, and one document that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sidebyside.report.text_table import Line, Span

_LIGHT = (
    "--text:#222;--paper:#fff;--line:#ccc;--strong:#999;--verdict:#eef3fb;--code:#f6f6f6;"
    "--bar:#7aa6d8;--faint:#666;"
    "--series-1:#0b62a8;--series-2:#c4520a;--series-3:#0a7d55;--series-4:#7a4fb0;"
    "--series-5:#a8326e;--series-6:#7d6608;--series-7:#27788f;--series-8:#5c5c5c"
)
_DARK = (
    "--text:#e8eaed;--paper:#17181b;--line:#3c4043;--strong:#7d8288;--verdict:#1c2a40;"
    "--code:#202225;--bar:#4f86c6;--faint:#a3a8ae;"
    "--series-1:#6db3f2;--series-2:#f4955a;--series-3:#55c99b;--series-4:#bb9ae8;"
    "--series-5:#ef8cbd;--series-6:#d6bd4f;--series-7:#78c6d9;--series-8:#b5b5b5"
)
_STYLE = f"""
.sbs {{ {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ .sbs {{ {_DARK} }} }}
[data-jp-theme-light="true"] .sbs, .vscode-light .sbs {{ {_LIGHT} }}
[data-jp-theme-light="false"] .sbs, .vscode-dark .sbs, [data-theme="dark"] .sbs {{ {_DARK} }}
.sbs {{ font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper);
  max-width: 70em; overflow-x: auto; }}
.sbs table {{ border-collapse: collapse; margin: .5em 0; }}
.sbs th, .sbs td {{ border-bottom: 1px solid var(--line); padding: .3em .8em; text-align: right;
  vertical-align: top; white-space: pre-line; }}
.sbs th:first-child, .sbs td:first-child, .sbs .claims td, .sbs .claims th {{ text-align: left; }}
.sbs .claims td {{ white-space: normal; width: 50%; }}
.sbs .claims .verdict td {{ background: var(--verdict); border-bottom: 2px solid var(--strong); }}
.sbs pre {{ background: var(--code); padding: .6em; overflow-x: auto; }}
.sbs .bar {{ fill: var(--bar); }} .sbs .whisker {{ stroke: var(--text); }}
.sbs svg {{ max-width: 100%; height: auto; overflow: visible; }}
.sbs svg.bars text {{ font-size: 13px; fill: var(--text); }}
.sbs figure {{ margin: 1em 0; max-width: 44em; break-inside: avoid; }}
.sbs figcaption {{ color: var(--faint); font-size: 13px; }}
.sbs .short {{ border-left: 3px solid var(--strong); padding: .2em 1em .2em 2em; margin: 0; }}
@media (max-width: 40em) {{ .sbs table:not(.claims) {{ display: block; overflow-x: auto; }}
  .sbs table:not(.claims) :is(td, th) {{ white-space: pre; }} }}
@media print {{ .sbs tr, .sbs h3 {{ break-inside: avoid; break-after: avoid; }} }}
.sbs .about {{ color: var(--faint); font-size: 13px; white-space: pre-line; }}
"""
"""In light and dark, as the page or the system says; on paper always in light."""


def document(title: str, body: str) -> str:
    """Return a whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        "<style>@media screen and (prefers-color-scheme: dark) "
        "{ body { background: #17181b; } }</style>"
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
