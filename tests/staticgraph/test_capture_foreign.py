"""Capture: what is reached through code and objects of others, which nothing observes."""

import collections
import functools
import queue
import random
import types
import warnings

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.errors import BakedValueWarning

ONE = np.ones(1)
function = functools.partial(sg.function, backend="interpret")

LIMIT = 2.0


class Holder:
    def __init__(self, w=2.0):
        self.w = w


def set_limit(_):
    globals().update(LIMIT=5.0)


def set_w(holder):
    holder.w = 5.0


def times_limit(x):
    return x * LIMIT


def installed(text):
    """Return what a module of an installed package holds that has this text."""
    space = {}
    exec(compile(text, np.__file__, "exec"), space)
    return space


def decorated(f):
    return installed(
        "def decorator(f):\n    def inner(*a):\n        return f(*a)\n    return inner"
    )["decorator"](f)


def lazy_module():
    module = types.ModuleType("capture_lazy")
    exec("value = 2.0\ndef __getattr__(name):\n    return value", vars(module))
    return module


def in_a_queue():
    made = queue.Queue()
    made.put(Holder())
    return made


WATCHED = {
    "method of a dict": (
        lambda: {"a": 2.0},
        lambda o: (lambda get: lambda x: x * get("a"))(o.get),
        lambda o: o.update(a=5.0),
    ),
    "method of a list": (
        lambda: [2.0],
        lambda o: (lambda get: lambda x: x * get(0))(o.__getitem__),
        lambda o: o.__setitem__(0, 5.0),
    ),
    "operator of a list": (
        lambda: [2.0],
        lambda o: (lambda length: lambda x: x * length())(o.__len__),
        lambda o: o.append(1.0),
    ),
    "method of an array": (
        lambda: np.array([2.0]),
        lambda o: (lambda item: lambda x: x * item())(o.item),
        lambda o: o.fill(5.0),
    ),
    "vectorize": (
        lambda: np.vectorize(times_limit),
        lambda o: lambda x: x * o(1.0),
        set_limit,
    ),
    "frompyfunc": (
        lambda: np.frompyfunc(times_limit, 1, 1),
        lambda o: lambda x: x * o(1.0),
        set_limit,
    ),
    "decorator of a package": (
        lambda: decorated(times_limit),
        lambda o: lambda x: o(x),
        set_limit,
    ),
    "registry of a package": (
        lambda: functools.singledispatch(lambda _: 2.0),
        lambda o: lambda x: x * o(1),
        lambda o: o.register(int, lambda _: 5.0),
    ),
    "function in a registry": (
        lambda: functools.singledispatch(lambda _: LIMIT),
        lambda o: lambda x: x * o(1),
        set_limit,
    ),
    "array of objects": (
        lambda: np.array([Holder(), None]),
        lambda o: lambda x: x * o[0].w,
        lambda o: set_w(o[0]),
    ),
    "array of lists": (
        lambda: np.array([[2.0], None], dtype=object),
        lambda o: lambda x: x * o[0][0],
        lambda o: o[0].__setitem__(0, 5.0),
    ),
    "list of Python's": (
        lambda: collections.UserList([Holder()]),
        lambda o: lambda x: x * o[0].w,
        lambda o: set_w(o[0]),
    ),
    "mapping that is read only": (
        lambda: types.MappingProxyType({"a": Holder()}),
        lambda o: lambda x: x * o["a"].w,
        lambda o: set_w(o["a"]),
    ),
    "queue": (
        in_a_queue,
        lambda o: lambda x: x * o.queue[0].w,
        lambda o: set_w(o.queue[0]),
    ),
    "attribute that a module makes": (
        lazy_module,
        lambda o: lambda x: x * o.anything,
        lambda o: setattr(o, "value", 5.0),
    ),
}


@pytest.fixture(autouse=True)
def _limit(monkeypatch):
    monkeypatch.setitem(globals(), "LIMIT", 2.0)


