"""Where a name means something else than in PyTorch: the table of docs/from_pytorch.md is whole."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import dyngraph as dg

torch = pytest.importorskip("torch")

PAGE = Path(__file__).parent.parent / "docs" / "from_pytorch.md"
X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]], "float32")
Y = np.array([[1.5, 2.0, 0.5], [0.75, 1.0, 2.5]], "float32")
WHOLE = np.array([[3, 1, 2], [2, 0, 1]])
TRUE = np.array([[True, False, True], [False, True, True]])
SQUARE = np.array([[2.0, 0.5], [0.5, 1.0]], "float32")
VECTOR = np.array([3.0, 1.0, 2.0], "float32")
CALLS = {
    "(x)": lambda f, of: f(of(X)),
    "(x, y)": lambda f, of: f(of(X), of(Y)),
    "(x, 0)": lambda f, of: f(of(X), 0),
    "(x, 1)": lambda f, of: f(of(X), 1),
    "(x, 0, 1)": lambda f, of: f(of(X), 0, 1),
    "(x, (1, 1))": lambda f, of: f(of(X), (1, 1)),
    "(x, 2.0)": lambda f, of: f(of(X), 2.0),
    "(x, dim=0)": lambda f, of: f(of(X), dim=0),
    "(x, y, y)": lambda f, of: f(of(X), of(Y), of(Y)),
    "((x, y))": lambda f, of: f((of(X), of(Y))),
    "(true, x, y)": lambda f, of: f(of(TRUE), of(X), of(Y)),
    "(whole)": lambda f, of: f(of(WHOLE)),
    "(whole, 2)": lambda f, of: f(of(WHOLE), 2),
    "(whole, whole)": lambda f, of: f(of(WHOLE), of(WHOLE)),
    "(square)": lambda f, of: f(of(SQUARE)),
    "(vector)": lambda f, of: f(of(VECTOR)),
    "(vector, vector)": lambda f, of: f(of(VECTOR), of(VECTOR)),
    "(3)": lambda f, of: f(3),
}
NOT_COMPARED = {
    "numbers are drawn": re.compile("rand|normal|bernoulli|dropout|empty|poisson|seed"),
    "signs and order are free": re.compile("svd|eig|qr"),
    "torch.x is not the function of PyTorch's users, which is in nn.functional": re.compile(
        "loss|kl_div|binary_cross"
    ),
    "of the module, not of arrays": re.compile("^_|compile|print|^save|^load"),
}


def arrays(result):
    """Return the arrays in a result, in order."""
    if isinstance(result, (tuple, list)):
        return [array for each in result for array in arrays(each)]
    return [np.asarray(result.detach().numpy() if hasattr(result, "detach") else result)]


def is_floats_of_whole_numbers(theirs, ours):
    """Tell whether float64 stands for float32, which the page says of all functions."""
    return theirs.dtype == "float32" and ours.dtype == "float64"


def differ(theirs, ours, of_whole):
    """Tell whether two results mean something else."""
    if isinstance(theirs, (tuple, list)) != isinstance(ours, (tuple, list)):
        return True
    theirs, ours = arrays(theirs), arrays(ours)
    if len(theirs) != len(ours):
        return True
    return any(
        a.shape != b.shape
        or not np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
        or not (a.dtype == b.dtype or (of_whole and is_floats_of_whole_numbers(a, b)))
        for a, b in zip(theirs, ours, strict=True)
        if a.dtype.kind in "biufc" and b.dtype.kind in "biufc"
    )


def found(theirs, ours):
    """Return the names of both places that differ, each with the calls in which they do."""
    differing = {}
    for name in sorted(set(dir(theirs)) & set(dir(ours))):
        if any(pattern.search(name) for pattern in NOT_COMPARED.values()):
            continue
        f, g = getattr(theirs, name, None), getattr(ours, name, None)  # some names only answer
        if not callable(f) or not callable(g) or isinstance(f, type) or isinstance(g, type):
            continue
        for shown, call in CALLS.items():
            try:
                expected, result = call(f, torch.tensor), call(g, dg.tensor)
            except Exception:  # refused by one of them, which is not silent
                continue
            if differ(expected, result, "whole" in shown):
                differing.setdefault(name, []).append(shown)
    return differing


def test_the_table_has_what_differs_and_nothing_else():
    differing = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for theirs, ours in (
            (torch, dg),
            (torch.nn.functional, dg),
            (torch.linalg, dg.linalg),
            (torch.Tensor, dg.Tensor),
        ):
            for name, calls in found(theirs, ours).items():
                differing.setdefault(name, []).extend(calls)
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(differing) == listed, {name: differing.get(name) for name in listed ^ set(differing)}
