"""A saved result that was damaged anywhere: refused by name with what to do, or read rightly."""

import copy
import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest

import sidebyside as sbs
from sidebyside.errors import ResultFileError, SideBySideError
from sidebyside.report.figures.graphs import graph_figures
from sidebyside.results.comparison import DrawnGraph
from sidebyside.results.result import RENDERERS
from sidebyside.results.saved.file import KINDS, result_of

GONE = object()
"""Stands for a key or an entry that is taken away."""

DAMAGES = (GONE, None, True, "x", -1, 0, 1e308, 10**400, "NaN", "-Infinity", [], {}, ["x"], [[1]])


ABOUT = {
    "date": "2026-11-29T13:00:00+00:00",
    "commit": None,
    "host": "here",
    "processor": "P",
    "system": "Linux x86_64",
    "kernel": "6.1",
    "cores": 2,
    "load": 0.5,
    "python": "3.11.7",
    "versions": {"numpy": "2.4.6"},
    "threads": 2,
    "thread_variables": {"OMP_NUM_THREADS": "2"},
    "settings": {
        "budget": 2.0,
        "replicates": 8,
        "seed": 0,
        "tolerance": {"x": 1e-4},
        "time_limit": "Infinity",
        "validate": False,
        "instructions": False,
        "attribute": True,
    },
    "pools": {"x": [{"library": "jax", "version": "1", "threads": None, "architecture": None}]},
    "machine": {
        "copies": {"32768": 1e10, "524288": 1e10},
        "products": {"float32": 1e11, "float64": 5e10},
        "functions": 1e8,
    },
    "collector": "off",
    "order": "drawn",
    "one_process": "",
    "interrupted": True,
}


def whole(kind):
    """Return a result with everything in it that may be there."""
    path = Path(__file__).parents[2] / "docs" / "result_fields.py"
    spec = importlib.util.spec_from_file_location("result_fields", path)
    fields = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fields)
    found = fields.filled(kind)
    about = found if isinstance(found, sbs.Comparison) else found.comparison
    about = dataclasses.replace(about, rows=about.rows[:1], environment=ABOUT)
    if kind is sbs.Comparison:
        return about
    return dataclasses.replace(found, comparison=about)


@pytest.fixture(scope="module")
def saved():
    """Return a result of each kind as files have it."""
    found = {name: whole(kind) for name, kind in KINDS.items()}
    return {name: json.loads(RENDERERS[type(each)].json(each)) for name, each in found.items()}


def places(data, where=()):
    """Yield the way to each part; of a list to the first."""
    if where:
        yield where
    if isinstance(data, dict):
        for key in data:
            yield from places(data[key], (*where, key))
    elif isinstance(data, list) and data:
        yield from places(data[0], (*where, 0))


def damaged(data, where, damage):
    """Return a copy with one part replaced, or taken away."""
    changed = copy.copy(data)
    first, *rest = where
    if rest:
        changed[first] = damaged(data[first], rest, damage)
    elif damage is GONE:
        del changed[first]
    else:
        changed[first] = damage
    return changed


def test_a_damage_anywhere_is_refused_by_name_or_read(saved):
    refused = 0
    for data in saved.values():
        sound = result_of(data, "sound.json")
        for number, where in enumerate(places(data)):
            if where[0] in ("comparison", "self_check") and len(where) > 2:
                continue  # as in a comparison
            # each place has some of the damages, and its neighbours have the others
            for damage in DAMAGES[number % 4 :: 4]:
                changed = damaged(data, where, damage)
                try:
                    found = result_of(changed, "damaged.json")
                except ResultFileError as error:
                    assert error.fix and "damaged.json" in str(error)
                    refused += 1
                    continue
                assert found.to_data()
                if isinstance(found, sbs.Comparison) and number % 2 == 0:
                    assert found.text(80)
                    try:
                        sbs.diff(sound, found, limit=0.05).text(80)
                    except SideBySideError as error:
                        assert error.fix
    assert refused > 500


@pytest.mark.parametrize(
    ("where", "damage", "said"),
    [
        (("schema",), "2", "its schema is '2', where a whole number belongs"),
        (("schema",), True, "its schema is True"),
        (("environment", "date"), "yesterday", "environment.date is 'yesterday', where a date"),
        (("environment", "cores"), "2", "environment.cores is '2', where a whole number belongs"),
        (("environment", "versions", "numpy"), 2, "environment.versions.numpy is 2, where text"),
        (("environment", "load"), "Infinity", "environment.load is 'Infinity', where a number"),
        (("environment", "pools"), {"static": ["x"]}, "environment.pools.static[0] is 'x', where"),
        (("environment", "machine"), {}, "environment.machine has no copies"),
        (("rows", 0, "reference"), "eager", "'eager' is none of its modes, x, y"),
        (("rows", 0, "cells", 1, "mode"), "x", "two cells of one mode"),
        (("rows", 0, "cells", 0, "outcome"), "won", "an outcome 'won'"),
        (("rows", 0, "cells", 0, "calls"), -1, "is -1, where a whole number of 0 or more belongs"),
        (("rows", 0, "cells", 0, "steady", "value"), 1e308, "does not lie from"),
        (("rows", 0, "cells", 0, "steady", "low"), "NaN", "is 'NaN', where a number belongs"),
        (("rows", 0, "cells", 0, "replicates", 0, "start"), 0, "a time that is none"),
        (("rows", 0, "cells", 0, "replicates", 1, "blocks"), [], "it has no blocks"),
        (("rows", 0, "cells", 1, "steps", 1, "change"), None, "a step without one before it"),
        (("rows", 0, "confidence"), 0, "a confidence of 0"),
    ],
)
def test_what_is_wrong_is_named(saved, where, damage, said):
    with pytest.raises(ResultFileError) as caught:
        result_of(damaged(saved["comparison"], where, damage), "damaged.json")
    assert said in str(caught.value)


def test_a_decision_is_about_its_modes(saved):
    for where, damage, said in (
        (("chosen",), "jit", "'jit' is none of its modes, x, y"),
        (("undecided",), ["jit"], "'jit' is none of its modes"),
        (("comparison", "rows"), [], "0 programs in place of the one"),
        (("calls",), 0, "no calls"),
    ):
        with pytest.raises(ResultFileError) as caught:
            result_of(damaged(saved["decision"], where, damage), "damaged.json")
        assert said in str(caught.value)


def test_a_graph_that_was_cut_is_left_out_of_the_page():
    for data in ('{"words": {"op"', "[]", '{"words": {}}'):
        (part,) = graph_figures([DrawnGraph("as declared", "", data)])
        assert "It cannot be drawn, since it is damaged" in part