@pytest.mark.parametrize("way", WATCHED)
def test_a_change_is_seen_by_the_next_call(way):
    make, function_of, change = WATCHED[way]
    state = make()
    f = function_of(state)
    compiled = function(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = compiled(ONE)
        compiled(ONE)
        assert len(compiled.explain().traces) == 1
        change(state)
        after = compiled(ONE)
    assert not np.array_equal(before, after)
    assert np.array_equal(after, np.asarray(function(f)(ONE)))


FRESH = {
    "datetime64": lambda: float(np.datetime64("now").astype(float)),
    "datetime64 of a day": lambda: float(np.datetime64("today", "D").astype(float)),
    "SystemRandom": lambda: random.SystemRandom().random(),
    "SeedSequence": lambda: np.random.SeedSequence().entropy % 7,
    "PCG64": lambda: np.random.Generator(np.random.PCG64()).random(),
    "MT19937": lambda: np.random.Generator(np.random.MT19937(None)).random(),
    "Philox": lambda: np.random.Generator(np.random.Philox()).random(),
}


@pytest.mark.parametrize("way", FRESH)
def test_what_differs_in_each_call_is_named(way):
    draw = FRESH[way]
    compiled = function(lambda x: x * draw())
    with pytest.warns(BakedValueWarning) as caught:
        compiled(ONE)
    assert "another value each time" in caught[0].message.cause


def test_a_function_of_a_package_that_holds_itself_ends():
    count = installed(
        "def make():\n    def count(n):\n        return n and count(n - 1)\n    return count"
    )["make"]()
    assert function(lambda x: x + count(3))(ONE) == 1.0


def test_what_has_a_seed_is_the_same_in_each_call():
    def f(x):
        generator = np.random.Generator(np.random.PCG64(1))
        return x * generator.random() * np.datetime64("2020-01-01").astype(float)

    compiled = function(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(ONE) == compiled(ONE)


def test_the_clock_of_a_package_is_named():
    pandas = pytest.importorskip("pandas")
    compiled = function(lambda x: x * pandas.Timestamp.now().year)
    with pytest.warns(BakedValueWarning, match=r"now\(\)"):
        compiled(ONE)


def test_a_method_that_was_taken_before_and_changes_its_object_is_named():
    log = [2.0]
    append = log.append

    def f(x):
        append(3.0)
        return x * log[-1]

    compiled = function(f)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled(ONE)
    assert any(each.message.what.startswith("f: log=") for each in caught)


def holding_itself(kind):
    """Return a container or array that holds itself and, where the walk must end, a number."""
    if kind is np.ndarray:
        made = np.array([2.0, None])
        made[1] = made
        return made, lambda o: o[0], lambda o: o.__setitem__(0, 5.0)
    if kind is collections.deque:
        made = collections.deque([2.0])
        made.append(made)
        return made, lambda o: o[0], lambda o: o.__setitem__(0, 5.0)
    made = kind(k=2.0)
    made.root = made["also"] = made
    return made, lambda o: o["k"], lambda o: o.update(k=5.0)


class Tree(dict):
    pass


class Lazy(dict):
    def values(self):
        return [object() for _ in self]


@pytest.mark.parametrize("kind", [np.ndarray, collections.deque, Tree])
def test_what_holds_itself_is_watched(kind):
    state, read, change = holding_itself(kind)
    compiled = function(lambda x: x * read(state))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(ONE) == compiled(ONE) == 2.0
        assert len(compiled.explain().traces) == 1
        change(state)
        assert compiled(ONE) == 5.0


def test_what_is_made_anew_at_each_look_has_not_changed():
    records = np.zeros(2, [("a", object), ("b", float)])
    lazy, texts = Lazy(k=2.0), np.array(["a", "b"], dtype=np.dtypes.StringDType())
    empty = np.zeros((0, 3))

    def f(x):
        return x * len(records) * len(texts) * lazy["k"] + len(empty)

    compiled = function(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(ONE) == compiled(ONE) == 8.0
    assert compiled.explain().traces[0].effects == []
    assert len(compiled.explain().traces) == 1
