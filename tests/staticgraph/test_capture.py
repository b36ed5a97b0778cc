"""Capture: whatever a traced function reads from outside is watched, by whatever route it is read.

Each way reads a state, which changes between two calls; the second must see the change. What
nothing can watch is named by a warning at the first call.
"""

import argparse
import collections
import contextlib
import contextvars
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import itertools
import math
import operator
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import traceback
import types
import typing
from array import array

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.errors import BakedValueWarning

ONE = np.ones(1)
function = functools.partial(sg.function, backend="interpret")

GLOBAL = 2.0
TABLE = {"a": {"b": [1.0, 2.0]}}
OPERATIONS = {"f": lambda x: x * 2}


class Base:
    k = 2.0

    def __init__(self, w=2.0):
        self.w = w

    def scale(self, x):
        return x * self.w


class Child(Base):
    def scale(self, x):
        return super().scale(x) + 1

    def explicit(self, x):
        return super().scale(x)

    def class_constant(self, x):
        return x * type(self).k

    def own_class(self, x):
        return x * self.__class__.k

    @property
    def doubled(self):
        return self.w * 2

    @functools.cached_property
    def cached(self):
        return self.w

    @classmethod
    def of_class(cls, x):
        return x * cls.k

    @staticmethod
    def of_none(x):
        return x * GLOBAL

    def __getitem__(self, i):
        return self.w * i

    def __len__(self):
        return int(self.w)

    def __mul__(self, x):
        return x * self.w

    def __bool__(self):
        return self.w > 3

    def __iter__(self):
        yield self.w

    def __contains__(self, x):
        return x == self.w

    def __enter__(self):
        return self.w

    def __exit__(self, *_):
        return None

    def __eq__(self, other):
        return self.w == other

    def __hash__(self):
        return 0

    def __float__(self):
        return float(self.w)


class Dynamic:
    def __init__(self):
        self._values = {"w": 2.0}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._values[name]


class Slots:
    __slots__ = ("w",)

    def __init__(self):
        self.w = 2.0


class Descriptor:
    def __get__(self, owner, kind=None):
        return owner.w * 2


class Described(Base):
    value = Descriptor()


@dataclasses.dataclass
class Data:
    w: float = 2.0


Point = collections.namedtuple("Point", "w")


def decorated(f):
    factor = Base()

    @functools.wraps(f)
    def wrapper(x):
        return f(x) * factor.w

    wrapper.factor = factor
    return wrapper


def helper(h, x):
    return x * h.w


def setting(name, value):
    """Return what sets an attribute of the object that a way holds."""
    return lambda o: setattr(o, name, value)


def nested(o):
    def inner(x):
        return (lambda y: y * o.w)(x)

    return inner


def in_scan(o):
    def f(x):
        total, _ = sg.scan(lambda c, v: (c + v * o.w, c), x[0], x)
        return total

    return f


def in_cond(o):
    return lambda x: sg.cond(x[0] > 0, lambda y: y * o.w, lambda y: y, x)


def in_while(o):
    return lambda x: sg.while_loop(lambda y: y[0] < 9, lambda y: y * o.w, x)


def generator_of(o):
    def f(x):
        def values():
            for _ in range(2):
                yield x * o.w

        return sum(values())

    return f


def with_match(o):
    def f(x):
        match o:
            case Base(w=w):
                return x * w
        return x

    return f


def imported(o):
    del o

    def f(x):
        from capture_settings import rate

        return x * rate

    return f


def module_attribute(o):
    del o

    def f(x):
        import capture_settings

        return x * capture_settings.rate

    return f


def later_method(o):
    o.scale = lambda x: x * 9


def replace_method(o):
    type(o).scale = lambda self, x: x * 9


def replaced_code(f):
    f.__code__ = (lambda x: x * 9).__code__


def set_settings(_):
    sys.modules["capture_settings"].rate = 7.0


fresh_class = lambda: type("Fresh", (Child,), {})()  # noqa: E731

fresh_base = lambda: type("Fresh", (Base,), {"k": 2.0})  # noqa: E731
derived = lambda kind: type("Derived", (kind,), {})  # noqa: E731

