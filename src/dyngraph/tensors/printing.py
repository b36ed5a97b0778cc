"""How tensors print: as PyTorch prints them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dyngraph.tape.nodes import GradFn
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import DEFAULT_DTYPE, Array

PRECISION = 4
LINE_WIDTH = 80
THRESHOLD = 1000
"""The number of elements up to which all are shown."""
EDGE = 3
"""How many are shown at each end of an axis otherwise."""

_PREFIX = "tensor("
_UNNAMED = (DEFAULT_DTYPE, np.dtype(np.int64), np.dtype(np.bool_), np.dtype(np.complex64))
"""The dtypes that the numbers themselves tell."""


def format_tensor(array: Array, node: Any) -> str:
    """Return the text of a tensor, such as ``tensor([6.], grad_fn=<MulBackward0>)``.

    Parameters
    ----------
    array : ndarray
    node : GradFn, AccumulateGrad or None
    """
    suffixes = []
    if array.size:
        body = _elements(array)
        named = array.dtype not in _UNNAMED
    else:
        body = "[]"
        named = array.dtype != DEFAULT_DTYPE
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
    if named:
        suffixes.append(f"dtype={array.dtype.name}")
    if isinstance(node, GradFn):
        suffixes.append(f"grad_fn=<{node.name()}>")
    elif node is not None:
        suffixes.append("requires_grad=True")
    return _with_suffixes(_PREFIX + body, suffixes)


def _with_suffixes(text: str, suffixes: list[str]) -> str:
    """Return `text` with each suffix on its last line, or on a line of its own."""
    used = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > LINE_WIDTH:
            text += ",\n" + " " * len(_PREFIX) + suffix
            used = len(_PREFIX) + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


def tensor_html(array: Array, node: Any) -> str:
    """Return a tensor of up to two axes as a table, else its text, below what it is."""
    from html import escape  # late: its table of names takes a millisecond

    about = f"{array.dtype.name}{list(array.shape)}"
    if isinstance(node, GradFn):
        about += f", grad_fn={node.name()}"
    elif node is not None:
        about += ", requires a gradient"
    heading = f"<small>{escape(about)}</small>"
    if not array.size or array.ndim > 2:
        return f"{heading}<pre>{escape(format_tensor(array, node))}</pre>"
    edge = EDGE if array.size > THRESHOLD else None
    shown = np.atleast_2d(_edges(array, edge) if edge else array)
    element, _ = _element_format(shown)
    across, down = np.atleast_2d(array).shape[1], np.atleast_2d(array).shape[0]
    rows = []
    for row in shown:
        cells = [f"<td>{escape(element(each))}</td>" for each in row]
        if edge and across > 2 * edge:
            cells.insert(edge, "<td>…</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    if edge and down > 2 * edge:
        rows.insert(edge, f'<tr><td colspan="{shown.shape[1] + 1}">⋮</td></tr>')
    return f"{heading}<table>{''.join(rows)}</table>"


# elements -----------------------------------------------------------------------------------------


def _elements(array: Array) -> str:
    """Return the numbers of an array that has some, in nested brackets."""
    edge = EDGE if array.size > THRESHOLD else None
    element, width = _element_format(_edges(array, edge) if edge else array)
    in_line = max(1, (LINE_WIDTH - len(_PREFIX) - array.ndim + 1) // (width + 2))

    def nested(part: Array, indent: int) -> str:
        if not part.ndim:
            return element(part[()])
        left_out = edge is not None and len(part) > 2 * edge
        shown = [*part[:edge], *part[-edge:]] if edge is not None and left_out else list(part)
        if part.ndim > 1:
            texts = [nested(each, indent + 1) for each in shown]
            if left_out:
                texts.insert(EDGE, "...")
            return f"[{(',' + _new_line(indent, part.ndim - 1)).join(texts)}]"
        texts = [element(each) for each in shown]
        if left_out:
            texts.insert(EDGE, " ...")
        lines = [", ".join(texts[i : i + in_line]) for i in range(0, len(texts), in_line)]
        return f"[{(',' + _new_line(indent, 1)).join(lines)}]"

    return nested(array, len(_PREFIX))


def _new_line(indent: int, count: int) -> str:
    return "\n" * count + " " * (indent + 1)


def _edges(array: Array, edge: int) -> Array:
    """Return the elements that are shown of a large array."""
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = array.take([*range(edge), *range(n - edge, n)], axis)
    return array


def _element_format(shown: Array) -> tuple[Callable[[Any], str], int]:
    """Return how an element is written, and the width that it takes."""
    if shown.dtype.kind in REAL_FLOATING:
        return _float_format(shown)
    if shown.dtype.kind == "c":
        return _complex_format(shown)
    convert = bool if shown.dtype.kind == "b" else int
    width = max(len(str(convert(x))) for x in shown.flat)
    return lambda x: str(convert(x)).rjust(width), width


def _float_format(shown: Array) -> tuple[Callable[[Any], str], int]:
    """Return the format of floats: whole numbers as ``5.``, else fixed or scientific."""
    numbers = shown.astype(np.float64)
    numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
    whole = bool((numbers == np.ceil(numbers)).all())
    scientific = False
    if numbers.size:
        low, high = np.abs(numbers).min(), np.abs(numbers).max()
        scientific = high > 1000 * low or high > 1e8 or (low < 1e-4 and not whole)

    def text(x: Any) -> str:
        x = float(x)
        if scientific:
            return f"{x:.{PRECISION}e}"
        if whole:
            return f"{x:.0f}." if np.isfinite(x) else str(x)
        return f"{x:.{PRECISION}f}"

    width = max((len(text(x)) for x in numbers), default=1)
    return lambda x: text(x).rjust(width), width


def _complex_format(shown: Array) -> tuple[Callable[[Any], str], int]:
    real, real_width = _float_format(shown.real)
    imag, imag_width = _float_format(shown.imag)

    def text(x: Any) -> str:
        part = imag(x.imag).lstrip() + "j"
        return real(x.real) + (part if part[0] in "+-" else "+" + part)

    return text, real_width + imag_width + 1
