"""An array in one line: its range and mean, and how many of its elements are not finite."""

from __future__ import annotations

import numpy as np

from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array


def summarize(array: Array) -> str:
    """Return the least, greatest and mean element, and the number of NaN and infinities.

    Of complex numbers the absolute values are meant.

    Examples
    --------
    >>> summarize(np.array([1.0, 2.0, 6.0]))
    'min 1  max 6  mean 3'
    >>> summarize(np.array([1.0, np.nan]))
    'min 1  max 1  mean 1  1 NaN'
    """
    if not array.size:
        return "empty"
    kind = array.dtype.kind
    elements = np.abs(array).reshape(-1) if kind == "c" else array.reshape(-1)
    notes: list[str] = []
    if kind in FLOATING:
        finite = elements[np.isfinite(elements)]
        nans = int(np.isnan(elements).sum())
        others = elements.size - finite.size - nans
        notes = [f"{count} {what}" for count, what in ((nans, "NaN"), (others, "inf")) if count]
        elements = finite
    if not elements.size:
        return "  ".join(notes)
    if array.size == 1:
        return str(array.reshape(-1)[0])
    if kind == "b":
        return f"{np.count_nonzero(elements)} of {elements.size} True"
    with np.errstate(all="ignore"):
        mean = elements.mean(dtype=np.float64)
    low, high = elements.min(), elements.max()
    ends = f"min {low:.6g}  max {high:.6g}" if kind in FLOATING else f"min {low}  max {high}"
    return "  ".join([ends, f"mean {mean:.6g}", *notes])