WAYS = {
    # name: (what holds the state, the function of it, what changes it)
    "attribute": (Base, lambda o: lambda x: x * o.w, setting("w", 5.0)),
    "class attribute of a new object": (
        fresh_base,
        lambda kind: lambda x: x * type("Of", (), {"made": kind})().made().k,
        lambda kind: setattr(kind, "k", 5.0),
    ),
    "class attribute that a new object inherits": (
        fresh_base,
        lambda kind: lambda x: x * derived(kind)().k,
        lambda kind: setattr(kind, "k", 5.0),
    ),
    "method of a new object": (
        fresh_base,
        lambda kind: lambda x: kind().scale(x),
        lambda kind: setattr(kind, "scale", lambda self, x: x * 9),
    ),
    "table of a new object's class": (
        lambda: type("Fresh", (Base,), {"table": [2.0]}),
        lambda kind: lambda x: x * kind().table[0],
        lambda kind: kind.table.insert(0, 5.0),
    ),
    "keywords of a partial": (
        lambda: functools.partial(lambda x, k: x * k, k=2.0),
        lambda o: lambda x: o(x),
        lambda o: o.keywords.update(k=5.0),
    ),
    "what a partial passes": (
        lambda: functools.partial(lambda values, x: x * values[0], [2.0]),
        lambda o: lambda x: o(x),
        lambda o: o.args[0].insert(0, 5.0),
    ),
    "what a traced partial passes": (
        lambda: functools.partial(lambda values, x: x * values[0], [2.0]),
        lambda o: o,
        lambda o: o.args[0].insert(0, 5.0),
    ),
    "attribute of an array": (
        lambda: Base(np.array([2.0])),
        lambda o: lambda x: x * o.w,
        setting("w", np.array([5.0])),
    ),
    "elements of an array": (
        lambda: Base(np.array([2.0])),
        lambda o: lambda x: x * o.w,
        lambda o: o.w.fill(5.0),
    ),
    "method": (Child, lambda o: o.scale, setting("w", 5.0)),
    "super": (Child, lambda o: o.scale, setting("w", 5.0)),
    "super with arguments": (Child, lambda o: o.explicit, setting("w", 5.0)),
    "type(self).k": (fresh_class, lambda o: o.class_constant, lambda o: setattr(type(o), "k", 5.0)),
    "self.__class__.k": (fresh_class, lambda o: o.own_class, lambda o: setattr(type(o), "k", 5.0)),
    "class method": (fresh_class, lambda o: o.of_class, lambda o: setattr(type(o), "k", 5.0)),
    "class attribute that an object gets": (
        fresh_class,
        lambda o: lambda x: x * o.k,
        setting("k", 5.0),
    ),
    "property": (Child, lambda o: lambda x: x * o.doubled, setting("w", 5.0)),
    "cached property": (Child, lambda o: lambda x: x * o.cached, setting("cached", 5.0)),
    "descriptor": (Described, lambda o: lambda x: x * o.value, setting("w", 5.0)),
    "lambda inside": (Base, nested, setting("w", 5.0)),
    "comprehension": (
        Base,
        lambda o: lambda x: sum([x * o.w for _ in range(2)]),
        setting("w", 5.0),
    ),
    "generator expression": (
        Base,
        lambda o: lambda x: sum(x * o.w for _ in range(2)),
        setting("w", 5.0),
    ),
    "dict comprehension": (
        Base,
        lambda o: lambda x: {k: x * o.w * n for n, k in enumerate("ab")}["b"],
        setting("w", 5.0),
    ),
    "generator": (Base, generator_of, setting("w", 5.0)),
    "value_and_grad": (
        Base,
        lambda o: sg.grad(lambda x: sg.sum(x * o.w)),
        setting("w", 5.0),
    ),
    "value_and_grad inside": (
        Base,
        lambda o: lambda x: sg.value_and_grad(lambda y: sg.sum(y * o.w))(x)[1],
        setting("w", 5.0),
    ),
    "scan": (Base, in_scan, setting("w", 5.0)),
    "cond": (Base, in_cond, setting("w", 5.0)),
    "while_loop": (Base, in_while, setting("w", 5.0)),
    "getattr": (Base, lambda o: lambda x: x * getattr(o, "w"), setting("w", 5.0)),  # noqa: B009
    "attrgetter": (Base, lambda o: lambda x: x * operator.attrgetter("w")(o), setting("w", 5.0)),
    "methodcaller": (
        Base,
        lambda o: lambda x: operator.methodcaller("scale", x)(o),
        setting("w", 5.0),
    ),
    "vars": (Base, lambda o: lambda x: x * vars(o)["w"], setting("w", 5.0)),
    "__dict__": (Base, lambda o: lambda x: x * o.__dict__["w"], setting("w", 5.0)),
    "helper": (Base, lambda o: lambda x: helper(o, x), setting("w", 5.0)),
    "helper by keyword": (Base, lambda o: lambda x: helper(x=x, h=o), setting("w", 5.0)),
    "helper with a star": (Base, lambda o: lambda x: helper(*(o, x)), setting("w", 5.0)),
    "helper with two stars": (
        Base,
        lambda o: lambda x: helper(h=o, x=x),
        setting("w", 5.0),
    ),
    "partial": (Base, lambda o: functools.partial(helper, o), setting("w", 5.0)),
    "partial inside": (
        Base,
        lambda o: lambda x: functools.partial(helper, o)(x),
        setting("w", 5.0),
    ),
    "map": (Base, lambda o: lambda x: sum(map(o.scale, [x])), setting("w", 5.0)),
    "reduce": (
        Base,
        lambda o: lambda x: functools.reduce(lambda a, b: a * o.w, [x, x]),
        setting("w", 5.0),
    ),
    "sorted by a key": (
        lambda: [Base(1.0), Base(2.0)],
        lambda o: lambda x: x * sorted(o, key=lambda each: each.w)[0].w,
        lambda o: setattr(o[0], "w", 9.0),
    ),
    "max of objects": (
        lambda: [Base(1.0), Base(2.0)],
        lambda o: lambda x: x * max(o, key=operator.attrgetter("w")).w,
        lambda o: setattr(o[0], "w", 9.0),
    ),
    "item of an object": (Child, lambda o: lambda x: x * o[1], setting("w", 5.0)),
    "len of an object": (Child, lambda o: lambda x: x * len(o), setting("w", 5.0)),
    "operator of an object": (Child, lambda o: lambda x: o * x, setting("w", 5.0)),
    "truth of an object": (Child, lambda o: lambda x: x * (2 if o else 3), setting("w", 5.0)),
    "loop over an object": (Child, lambda o: lambda x: x * next(iter(o)), setting("w", 5.0)),
    "in an object": (Child, lambda o: lambda x: x * (2 if 5.0 in o else 3), setting("w", 5.0)),
    "with an object": (Child, lambda o: entered(o), setting("w", 5.0)),
    "comparison of an object": (
        Child,
        lambda o: lambda x: x * (2 if o == 5.0 else 3),
        setting("w", 5.0),
    ),
    "float of an object": (Child, lambda o: lambda x: x * float(o), setting("w", 5.0)),
    "match": (Base, with_match, setting("w", 5.0)),
    "callable object": (lambda: Called(), lambda o: o, setting("w", 5.0)),
    "__getattr__": (
        Dynamic,
        lambda o: lambda x: x * o.w,
        lambda o: o._values.update(w=5.0),
    ),
    "slots": (Slots, lambda o: lambda x: x * o.w, setting("w", 5.0)),
    "slots by getattr": (
        Slots,
        lambda o: lambda x: x * getattr(o, "w"),  # noqa: B009
        setting("w", 5.0),
    ),
    "dataclass": (Data, lambda o: lambda x: x * o.w, setting("w", 5.0)),
    "dataclass replaced": (
        Data,
        lambda o: lambda x: x * dataclasses.replace(o).w,
        setting("w", 5.0),
    ),
    "copied": (Base, lambda o: lambda x: x * copy.copy(o).w, setting("w", 5.0)),
    "namespace": (
        lambda: types.SimpleNamespace(w=2.0),
        lambda o: lambda x: x * o.w,
        setting("w", 5.0),
    ),
    "argparse": (
        lambda: argparse.Namespace(w=2.0),
        lambda o: lambda x: x * o.w,
        setting("w", 5.0),
    ),
    "list": (lambda: [2.0], lambda o: lambda x: x * o[0], lambda o: o.__setitem__(0, 5.0)),
    "list of objects": (
        lambda: [Base()],
        lambda o: lambda x: x * o[0].w,
        lambda o: setattr(o[0], "w", 5.0),
    ),
    "dict of dicts": (
        lambda: {"a": {"b": 2.0}},
        lambda o: lambda x: x * o["a"]["b"],
        lambda o: o["a"].update(b=5.0),
    ),
    "dict get": (lambda: {"a": 2.0}, lambda o: lambda x: x * o.get("a"), lambda o: o.update(a=5.0)),
    "set": (lambda: {2.0}, lambda o: lambda x: x * sum(o), lambda o: o.add(5.0)),
    "set in an object": (
        lambda: Base({2.0}),
        lambda o: lambda x: x * sum(o.w),
        lambda o: o.w.add(5.0),
    ),
    "deque": (
        lambda: collections.deque([2.0]),
        lambda o: lambda x: x * o[0],
        lambda o: o.appendleft(5.0),
    ),
    "ordered dict": (
        lambda: collections.OrderedDict(a=2.0),
        lambda o: lambda x: x * o["a"],
        lambda o: o.update(a=5.0),
    ),
    "bytearray": (
        lambda: bytearray(b"\2"),
        lambda o: lambda x: x * o[0],
        lambda o: o.__setitem__(0, 5),
    ),
    "array of Python's": (
        lambda: array("d", [2.0]),
        lambda o: lambda x: x * o[0],
        lambda o: o.__setitem__(0, 5.0),
    ),
    "attribute of a function": (
        lambda: decorated(lambda x: x),
        lambda o: o,
        lambda o: setattr(o.factor, "w", 5.0),
    ),
    "method that an object gets": (fresh_class, lambda o: lambda x: o.scale(x), later_method),
    "method that a class gets": (fresh_class, lambda o: lambda x: o.scale(x), replace_method),
    "code of a function": (
        lambda: types.FunctionType((lambda x: x * 2).__code__, globals()),
        lambda o: lambda x: o(x),
        replaced_code,
    ),
    "code of the traced function": (
        lambda: types.FunctionType((lambda x: x * 2).__code__, globals()),
        lambda o: o,
        replaced_code,
    ),
    "function out of a dict": (
        lambda: {"f": lambda x: x * 2},
        lambda o: lambda x: o["f"](x),
        lambda o: o.update(f=lambda x: x * 9),
    ),
    "default": (
        lambda: types.FunctionType((lambda x, k: x * k).__code__, globals(), "f", (2.0,)),
        lambda o: o,
        lambda o: setattr(o, "__defaults__", (5.0,)),
    ),
    "object out of a list by next": (
        lambda: [Base()],
        lambda o: lambda x: x * next(each for each in o).w,
        lambda o: setattr(o[0], "w", 5.0),
    ),
    "import inside": (lambda: None, imported, set_settings),
    "module imported inside": (lambda: None, module_attribute, set_settings),
    "nested objects": (
        lambda: Base(Base(Base(2.0))),
        lambda o: lambda x: x * o.w.w.w,
        lambda o: setattr(o.w.w, "w", 5.0),
    ),
    "object that is replaced": (
        lambda: Base(Base(2.0)),
        lambda o: lambda x: x * o.w.w,
        setting("w", Base(5.0)),
    ),
    "sign of zero": (
        lambda: Base(0.0),
        lambda o: lambda x: x / sg.abs(x) * sg.copysign(1.0, x * o.w),
        setting("w", -0.0),
    ),
    "exception handled": (dict, lambda o: or_default(o), lambda o: o.update(w=5.0)),
    "finally": (Base, lambda o: finally_read(o), setting("w", 5.0)),
    "assignment expression": (Base, lambda o: lambda x: (w := o.w) * x + w, setting("w", 5.0)),
    "conditional": (Base, lambda o: lambda x: x * 3 if o.w > 3 else x, setting("w", 5.0)),
    "f-string": (
        Base,
        lambda o: lambda x: x * {"2.0": 1, "5.0": 2}[f"{o.w}"],
        setting("w", 5.0),
    ),
    "unpacking": (
        lambda: Base([2.0, 3.0]),
        lambda o: lambda x: unpacked(o, x),
        setting("w", [5.0, 6.0]),
    ),
    "lock around": (lambda: Base(), lambda o: locked(o), setting("w", 5.0)),
    "static argument": (Base, lambda o: static_argument(o), setting("w", 5.0)),
}


