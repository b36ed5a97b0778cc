"""What a misspelled name may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def _closest(name: str, known: list[str]) -> list[str]:
    import difflib  # for a message only

    return difflib.get_close_matches(name, known, n=1)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message on an unknown name: the known one that is like it, if one is.

    Examples
    --------
    >>> did_you_mean("statc", ("dynamic", "static")), did_you_mean("x", ("dynamic", "static"))
    ("; did you mean 'static'?", '')
    """
    close = _closest(name, list(known))
    return f"; did you mean {close[0]!r}?" if close else ""


ARGUMENTS = {
    "M": ("columns",),
    "N": ("rows",),
    "axes": ("axis",),
    "axis": ("axes", "start_axis"),
    "a_max": ("max",),
    "a_min": ("min",),
    "ddof": ("correction",),
    "dim": ("axis", "axes"),
    "dim0": ("axis0",),
    "dim1": ("axis1",),
    "dims": ("axis", "axes", "shape"),
    "end_dim": ("end_axis",),
    "eps": ("epsilon", "eps"),
    "input": ("x",),
    "indices_or_sections": ("sections",),
    "k": ("offset", "k"),
    "keepdim": ("keepdims",),
    "keep_dims": ("keepdims",),
    "kernel_size": ("kernel_size", "window"),
    "n": ("num", "n", "rows"),
    "m": ("columns",),
    "n_cols": ("columns",),
    "n_rows": ("rows",),
    "newshape": ("shape",),
    "num_classes": ("depth",),
    "other": ("y", "x2"),
    "repeats": ("repetitions", "repeats"),
    "reps": ("repetitions",),
    "size": ("shape",),
    "start_dim": ("start_axis",),
    "unbiased": ("correction",),
}
"""Arguments of NumPy, PyTorch and JAX, and what they are called here, likeliest first."""


def argument_meant(name: str, known: Iterable[str]) -> str | None:
    """Return the argument among `known` that `name`, which is none, may have meant, or None.

    Examples
    --------
    >>> argument_meant("keepdim", ("axis", "keepdims"))
    'keepdims'
    """
    names = list(known)
    for each in ARGUMENTS.get(name, ()):
        if each in names:
            return each
    close = _closest(name, names)
    return close[0] if close else None
