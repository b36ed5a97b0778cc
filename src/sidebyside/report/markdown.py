"""Markdown, made of the parts of the HTML document, so that both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser

_LEFT_OUT = ("style", "script", "svg", "button")
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}


class _Writer(HTMLParser):
    """Collects blocks of Markdown from the few elements that reports are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self._text = ""
        self._rows: list[list[str]] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _LEFT_OUT:
            self._skipped += 1
        elif tag == "table":
            self._end_block()
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th", "p", "pre", "li", "figcaption", *_HEADINGS):
            if tag not in ("td", "th"):
                self._end_block()
            self._text = ""

    def handle_endtag(self, tag: str) -> None:
        text = self._text
        if tag in _LEFT_OUT:
            self._skipped -= 1
        elif tag in ("td", "th"):
            self._rows[-1].append(_inline(text).replace("|", "\\|").replace("\n", "<br>"))
            self._text = ""
        elif tag == "table":
            self.blocks.append(_table(self._rows))
        elif tag == "pre":
            fence = "```" if "```" not in text else "````"
            self.blocks.append(f"{fence}text\n{text}\n{fence}")
            self._text = ""
        elif tag == "li":
            self.blocks.append(f"- {_inline(text)}")
            self._text = ""
        elif tag in _HEADINGS:
            self.blocks.append(f"{_HEADINGS[tag]} {_inline(text)}")
            self._text = ""
        elif tag in ("p", "figcaption"):
            self._end_block()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._text += data

    def _end_block(self) -> None:
        if self._text.strip():
            self.blocks.append(_inline(self._text.strip()).replace("\n", "  \n"))
        self._text = ""


def _inline(text: str) -> str:
    """Return text so that no sign in it means something."""
    for sign in "\\`*_<[":
        text = text.replace(sign, f"\\{sign}")
    return text


def _table(rows: list[list[str]]) -> str:
    """Return a table; its first row are the headings, its first column stands at the left."""
    width = max(map(len, rows))
    whole = [row + [""] * (width - len(row)) for row in rows]
    lines = [whole[0], [":--", *["--:"] * (width - 1)], *whole[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def markdown_text(parts: Sequence[str]) -> str:
    r"""Return the parts of an HTML document as Markdown; drawings are left out.

    Examples
    --------
    >>> print(markdown_text(["<h3>a_b</h3>", "<p>1 &lt; 2</p>"]), end="")
    ### a\_b
    <BLANKLINE>
    1 \< 2
    """
    writer = _Writer()
    writer.feed("\n".join(parts))
    writer.close()
    writer._end_block()
    return "\n\n".join(writer.blocks) + "\n"