class Called(Base):
    def __call__(self, x):
        return self.scale(x)


def entered(o):
    def f(x):
        with o as w:
            return x * w

    return f


def or_default(o):
    def f(x):
        try:
            return x * o["w"]
        except KeyError:
            return x

    return f


def finally_read(o):
    def f(x):
        try:
            y = x
        finally:
            w = o.w
        return y * w

    return f


def unpacked(o, x):
    a, *rest = o.w
    return x * a + rest[0]


def locked(o):
    lock = threading.Lock()

    def f(x):
        with lock:
            return x * o.w

    return f


def static_argument(o):
    inner = function(helper, static_argnums=0)
    return lambda x: inner(o, x)


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    module = types.ModuleType("capture_settings")
    module.rate = 2.0
    monkeypatch.setitem(sys.modules, "capture_settings", module)


@pytest.mark.parametrize("way", WAYS)
def test_a_change_is_seen_by_the_next_call(way):
    make, function_of, change = WAYS[way]
    state = make()
    f = function_of(state)
    compiled = f if way == "static argument" else function(f)
    before = compiled(ONE)
    assert np.array_equal(before, compiled(ONE))
    if isinstance(getattr(compiled, "explain", None), types.MethodType):
        assert [each.reason for each in compiled.explain().traces] == ["first call"]
    change(state)
    after = compiled(ONE)
    plain = f(ONE) if way == "static argument" else np.asarray(fresh(f)(ONE))
    assert np.array_equal(after, plain) and after.dtype == plain.dtype
    assert not np.array_equal(before, after) or np.signbit(before) != np.signbit(after)


