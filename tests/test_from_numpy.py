"""Where a name means something else than in NumPy: the table of docs/from_numpy.md is whole."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from tests.test_from_pytorch import CALLS, NOT_COMPARED, differ

import dyngraph as dg
import staticgraph as sg

PAGE = Path(__file__).parent.parent / "docs" / "from_numpy.md"
SKIPPED = [pattern for reason, pattern in NOT_COMPARED.items() if "torch" not in reason]
PLACES = {
    "": (np, dg),
    "linalg": (np.linalg, dg.linalg),
    "fft": (np.fft, dg.fft),
    "methods": (np.ndarray, dg.Tensor),
}


def found(theirs, ours):
    """Return the names of both places that differ, each with the calls in which they do."""
    differing = {}
    for name in sorted(set(dir(theirs)) & set(dir(ours))):
        if any(pattern.search(name) for pattern in SKIPPED):
            continue
        f, g = getattr(theirs, name, None), getattr(ours, name, None)
        if not callable(f) or not callable(g) or isinstance(f, type) or isinstance(g, type):
            continue
        for shown, call in CALLS.items():
            try:
                expected, result = call(f, np.array), call(g, dg.tensor)
            except Exception:  # refused by one of them, which is not silent
                continue
            if differ(expected, result, "whole" in shown):
                differing.setdefault(name, []).append(shown)
    return differing


def test_the_table_has_what_differs_and_nothing_else():
    differing = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for theirs, ours in PLACES.values():
            for name, calls in found(theirs, ours).items():
                differing.setdefault(name, []).extend(calls)
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(differing) == listed, {name: differing.get(name) for name in listed ^ set(differing)}


VIEWS = [lambda x: x.flatten(), lambda x: +x, lambda x: x[np.array(1)]]


@pytest.mark.parametrize("derive", VIEWS)
def test_what_is_a_view_here_is_a_copy_in_numpy(derive):
    def written(x, separate=lambda x: x):
        derived = separate(derive(x))
        derived[...] = 9
        return x

    numpys = written(np.zeros((2, 3)))
    assert not numpys.any()
    assert 9 in written(dg.zeros((2, 3))).numpy()
    assert not written(dg.zeros((2, 3)), lambda x: x.clone()).numpy().any()
    in_graph = sg.function(lambda x: written(x * 1), backend="numpy")(np.zeros((2, 3), "float32"))
    np.testing.assert_array_equal(in_graph, written(dg.zeros((2, 3))).numpy())


@pytest.mark.parametrize("part", [dg.real, np.real, lambda x: x.real])
def test_the_real_part_is_a_view_but_of_the_namespace(part):
    x = dg.zeros((2, 3))
    part(x)[...] = 9
    assert x.numpy().all() == (part is not dg.real)
