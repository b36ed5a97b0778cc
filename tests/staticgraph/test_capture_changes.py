"""Capture: what a trace changes by code that nobody sees, and what it asks of the interpreter."""

import bisect
import builtins
import collections
import concurrent.futures
import ctypes
import decimal
import enum
import functools
import gc
import heapq
import inspect
import random
import sys
import threading
import typing
import warnings

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.errors import BakedValueWarning

ONE = np.ones(1)
function = functools.partial(sg.function, backend="interpret")


class Holder:
    def __init__(self, w):
        self.w = w


class Log(list):
    pass


def then(change, read):
    """Return a function of a state that reads it after a change."""

    def of(o):
        def f(x):
            change(o)
            return x * read(o)

        return f

    return of


def two_statements(o):
    def f(x):
        o.append(3.0)
        return x * o[-1]

    return f


def iterated(o):
    def f(x):
        o.append(3.0)
        for each in o:
            x = x * each
        return x

    return f


def asked_for(o):
    def f(x):
        o.add(3.0)
        return x * (2 if 3.0 in o else 1)

    return f


def unpacked(o):
    def f(x):
        o.append(3.0)
        first, *_ = o
        return x * first

    return f


def spread(o):
    def f(x):
        o.append(3.0)
        return x * max(*o)

    return f


def in_a_list(o):
    def f(x):
        o.append(3.0)
        return x * [*o][-1]

    return f


def sliced(o):
    def f(x):
        o.append(3.0)
        return x * o[1:][0]

    return f


def compared(o):
    def f(x):
        o.append(3.0)
        return x * (2 if o == [2.0, 3.0] else 1)

    return f


def true(o):
    def f(x):
        o.append(3.0)
        return x * 2 if o else x

    return f


def negated(o):
    def f(x):
        o.clear()
        return x * (not o)

    return f


def added(o):
    def f(x):
        o.append(3.0)
        return x * (o + [1.0])[1]  # noqa: RUF005

    return f


def shown(o):
    def f(x):
        o.append(3.0)
        return x * len(f"{o}")

    return f


def matched(o):
    def f(x):
        o.append(3.0)
        match o:
            case [_, second]:
                return x * second
            case _:
                return x

    return f


def matched_mapping(o):
    def f(x):
        o.update(b=3.0)
        match o:
            case {"b": second}:
                return x * second
            case _:
                return x

    return f


def read_before(o):
    def f(x):
        y = x * o[0]
        o.insert(0, 3.0)
        return y

    return f


def aliased(o):
    def f(x):
        log = o.w
        log.append(3.0)
        return x * log[-1]

    return f


def in_a_thread(o):
    def f(x):
        thread = threading.Thread(target=lambda: o.update(w=o["w"] + 1))
        thread.start()
        thread.join()
        return x * o["w"]

    return f


def in_a_pool(o):
    def f(x):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return x * pool.submit(lambda: o.w).result()

    return f


def fill_by_address(array):
    ctypes.memset(array.ctypes.data, 0, array.nbytes)


ARRAYS = {
    "out": lambda o: np.multiply(np.full(1, 3.0), 2.0, out=o),
    "out of a reduction": lambda o: np.sum(np.ones((1, 4)), axis=1, out=o),
    "copyto": lambda o: np.copyto(o, 3.0),
    "fill": lambda o: o.fill(3.0),
    "put": lambda o: o.put(0, 3.0),
    "itemset by a ufunc": lambda o: np.add.at(o, 0, 1.0),
    "putmask": lambda o: np.putmask(o, True, 3.0),
    "place": lambda o: np.place(o, np.array([True]), [3.0]),
    "view": lambda o: o.view("uint8").fill(0),
    "memory": lambda o: memoryview(o).__setitem__(0, 3.0),
    "address": fill_by_address,
    "random": lambda o: np.random.default_rng(1).random(out=o),
}

