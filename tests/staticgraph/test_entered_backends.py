"""Backends that other distributions enter: loaded when asked for, and skipped if broken."""

import sys
import warnings

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.messages.errors import BackendError
from staticgraph.backends import registry

GROUP = "staticgraph.backends"
SOURCE = """
from dataclasses import replace

from staticgraph.backends.interpret import BACKEND

built = []


def build(program, plan):
    built.append(program)
    return BACKEND.build(program, plan)


counting = replace(BACKEND, name="whatever", build=build)


def make():
    return replace(counting, takes_lengths=False)
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(registry, "BACKENDS", dict(registry.BACKENDS))


def compiled(backend, shape=(2,)):
    with sg.Graph():
        x = sg.placeholder("x", shape)
        total = sg.cond(sg.sum(x) > 0, lambda: sg.sum(x * 2.0), lambda: sg.sum(x))
        return sg.compile(total, backend=backend)


def asked(backend):
    """Return what asking for a backend ends with, and the warnings."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        with pytest.raises(BackendError) as caught:
            registry.load_backend(backend)
    return str(caught.value), [str(each.message) for each in given]


@pytest.mark.parametrize("value", ["counting", "make"])
def test_a_program_is_compiled_by_it(install, value):
    install("other", GROUP, f"counting = other_module:{value}", SOURCE)
    run = compiled("counting")
    assert run([1.0, 2.0]) == 6.0
    assert run.backend == "counting"
    assert len(sys.modules["other_module"].built) == 3  # the program and both branches
    assert "counting" in registry.backend_names()


def test_it_is_given_numbers_where_it_takes_no_lengths(install):
    install("other", GROUP, "counting = other_module:make", SOURCE)
    run = compiled("counting", (sg.dim("n"),))
    assert run(np.ones(3, "float32")) == 6.0 and run(np.ones(4, "float32")) == 8.0


def test_sessions_functions_and_checks_take_it(install):
    install("other", GROUP, "counting = other_module:counting", SOURCE)
    assert sg.function(lambda x: x + 1.0, backend="counting")(1.0) == 2.0
    with sg.Graph() as graph:
        y = sg.constant([1.0]) + 1.0
    assert sg.Session(graph, backend="counting").run(y) == [2.0]
    assert sg.check_passes(y, [], backend="counting").stages[-1].name == "backend counting"


def test_nothing_is_loaded_before_it_is_asked_for(install):
    install("other", GROUP, "counting = other_module:counting", "raise RuntimeError('loaded')")
    compiled("numpy")
    compiled("interpret")
    assert "other_module" not in sys.modules
    with pytest.warns(match="RuntimeError: loaded"):
        assert "counting" not in registry.backend_names()


BROKEN = {
    "missing module": ("fast = nowhere:backend", "No module named 'nowhere'"),
    "missing name": ("fast = bad_module:nothing", "has no attribute 'nothing'"),
    "wrong type": ("fast = bad_module:built", "its value is of type list, and Backend is expected"),
    "function of arguments": ("fast = bad_module:build", "loading it ends with TypeError"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_one_is_named_and_nothing_else_fails(install, kind):
    points, cause = BROKEN[kind]
    install("bad", GROUP, points, SOURCE)
    install("other", GROUP, "counting = other_module:counting", SOURCE)
    text, (first, *_) = asked("fast")
    assert "there is no backend 'fast'" in text and "counting" in text
    assert "'fast' of distribution bad 2.5 is skipped" in first and cause in first
    assert compiled("counting")([1.0, 2.0]) == 6.0
    assert compiled("numpy")([1.0, 2.0]) == 6.0


def test_the_name_of_a_builtin_is_taken(install):
    install("bad", GROUP, "numpy = bad_module:counting", SOURCE)
    assert compiled("numpy").backend == "numpy"
    assert "bad_module" not in sys.modules
    with pytest.warns(match="'numpy' of distribution bad 2.5 is skipped"):
        assert registry.backend_names().count("numpy") == 1


def test_two_distributions_of_one_name(install):
    install("first", GROUP, "counting = first_module:counting", SOURCE)
    install("second", GROUP, "counting = second_module:counting", SOURCE)
    with pytest.warns(match="'counting' of distribution second 2.5 is skipped"):
        assert compiled("counting")([1.0, 2.0]) == 6.0
    assert "second_module" not in sys.modules