def fresh(f):
    """Return what a trace of now makes of `f`."""
    return function(f)


# what nothing can watch ---------------------------------------------------------------------------


def read_and_set(o):
    def f(x):
        o.w = o.w + 1
        return x * o.w

    return f


def counting(o):
    def f(x):
        o[0] += 1
        return x * o[0]

    return f


def collecting(o):
    def f(x):
        o.append(1.0)
        return x * len(o)

    return f


def set_by_name(o):
    def f(x):
        setattr(o, "w", getattr(o, "w") + 1)  # noqa: B009, B010
        return x * o.w

    return f


def with_globals(o):
    del o
    return lambda x: x * globals()["GLOBAL"]


def with_eval(o):
    del o
    return lambda x: x * eval("GLOBAL")


def contents(path):
    with open(path) as file:
        return len(file.read())


UNWATCHED = {
    "large array": (
        lambda: np.ones(20_000),
        lambda o: lambda x: x * o[0],
        r"o=array float64\[20000\]",
    ),
    "large array of an object": (
        lambda: Base(np.ones(20_000)),
        lambda o: lambda x: x * o.w[0],
        r"o\.w=array",
    ),
    "iterator": (lambda: iter([2.0, 3.0]), lambda o: lambda x: x * next(o), "o=<list_iterator"),
    "iterator of an object": (
        lambda: Base(iter([2.0, 3.0])),
        lambda o: lambda x: x * next(o.w),
        r"o\.w=<list_iterator",
    ),
    "generator": (
        lambda: (float(n) for n in (2, 3)),
        lambda o: lambda x: x * next(o),
        "o=<generator",
    ),
    "loop over an iterator": (
        lambda: iter([2.0]),
        lambda o: lambda x: x * sum([v for v in o]),  # noqa: C416
        "o=<list_iterator",
    ),
    "clock": (lambda: None, lambda o: lambda x: x * time.perf_counter(), r"time\.perf_counter\(\)"),
    "date": (
        lambda: None,
        lambda o: lambda x: x * datetime.datetime.now().year,
        r"now\(\)",
    ),
    "generator without a seed": (
        lambda: None,
        lambda o: lambda x: x * (np.random.default_rng() is not o),
        r"default_rng\(\)",
    ),
    "file": (
        lambda: pathlib.Path(__file__),
        lambda o: lambda x: x * len(o.read_text()),
        r"read_text\(\)",
    ),
    "opened file": (
        lambda: __file__,
        lambda o: lambda x: x * contents(o),
        r"open\(\)",
    ),
    "context variable": (
        lambda: contextvars.ContextVar("scale", default=2.0),
        lambda o: lambda x: x * o.get(),
        "o=<ContextVar",
    ),
    "globals()": (lambda: None, with_globals, r"globals\(\)"),
    "eval": (lambda: None, with_eval, r"eval\(\)"),
    "state that is set": (Base, read_and_set, r"o\.w=2\.0"),
    "state that is set by name": (Base, set_by_name, r"o(\.w)?="),
    "item that is set": (lambda: [2.0], counting, "o="),
    "item of a dict that is set": (lambda: {0: 2.0}, counting, "o="),
    "element that is set": (lambda: np.array([2.0]), counting, "o=array"),
    "items that are counted": (lambda: [2.0], collecting, "o="),
    "item that is taken": (lambda: [2.0, 3.0], lambda o: lambda x: x * o.pop(), "o="),
    "whether there is a file": (
        lambda: __file__,
        lambda o: lambda x: x * os.path.exists(o),
        r"exists\(\)",
    ),
    "another program": (
        lambda: [sys.executable, "-c", "print(2)"],
        lambda o: lambda x: x * int(subprocess.check_output(o)),
        r"check_output\(\)",
    ),
    "compiled object": (
        lambda: itertools.count(2),
        lambda o: lambda x: x * next(o),
        "o=count",
    ),
    "more values than are compared": (
        lambda: Base([Base() for _ in range(400)]),
        lambda o: lambda x: x * operator.attrgetter("w")(o)[399].w,
        "o=",
    ),
}