CHANGED = {
    "append, then an index": (lambda: [2.0], two_statements),
    "append, then a loop": (lambda: [2.0], iterated),
    "append, then a membership": (lambda: {2.0}, asked_for),
    "append, then unpacking": (lambda: [2.0], unpacked),
    "append, then spread arguments": (lambda: [2.0], spread),
    "append, then a list of it": (lambda: [2.0], in_a_list),
    "append, then a slice": (lambda: [2.0], sliced),
    "append, then a comparison": (lambda: [2.0], compared),
    "append, then its truth": (list, true),
    "clear, then its truth": (lambda: [2.0], negated),
    "append, then a sum": (lambda: [2.0], added),
    "append, then text": (lambda: [2.0], shown),
    "append, then a match": (lambda: [2.0], matched),
    "update, then a match": (lambda: {"a": 2.0}, matched_mapping),
    "index, then insert": (lambda: [2.0], read_before),
    "attribute, by another name": (lambda: Holder([2.0]), aliased),
    "class of its own": (lambda: Log([2.0]), two_statements),
    "deque": (lambda: collections.deque([2.0]), two_statements),
    "heap": (lambda: [2.0], then(lambda o: heapq.heappush(o, 1.0), lambda o: o[0])),
    "bisect": (lambda: [2.0], then(lambda o: bisect.insort(o, 1.0), lambda o: o[0])),
    "shuffle": (
        lambda: [2.0, 3.0, 4.0, 5.0],
        then(lambda o: random.Random(1).shuffle(o), lambda o: o[0]),
    ),
    "unbound method": (lambda: [2.0], then(lambda o: list.append(o, 1.0), lambda o: o[-1])),
    "list in a dict": (
        lambda: {"log": [2.0]},
        then(lambda o: o["log"].append(1.0), lambda o: o["log"][-1]),
    ),
    **{
        f"array: {name}": (lambda: np.full(1, 2.0), then(change, lambda o: o[0]))
        for name, change in ARRAYS.items()
    },
    **{
        f"array in a list: {name}": (
            lambda: [np.full(1, 2.0)],
            then(functools.partial(lambda change, o: change(o[0]), change), lambda o: o[0][0]),
        )
        for name, change in ARRAYS.items()
    },
    "large array": (
        lambda: np.full(100_000, 2.0),
        then(lambda o: np.copyto(o, 3.0), lambda o: o[0]),
    ),
    "array of objects": (
        lambda: np.array([2.0, None], dtype=object),
        then(lambda o: o.put(0, 3.0), lambda o: o[0]),
    ),
    "strided array": (
        lambda: np.full(8, 2.0)[::2],
        then(lambda o: np.copyto(o, 3.0), lambda o: o[0]),
    ),
}