@pytest.mark.parametrize("way", UNWATCHED)
def test_what_nothing_watches_is_named_at_once(way):
    make, function_of, pattern = UNWATCHED[way]
    compiled = function(function_of(make()))
    with pytest.warns(BakedValueWarning, match=pattern) as caught:
        compiled(ONE)
    first = caught[0].message
    assert first.source is not None and first.source.filename == __file__
    assert first.fix and "explain()" in first.fix
    assert any("baked" in line for line in str(compiled.explain()).split("\n"))


@pytest.mark.parametrize(
    "value",
    [
        np.float32(2.0),
        Point(2.0),
        frozenset({2.0}),
        re.compile("a"),
        datetime.date(2020, 1, 1),
        pathlib.Path("a"),
        decimal.Decimal(2),
        fractions.Fraction(2),
        threading.Lock(),
        np.ones(20_000)[:0],
        math.sin,
        int,
        functools.partial(helper, Base()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_change_is_not_warned_of(value):
    compiled = function(lambda x: x if value is None else x * 2)
    for _ in range(2):
        compiled(ONE)
    assert compiled.explain().traces[0].baked == []
    assert len(compiled.explain().traces) == 1


# the machinery ------------------------------------------------------------------------------------


def test_functions_have_their_own_code_again_after_a_trace():
    state = Base()
    code, method = helper.__code__, Base.scale.__code__
    function(lambda x: helper(state, x) + state.scale(x))(ONE)
    assert helper.__code__ is code and Base.scale.__code__ is method

    def fails(x):
        return helper(state, x) + {}["missing"]

    own = fails.__code__
    with pytest.raises(KeyError) as caught:
        function(fails)(1)
    assert fails.__code__ is own and helper.__code__ is code
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert not [each for each in frames if each.filename.endswith("observers.py")]


def test_an_attribute_that_is_missing_is_the_users_error():
    state = Base()
    with pytest.raises(AttributeError, match="'Base' object has no attribute 'v'") as caught:
        function(lambda x: x * state.v)(ONE)
    assert caught.value.obj is state
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__


def test_a_function_of_another_library_or_of_ours_can_be_traced():
    assert function(sg.tanh)(np.zeros(1)) == 0
    assert function(sg.grad(sg.sum))(ONE) == 1


def test_threads_trace_at_the_same_time():
    state = Base()
    made = [function(lambda x, n=n: helper(state, x) * n) for n in range(16)]
    found = [None] * len(made)

    def run(n):
        found[n] = made[n](ONE)[0]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(made))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [2.0 * n for n in range(16)]
    assert all(len(each.explain().traces) == 1 for each in made)
    state.w = 3.0
    assert [each(ONE)[0] for each in made] == [3.0 * n for n in range(16)]


def test_the_price_of_the_guards_is_shown():
    state = Base()
    compiled = function(lambda x: x * state.w)
    compiled(ONE)
    trace = compiled.explain().traces[0]
    assert 0 < trace.checking < 1e-3
    assert f"{len(trace.guards)} guards, checked in " in str(compiled.explain())


def test_what_a_trace_does_not_run_is_not_guarded():
    class Two:
        a, b = 2.0, 3.0

        def unused(self):
            return self.b

    two = Two()
    compiled = function(lambda x: x * two.a if x.shape else x * two.b)
    compiled(ONE)
    guards = "\n".join(compiled.explain().traces[0].guards)
    assert "two.a=2.0" in guards and "two.b" not in guards and "unused" not in guards


def test_every_kind_of_statement_runs_as_it_is():
    """Code with observers does what the code itself does."""

    def f(x, *rest, key=2, **names):
        total, seen = 0, []
        for i, v in enumerate(rest, 1):
            if v % 2:
                continue
            total += v * i
            if total > 100:
                break
        else:
            total += 1
        try:
            [][1]
        except IndexError as error:
            seen.append(type(error).__name__)
        finally:
            seen.append("finally")
        with contextlib.suppress(KeyError):
            {}["a"]
        first, *middle, last = (*rest, *names.values())
        text = f"{first!r:>4}{len(middle)}{last}"
        table = {**names, "k": [i * j for i in range(3) for j in range(i)]}
        del seen[0]

        class Inner:
            value = key

            def get(self):
                return self.value

        def gen():
            got = yield 1
            yield from (got, 3)

        g = gen()
        sent = (next(g), g.send(5), *g)
        assert (lambda *a, **k: (a, k))(*sent, **table)[0] == sent
        global GLOBAL
        GLOBAL = GLOBAL + 0.0
        return x * (total + key + len(text) + Inner().get() + sum(sent) + len(table["k"])), seen

    plain = f(1.0, 2, 3, 4, key=5, a=6)
    from staticgraph.capture.observers import observed_code

    copy_of_f = types.FunctionType(
        observed_code(f.__code__), f.__globals__, "f", f.__defaults__, f.__closure__
    )
    copy_of_f.__kwdefaults__ = f.__kwdefaults__
    assert copy_of_f(1.0, 2, 3, 4, key=5, a=6) == plain
    positions = [p[:2] for p in f.__code__.co_positions() if p[0]]
    assert {p[:2] for p in copy_of_f.__code__.co_positions() if p[0]} == set(positions)


class WithSlots:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w


class Fields(typing.NamedTuple):
    w: object
    factor: float = 2.0


@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    w: object
    factor: float = 2.0


class Described:
    def __init__(self, w):
        self.w = w

    @functools.cached_property
    def kept(self):
        return self.w * 2.0

    @classmethod
    def made(cls, w):
        return cls(w)

    double = functools.partialmethod(lambda self, factor: self.w * factor, 2.0)


MADE = {
    "slots": lambda x: WithSlots(x).w * 2.0,
    "a named tuple": lambda x: collections.namedtuple("Pair", "a b")(x, 2.0).a * 2.0,
    "a typed named tuple": lambda x: Fields(x).w * Fields(x).factor,
    "a replaced field": lambda x: Fields(x)._replace(w=x * 2.0).w,
    "a dataclass with slots": lambda x: Frozen(x).w * Frozen(x).factor,
    "a cached property": lambda x: Described(x).kept,
    "a class method and a partial one": lambda x: Described.made(x).double(),
    "an enumeration": lambda x: x * enum.IntEnum("Factor", ["one", "two"]).two.value,
}


@pytest.mark.parametrize("how", MADE)
def test_what_a_class_knows_its_objects_by_holds_no_state(how):
    assert sg.function(MADE[how])(np.ones(2)).tolist() == [2.0, 2.0]