@pytest.mark.parametrize("way", CHANGED)
def test_what_is_changed_and_read_by_whatever_code_is_named(way):
    make, function_of = CHANGED[way]
    compiled = function(function_of(make()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled(ONE)
    assert {each.category for each in caught} == {BakedValueWarning}
    named = [each.message for each in caught if each.message.what.startswith("f: o")]
    assert any("read and set while tracing" in each.cause for each in named)
    assert all(each.message.source.filename == __file__ for each in caught)
    assert any("baked" in line for line in str(compiled.explain()).split("\n"))


def quietly(f):
    """Return what is traced, having made sure that nothing is warned of."""
    compiled = function(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(ONE)
    return compiled


def test_a_log_that_is_only_added_to_is_an_effect_and_no_more():
    log, seen = [], set()

    def f(x):
        log.append(2.0)
        seen.add(1)
        return x * 2

    compiled = quietly(f)
    shown = "\n".join(compiled.explain().traces[0].effects)
    assert "log.append() runs while tracing" in shown and "seen.add() runs" in shown


def test_what_is_changed_back_or_made_inside_is_nobodys_concern():
    kept = [2.0]
    fixed = np.full(1, 2.0)
    fixed.flags.writeable = False

    def f(x):
        buffer = np.zeros(1)
        np.multiply(fixed, 2.0, out=buffer)
        mine = [buffer]
        mine.append(kept[0])
        return x * mine[0] + mine[-1]

    compiled = quietly(f)
    assert compiled.explain().traces[0].effects == []
    compiled(ONE)
    assert len(compiled.explain().traces) == 1


def with_frame(o):
    return lambda x: x * sys._getframe(0).f_globals["LIMIT"]


LIMIT = 2.0

LOOKED = {
    "sys._getframe": (with_frame, "_getframe"),
    "gc.get_objects": (lambda o: lambda x: x * bool(gc.get_objects()), "get_objects"),
    "gc.get_referents": (lambda o: lambda x: x * len(gc.get_referents(o)), "get_referents"),
    "inspect.currentframe": (
        lambda o: lambda x: x * (inspect.currentframe() is not None),
        "currentframe",
    ),
    "inspect.stack": (lambda o: lambda x: x * bool(inspect.stack()), "stack"),
    "threading.get_ident": (lambda o: lambda x: x * bool(threading.get_ident()), "get_ident"),
    "threading.current_thread": (
        lambda o: lambda x: x * len(threading.current_thread().name),
        "current_thread",
    ),
    "sys.getrefcount": (lambda o: lambda x: x * sys.getrefcount(o), "getrefcount"),
    "thread": (lambda o: in_a_thread({"w": 2.0}), "start"),
    "pool of threads": (in_a_pool, "submit"),
}


@pytest.mark.parametrize("way", LOOKED)
def test_what_gives_access_to_anything_is_named(way):
    function_of, name = LOOKED[way]
    compiled = function(function_of(Holder(2.0)))
    with pytest.warns(BakedValueWarning, match=rf"{name}\(\)") as caught:
        compiled(ONE)
    assert caught[0].message.source.filename == __file__


def with_signature(o):
    return lambda x: x * inspect.signature(o).parameters["k"].default


def a_third(x):
    return x * float(decimal.Decimal(1) / decimal.Decimal(3))


def with_context(x):
    return x * decimal.getcontext().prec


def default_of(k=2.0):
    return k


SETTINGS = {
    "numpy.geterr": (
        lambda x: x * (np.geterr()["over"] == "warn"),
        lambda: np.seterr(over="ignore"),
        lambda: np.seterr(over="warn"),
    ),
    "numpy.get_printoptions": (
        lambda x: x * np.get_printoptions()["precision"],
        lambda: np.set_printoptions(precision=3),
        lambda: np.set_printoptions(precision=8),
    ),
    "sys.getrecursionlimit": (
        lambda x: x * sys.getrecursionlimit(),
        # what it is when the tests run: libraries that they load raise it
        lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
        lambda: sys.setrecursionlimit(sys.getrecursionlimit() - 1),
    ),
    "gc.isenabled": (lambda x: x * gc.isenabled(), gc.disable, gc.enable),
    "decimal's context": (
        with_context,
        lambda: setattr(decimal.getcontext(), "prec", 5),
        lambda: setattr(decimal.getcontext(), "prec", 28),
    ),
    "decimal's arithmetic": (
        a_third,
        lambda: setattr(decimal.getcontext(), "prec", 5),
        lambda: setattr(decimal.getcontext(), "prec", 28),
    ),
    "default by a signature": (
        with_signature(default_of),
        lambda: setattr(default_of, "__defaults__", (5.0,)),
        lambda: setattr(default_of, "__defaults__", (2.0,)),
    ),
    "builtin that is replaced": (
        lambda x: x * len(oct(64)),
        lambda: setattr(builtins, "oct", lambda _: "7"),
        functools.partial(setattr, builtins, "oct", oct),
    ),
    "builtin that a module hides": (
        lambda x: x * abs(-2.0),
        lambda: globals().update(abs=lambda _: 7.0),
        lambda: globals().pop("abs"),
    ),
}


@pytest.mark.parametrize("way", SETTINGS)
def test_a_setting_is_watched(way):
    f, change, restore = SETTINGS[way]
    compiled = quietly(f)
    before = compiled(ONE)
    assert len(compiled.explain().traces) == 1
    change()
    try:
        after = compiled(ONE)
        assert not np.array_equal(before, after)
        assert np.array_equal(after, np.asarray(f(ONE)))
    finally:
        restore()
    assert np.array_equal(compiled(ONE), before)


# values and containers of classes of their own ----------------------------------------------------


class Attributes(dict):
    def __getattr__(self, name):
        return self[name]


class Named(dict):
    pass


class Factors(list):
    def total(self):
        return self.k * len(self)


class Pair(tuple):
    pass


class Number(float):
    pass


class Text(str):
    pass


class Array(np.ndarray):
    pass


class Missing(dict):
    k = 2.0

    def __missing__(self, key):
        return self.k


class Constant(list):
    def __getitem__(self, index):
        return self.k


class Times(int):
    def __mul__(self, other):
        return other * self.k

    __rmul__ = __mul__


class Scale(typing.NamedTuple):
    a: float = 2.0

    @property
    def scaled(self):
        return self.a * LIMIT


class Level(enum.IntEnum):
    LOW = 2
    HIGH = 5


def with_k(value):
    value.k = 2.0
    return value


def set_k(value):
    value.k = 5.0


def use_k(value):
    return lambda x: x * value.k


DERIVED = {
    "dict with attributes as items": (lambda: Attributes(k=2.0), use_k, lambda o: o.update(k=5.0)),
    "one in another": (
        lambda: Attributes(a=Attributes(k=2.0)),
        lambda o: lambda x: x * o.a.k,
        lambda o: o.a.update(k=5.0),
    ),
    "one in a list": (
        lambda: [Attributes(k=2.0)],
        lambda o: lambda x: x * o[0]["k"],
        lambda o: o[0].update(k=5.0),
    ),
    "dict": (lambda: with_k(Named()), use_k, set_k),
    "list": (lambda: with_k(Factors([1, 2])), lambda o: lambda x: x * o.total(), set_k),
    "tuple": (lambda: with_k(Pair()), use_k, set_k),
    "float": (lambda: with_k(Number(3.0)), use_k, set_k),
    "str": (lambda: with_k(Text("a")), use_k, set_k),
    "array": (lambda: with_k(np.ones(2).view(Array)), use_k, set_k),
    "class of a dict": (
        lambda: type("Own", (Missing,), {"k": 2.0})(),
        lambda o: lambda x: x * o["a"],
        lambda o: setattr(type(o), "k", 5.0),
    ),
    "index of its own": (lambda: with_k(Constant([1])), lambda o: lambda x: x * o[0], set_k),
    "operator of its own": (lambda: with_k(Times(3)), lambda o: lambda x: o * x, set_k),
    "property of a named tuple": (
        Scale,
        lambda o: lambda x: x * o.scaled,
        lambda o: globals().update(LIMIT=5.0),
    ),
    "deque in a dict in a list": (
        lambda: [{"q": collections.deque([2.0])}],
        lambda o: lambda x: x * o[0]["q"][0],
        lambda o: o[0]["q"].appendleft(5.0),
    ),
    "set in a dict": (
        lambda: {"q": {2.0}},
        lambda o: lambda x: x * sum(o["q"]),
        lambda o: o["q"].add(5.0),
    ),
    "enumeration": (
        lambda: Holder(Level.LOW),
        lambda o: lambda x: x * o.w,
        lambda o: setattr(o, "w", Level.HIGH),
    ),
}


@pytest.mark.parametrize("way", DERIVED)
def test_a_class_derived_from_a_value_or_container_has_watched_attributes(way, monkeypatch):
    monkeypatch.setitem(globals(), "LIMIT", 2.0)
    make, function_of, change = DERIVED[way]
    state = make()
    f = function_of(state)
    compiled = quietly(f)
    before = compiled(ONE)
    assert len(compiled.explain().traces) == 1
    change(state)
    after = compiled(ONE)
    assert not np.array_equal(before, after)
    assert np.array_equal(after, quietly(f)(ONE))


def test_the_mask_of_an_array_is_watched():
    masked = np.ma.masked_array([1.0], [False])
    compiled = quietly(lambda x: x * float(masked.sum() or 9.0))
    for _ in range(3):  # NumPy itself keeps something at the first use
        assert compiled(ONE) == 1.0
    assert len(compiled.explain().traces) <= 2
    masked[0] = np.ma.masked
    assert compiled(ONE) == 9.0
