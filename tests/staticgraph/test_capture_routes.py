"""Capture: routes by which a traced function reads state, each with a change that must be seen."""

import abc
import collections
import ctypes
import dataclasses
import decimal
import enum
import functools
import importlib
import operator
import os
import random
import sys
import types
import typing
import warnings

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from staticgraph.errors import BakedValueWarning

ONE = np.ones(1)


def module(name="settings", text="", **held):
    made = types.ModuleType(name)
    exec(text, vars(made))
    vars(made).update(held)
    return made


class Scale:
    def __init__(self, k=2.0):
        self.k = k

    def times(self, x):
        return x * self.k


class Bare:
    pass


class Space(types.SimpleNamespace):
    """What a route reads and its change changes, in a class of its own for each test."""


def space(**held):
    return type("Space", (Space,), {})(**held)


def assign(owner, **values):
    def change():
        for name, value in values.items():
            setattr(owner, name, value)

    return change


ROUTES = {}


def route(make):
    """Enter what returns a function to trace and what changes what it reads."""
    ROUTES[make.__name__.replace("_", " ")] = make
    return make


# the library's own objects ------------------------------------------------------------------------


@route
def a_tensor():
    w = dg.tensor([2.0])
    return lambda x: x * w.numpy(), lambda: w.add_(3.0)


@route
def a_number_of_a_tensor():
    w = dg.tensor(2.0)
    return lambda x: x * float(w), lambda: w.mul_(3.0)


@route
def a_detached_tensor_that_requires_a_gradient():
    held = space(w=dg.tensor([2.0], requires_grad=True))

    def change():
        with dg.no_grad():
            held.w += 1.0

    return lambda x: x * held.w.detach().numpy(), change


@route
def a_gradient():
    w = dg.tensor([2.0], requires_grad=True)
    (w * 3.0).sum().backward()
    return lambda x: x * w.grad.item(), lambda: (w * 4.0).sum().backward()


@route
def a_tensor_in_a_list():
    w = [dg.tensor([2.0])]
    return lambda x: x * w[0].item(), lambda: w[0].add_(1.0)


def a_variable():
    with sg.Graph():
        return sg.compile(sg.variable(np.float64(2)) * 1.0, [])


@route
def what_a_variable_holds():
    (held,) = a_variable().variables.values()
    return lambda x: x * held.value, assign(held, value=np.float64(5))


@route
def what_an_executable_reads():
    run = a_variable()
    (held,) = run.variables.values()
    return lambda x: x * run(), assign(held, value=np.float64(5))


@route
def what_another_traced_function_reads():
    held, number = space(k=2.0), np.array(1.0)
    inner = sg.function(lambda a: a * held.k, backend="numpy")
    inner(number)
    return lambda x: x * inner(number), assign(held, k=5.0)


# reads that fail ----------------------------------------------------------------------------------


@route
def an_attribute_that_is_missing():
    held = space()

    def read(x):
        try:
            return x * held.k
        except AttributeError:
            return x * 0.1

    return read, assign(held, k=5.0)


@route
def an_attribute_that_a_class_is_missing():
    kind = type("Kind", (), {})

    def read(x):
        try:
            return x * kind.k
        except AttributeError:
            return x * 0.1

    return read, assign(kind, k=5.0)


@route
def an_attribute_that_a_new_object_is_missing():
    kind = type("Kind", (), {"__module__": __name__})

    def read(x):
        try:
            return x * kind().k
        except AttributeError:
            return x * 0.1

    return read, assign(kind, k=5.0)


@route
def a_name_that_a_module_is_missing():
    made = module()

    def read(x):
        try:
            return x * made.k
        except AttributeError:
            return x * 0.1

    return read, assign(made, k=5.0)


@route
def a_global_that_is_missing():
    held = {}
    text = "try:\n        return x * k\n    except NameError:\n        return x * 0.1"
    exec(f"def read(x):\n    {text}", held)
    return held["read"], lambda: held.update(k=5.0)


@route
def a_variable_around_that_has_no_value_yet():
    def read(x):
        try:
            return x * k
        except NameError:
            return x * 0.1

    def change():
        nonlocal k
        k = 5.0

    if ONE[0] == 0:
        k = 1.0
    return read, change


@route
def a_module_that_is_missing():
    def read(x):
        try:
            import settings_that_come_later as settings
        except ImportError:
            return x * 0.1
        return x * settings.k

    return read, lambda: sys.modules.update(settings_that_come_later=module(k=5.0))


# names that compiled code is told -----------------------------------------------------------------


@route
def getattr_of_a_class():
    kind = type("Kind", (), {"k": 2.0})
    return lambda x: x * getattr(kind, "k"), assign(kind, k=5.0)  # noqa: B009


@route
def getattr_of_a_module():
    made = module(k=2.0)
    return lambda x: x * getattr(made, "k"), assign(made, k=5.0)  # noqa: B009


@route
def hasattr_of_a_class():
    kind = type("Kind", (), {})
    return lambda x: x * (2 if hasattr(kind, "k") else 3), assign(kind, k=5.0)


@route
def getattr_with_another_value():
    kind = type("Kind", (), {})
    return lambda x: x * getattr(kind, "k", 2.0), assign(kind, k=5.0)


@route
def vars_of_a_function():
    def held():
        pass

    held.k = 2.0
    return lambda x: x * vars(held)["k"], assign(held, k=5.0)


@route
def vars_of_a_class():
    kind = type("Kind", (), {"__module__": __name__, "k": 2.0})
    return lambda x: x * vars(kind)["k"], assign(kind, k=5.0)


@route
def dir_of_a_class():
    kind = type("Kind", (), {"__module__": __name__})
    return lambda x: x * (2 if "k" in dir(kind) else 3), assign(kind, k=5.0)


@route
def an_attrgetter_of_a_module():
    made = module(k=2.0)
    return lambda x: x * operator.attrgetter("k")(made), assign(made, k=5.0)


@route
def classes_derived_from_one():
    kind = type("Kind", (), {})
    kept = []
    return lambda x: x * len(kind.__subclasses__()), lambda: kept.append(type("K", (kind,), {}))


# special methods ----------------------------------------------------------------------------------


SPECIAL = {
    "__mul__": (lambda o, x: o * x, lambda self, x: x * 2.0, lambda self, x: x * 3.0),
    "__rmul__": (lambda o, x: 2.0 * o * x, lambda self, k: k, lambda self, k: k + 1.0),
    "__call__": (lambda o, x: o(x), lambda self, x: x * 2.0, lambda self, x: x * 3.0),
    "__getitem__": (lambda o, x: x * o[0], lambda self, i: 2.0, lambda self, i: 3.0),
    "__len__": (lambda o, x: x * len(o), lambda self: 2, lambda self: 3),
    "__bool__": (lambda o, x: x * (2 if o else 3), lambda self: True, lambda self: False),
    "__iter__": (lambda o, x: x * sum(o), lambda self: iter([2]), lambda self: iter([3])),
    "__contains__": (lambda o, x: x * (1 in o), lambda self, i: True, lambda self, i: False),
    "__float__": (lambda o, x: x * float(o), lambda self: 2.0, lambda self: 3.0),
    "__index__": (lambda o, x: x * range(9)[o], lambda self: 2, lambda self: 3),
    "__neg__": (lambda o, x: x * -o, lambda self: 2.0, lambda self: 3.0),
    "__eq__": (lambda o, x: x * (o == 1), lambda self, k: True, lambda self, k: False),
    "__lt__": (lambda o, x: x * (o < 1), lambda self, k: True, lambda self, k: False),
    "__format__": (lambda o, x: x * len(f"{o}"), lambda self, s: "a", lambda self, s: "bb"),
    "__str__": (lambda o, x: x * len(str(o)), lambda self: "a", lambda self: "bb"),
    "__getattr__": (lambda o, x: x * o.k, lambda self, n: 2.0, lambda self, n: 3.0),
}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("is_new", [False, True])
def test_a_special_method_that_is_replaced(name, is_new):
    read, old, new = SPECIAL[name]
    kind = type("Kind", (), {"__module__": __name__, name: old})
    held = kind()
    see(lambda x: read(kind() if is_new else held, x), lambda: setattr(kind, name, new))


def test_a_special_method_in_place_of_another():
    kind = type("Kind", (), {"__module__": __name__, "__hash__": lambda self: 1})
    held = kind()

    def change():
        del kind.__hash__
        kind.__bool__ = lambda self: False

    see(lambda x: x * (2 if held else 3), change)


@pytest.mark.parametrize("compare", [lambda a, b: a == b, lambda a, b: a[0] in b])
@pytest.mark.parametrize("kind", [list, tuple])
def test_a_comparison_of_what_containers_hold(compare, kind):
    held = type("Held", (), {"__module__": __name__})
    first, second = kind([held()]), kind([held()])

    def change():
        held.__eq__ = lambda self, other: True

    see(lambda x: x * (2 if compare(first, second) else 3), change)


def test_a_class_that_is_matched():
    kind = type("Kind", (), {"__module__": __name__})
    base = abc.ABCMeta("Base", (), {"__module__": __name__})
    held = kind()

    def read(x):
        match held:
            case base():
                return x * 2
            case _:
                return x * 3

    see(read, lambda: base.register(kind))


def test_the_attributes_that_are_matched_by_position():
    kind = type("Kind", (), {"__module__": __name__, "__match_args__": ("a", "b"), "a": 1, "b": 2})
    held = kind()

    def read(x):
        match held:
            case kind(found):
                return x * found

    see(read, lambda: setattr(kind, "__match_args__", ("b", "a")))


@pytest.mark.parametrize("change", ["what it reads", "which one it is"])
def test_a_special_method_that_is_an_object(change):
    called = type("Called", (), {"__module__": __name__, "k": 2.0, "__call__": times_k})()
    held = type("Held", (), {"__module__": __name__, "__call__": called})
    if change == "what it reads":
        see(lambda x: held()(x), lambda: setattr(called, "k", 5.0))
    else:
        see(lambda x: held()(x), lambda: setattr(held, "__call__", lambda self, x: x * 7))


def times_k(self, x):
    return x * self.k


def test_what_a_partial_method_passes():
    method = functools.partialmethod(lambda self, x, k: x * k, k=2.0)
    held = type("Held", (), {"__module__": __name__, "doubled": method})()
    see(lambda x: held.doubled(x), lambda: method.keywords.update(k=5.0))


def test_a_class_that_is_derived_from_another():
    first = type("First", (), {"__module__": __name__, "__len__": lambda self: 2})
    second = type("Second", (), {"__module__": __name__, "__len__": lambda self: 3})
    kind = type("Kind", (first,), {"__module__": __name__})
    held = kind()
    see(lambda x: x * len(held), lambda: setattr(kind, "__bases__", (second,)))


ADDED = {
    "__bool__": (lambda o, x: x * (2 if o else 3), lambda self: False),
    "__len__": (lambda o, x: x * (2 if o else 3), lambda self: 0),
    "__eq__": (lambda o, x: x * (2 if o == 1 else 3), lambda self, k: True),
    "__format__": (lambda o, x: x * len(f"{o}"), lambda self, s: "bb"),
    "__call__": (lambda o, x: x * callable(o), lambda self: 2),
}


@pytest.mark.parametrize("name", ADDED)
def test_a_special_method_that_is_added(name):
    read, new = ADDED[name]
    kind = type("Kind", (), {"__module__": __name__, "__hash__": None})
    held = kind()
    see(lambda x: read(held, x), lambda: setattr(kind, name, new))


@route
def a_length_that_is_added_to_a_list():
    kind = type("Kind", (list,), {"__module__": __name__})
    held = kind([1.0])
    return lambda x: x * len(held), lambda: setattr(kind, "__len__", lambda self: 5)


@route
def a_name_that_getattr_gave():
    kind = type("Kind", (), {"__module__": __name__, "__getattr__": lambda self, name: 2.0})
    held = kind()
    return lambda x: x * held.k, assign(held, k=5.0)


# modules ------------------------------------------------------------------------------------------


@route
def a_module_by_another_name():
    held = space(settings=module(k=2.0))
    return lambda x: x * held.settings.k, assign(held, settings=module(k=5.0))


@route
def a_module_in_its_place():
    sys.modules["settings_of_a_test"] = module(k=2.0)

    def read(x):
        import settings_of_a_test

        return x * settings_of_a_test.k

    return read, lambda: sys.modules.update(settings_of_a_test=module(k=5.0))


@route
def a_name_of_a_module_in_its_place():
    sys.modules["settings_of_a_test"] = module(k=2.0)

    def read(x):
        from settings_of_a_test import k

        return x * k

    return read, lambda: sys.modules.update(settings_of_a_test=module(k=5.0))


@route
def a_module_that_makes_its_names():
    text = "held = {'k': 2.0}\ndef __getattr__(name):\n    return held[name]"
    lazy = sys.modules["lazy_settings_of_a_test"] = module("lazy", text)

    def read(x):
        import lazy_settings_of_a_test as settings

        return x * settings.k

    return read, lambda: lazy.held.update(k=5.0)


# methods, keys, elements, classes -----------------------------------------------------------------


@route
def a_method_of_another_object():
    held = space(scale=Scale(2.0).times)
    return lambda x: held.scale(x), assign(held, scale=Scale(5.0).times)


@route
def a_method_of_another_object_in_a_class():
    kind = type("Kind", (), {"__module__": __name__, "scale": Scale(2.0).times})
    return lambda x: kind.scale(x), assign(kind, scale=Scale(5.0).times)


@route
def a_key_of_a_dict():
    key = Scale()
    held = {key: 1}

    def read(x):
        for each in held:
            x = x * each.k
        return x

    return read, assign(key, k=5.0)


@route
def a_part_of_a_key():
    key = Scale()
    held = {("a", key): 1}

    def read(x):
        for _, each in held:
            x = x * each.k
        return x

    return read, assign(key, k=5.0)


@route
def a_view_that_cannot_be_written_to():
    base = np.eye(1) * 2
    held = base.diagonal()
    return lambda x: x * held, lambda: base.fill(5)


@route
def a_broadcast_array():
    base = np.ones(1)
    held = np.broadcast_to(base, (1, 1))
    return lambda x: x * held, lambda: base.fill(5)


@route
def an_array_over_the_memory_of_others():
    memory = bytearray(np.ones(1).tobytes())
    held = np.frombuffer(memory)
    held.flags.writeable = False
    return lambda x: x * held, lambda: memory.__setitem__(slice(None), np.full(1, 5.0).tobytes())


@route
def a_shape_that_is_set():
    held = np.array([[1.0, 2.0]])

    def change():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions of NumPy advise against it
            held.shape = (2, 1)

    return lambda x: x * held, change


@route
def names_of_fields():
    held = np.zeros(1, [("a", float), ("b", float)])
    held["b"] = 1
    return lambda x: x * held["a"], assign(held.dtype, names=("b", "a"))


@route
def a_class_that_is_set():
    held = Bare()
    return lambda x: x * (2 if isinstance(held, Bare) else 3), assign(held, __class__=Scale)


@route
def a_type_that_is_set():
    held = Bare()
    return lambda x: x * (2 if type(held) is Bare else 3), assign(held, __class__=Scale)


@route
def a_class_that_is_matched():
    held = Bare()

    def read(x):
        match held:
            case Bare():
                return x * 2
        return x * 3

    return read, assign(held, __class__=Scale)


@route
def a_class_that_is_registered():
    base = abc.ABCMeta("Base", (), {"__module__": __name__})
    held = Bare()
    return lambda x: x * (2 if isinstance(held, base) else 3), lambda: base.register(Bare)


@route
def a_new_object_of_a_class_that_is_registered():
    base = abc.ABCMeta("Base", (), {"__module__": __name__})
    kind = type("Kind", (), {"__module__": __name__})
    return lambda x: x * (2 if isinstance(kind(), base) else 3), lambda: base.register(kind)


@route
def a_class_that_is_registered_with_issubclass():
    base = abc.ABCMeta("Base", (), {"__module__": __name__})
    kind = type("Kind", (), {"__module__": __name__})
    return lambda x: x * (2 if issubclass(kind, base) else 3), lambda: base.register(kind)


@typing.runtime_checkable
class HasK(typing.Protocol):
    k: float


@route
def a_protocol():
    held = Bare()
    return lambda x: x * (2 if isinstance(held, HasK) else 3), assign(held, k=1.0)


# code of others -----------------------------------------------------------------------------------


@route
def a_property_of_compiled_code():
    read = property(operator.attrgetter("_k"))
    held = type("Kind", (), {"__module__": __name__, "_k": 2.0, "k": read})()
    return lambda x: x * held.k, assign(held, _k=5.0)


@route
def the_value_of_an_enum():
    kind = enum.Enum("Kind", {"A": [2.0]})
    return lambda x: x * kind.A.value[0], lambda: kind.A.value.__setitem__(0, 5.0)


@route
def an_item_of_a_list_of_others():
    held = type("Kind", (collections.UserList,), {"__module__": __name__})([2.0])
    return lambda x: x * held[0], lambda: held.__setitem__(0, 5.0)


@route
def items_of_a_list_of_others():
    held = type("Kind", (collections.UserList,), {"__module__": __name__})([2.0])
    return lambda x: x * sum(held), lambda: held.append(5.0)


@route
def an_array_of_ctypes():
    held = type("Kind", (ctypes.c_double * 1,), {"__module__": __name__})(2)
    return lambda x: x * held[0], lambda: held.__setitem__(0, 5.0)


@route
def a_memoryview():
    held = memoryview(bytearray(b"\2"))
    return lambda x: x * held[0], lambda: held.__setitem__(0, 5)


class Getter:
    limit = 2.0

    def get(self):
        return type(self).limit


@route
def a_method_that_compiled_code_calls():
    kind = type("Kind", (Getter,), {"__module__": __name__})
    held = kind()
    return lambda x: x * operator.methodcaller("get")(held), assign(kind, limit=5.0)


@route
def keywords_of_a_partial_function():
    held = functools.partial(lambda x, k: x * k, k=2.0)
    return lambda x: next(map(held, [x])), lambda: held.keywords.update(k=5.0)


@route
def a_method_of_a_dict():
    held = {"k": 2.0}
    get = held.get
    return lambda x: x * next(map(get, ["k"])), lambda: held.update(k=5.0)


@route
def what_a_function_keeps():
    held = space(k=2.0)
    kept = functools.lru_cache(lambda: held.k)
    kept()

    def change():
        held.k = 5.0
        kept.cache_clear()

    return lambda x: x * kept(), change


@route
def what_makes_missing_items():
    held = collections.defaultdict(lambda: 2.0)
    return lambda x: x * held.default_factory(), assign(held, default_factory=lambda: 5.0)


@route
def a_function_for_a_class():
    class Kind:
        @functools.singledispatchmethod
        def times(self, other, x):
            return x * 2

    held, other = Kind(), Bare()
    register = vars(Kind)["times"].register
    return lambda x: held.times(other, x), lambda: register(Bare, lambda self, o, x: x * 3)


@route
def the_order_of_a_set():
    held = space(numbers={0, 8})

    def read(x):
        for each in held.numbers:
            x = x * 2 + each
        return x

    return read, assign(held, numbers={8, 0})


@route
def the_context_of_decimal():
    one, context = decimal.Decimal(1), decimal.getcontext()
    return lambda x: x * float(one / 3), assign(context, prec=2)


@route
def a_variable_of_the_environment():
    return (
        lambda x: x * float(os.path.expandvars("$SCALE_OF_A_TEST")),
        lambda: os.environ.update(SCALE_OF_A_TEST="5.0"),
    )


# what is derived, and what comes from afar --------------------------------------------------------


@route
def what_super_gives():
    base = type("Base", (), {"__module__": __name__, "k": 2.0})

    class Kind(base):
        def times(self, x):
            return x * super().k

    return Kind().times, assign(base, k=5.0)


@route
def one_of_two_things_that_super_gives():
    bases = [type("Base", (), {"__module__": __name__, "k": 2}) for _ in range(2)]

    class One(bases[0]):
        def times(self, x):
            return x * super().k

    class Other(bases[1]):
        def times(self, x):
            return x * super().k

    one, other = One(), Other()
    return lambda x: one.times(x) * other.times(x), assign(bases[1], k=5)


@route
def what_super_does_not_have():
    base = type("Base", (), {"__module__": __name__})

    class Kind(base):
        def times(self, x):
            try:
                return super().times(x)
            except AttributeError:
                return x * 2

    return Kind().times, assign(base, times=lambda self, x: x * 5)


@route
def what_the_body_of_a_class_reads():
    k = 2.0

    def read(x):
        class Kind:
            held = k

        return x * Kind.held

    def change():
        nonlocal k
        k = 5.0

    return read, change


class Field:
    def __init__(self, default):
        self.default = default

    def __get__(self, owner, kind=None):
        return self.default


@route
def what_a_descriptor_holds():
    field = Field(2.0)
    held = type("Kind", (), {"__module__": __name__, "k": field})()
    return lambda x: x * held.k, assign(field, default=5.0)


@route
def what_a_metaclass_holds():
    meta = type("Meta", (type,), {"__module__": __name__, "k": 2.0})
    kind = meta("Kind", (), {"__module__": __name__})
    return lambda x: x * kind.k, assign(meta, k=5.0)


@route
def a_name_that_a_module_does_not_have_yet():
    made = sys.modules["settings_of_a_test"] = module()

    def read(x):
        try:
            from settings_of_a_test import k
        except ImportError:
            k = 0.1
        return x * k

    return read, assign(made, k=5.0)


@route
def a_slot_without_a_value():
    held = type("Kind", (), {"__module__": __name__, "__slots__": ("k",)})()

    def read(x):
        try:
            return x * held.k
        except AttributeError:
            return x * 0.1

    return read, assign(held, k=5.0)


@route
def a_name_that_a_new_object_does_not_have():
    kind = type("Kind", (), {"__module__": __name__})
    return lambda x: x * getattr(kind(), "k", 2.0), assign(kind, k=5.0)


@route
def a_property_by_its_name():
    kind = type("Kind", (), {"__module__": __name__, "k": property(lambda self: 2.0)})
    held = kind()
    return lambda x: x * getattr(held, "k"), assign(kind, k=property(lambda self: 5.0))  # noqa: B009


@route
def a_module_by_its_name():
    sys.modules["settings_of_a_test"] = module(k=2.0)
    return (
        lambda x: x * importlib.import_module("settings_of_a_test").k,
        lambda: sys.modules.update(settings_of_a_test=module(k=5.0)),
    )


@route
def how_a_new_object_begins():
    kind = type("Kind", (), {"__module__": __name__, "k": 2.0})
    return lambda x: x * kind().k, assign(kind, __init__=lambda self: setattr(self, "k", 5.0))


@route
def one_of_two_derived_classes():
    base = type("Base", (), {"__module__": __name__, "k": 2.0})
    one, other = [type("Kind", (base,), {"__module__": __name__}) for _ in range(2)]
    return lambda x: x * one().k * other().k, assign(other, k=5.0)


@pytest.mark.parametrize("name", ["__call__", "__neg__", "__enter__"])
def test_a_special_method_that_a_derived_class_gets(name):
    def old(self, *_):
        return 2.0

    held = {"__module__": __name__, "__exit__": lambda self, *_: None, name: old}
    kind = type("Kind", (type("Base", (), held),), {"__module__": __name__})
    one = kind()

    def entered(x):
        with one as k:
            return x * k

    reads = {
        "__call__": lambda x: x * one(),
        "__neg__": lambda x: x * -one,
        "__enter__": entered,
    }
    see(reads[name], lambda: setattr(kind, name, lambda self, *_: 5.0))


# code of the user's that tells about its objects --------------------------------------------------


class ByItself:
    k = 2.0

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)


class EqualByState:
    k = 2.0

    def __eq__(self, other):
        return self.k == other.k

    __hash__ = None

    def __call__(self, x):
        return x * self.k


class Items(dict):
    __getattr__ = dict.__getitem__

    def __call__(self, x):
        return x * self["k"]


class Pretending:
    k = 2.0
    __class__ = dict


OBJECTS = {
    "reads its attributes by itself": (ByItself, lambda o, x: x * o.k),
    "is equal by its state": (EqualByState, lambda o, x: o(x)),
    "gives items as attributes": (lambda: Items(k=2.0), lambda o, x: o(x)),
    "pretends to be another": (Pretending, lambda o, x: x * o.k),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_that_computes_what_is_asked_of_it_is_traced(name):
    make, read = OBJECTS[name]
    held = make()
    change = functools.partial(held.update, k=5.0) if type(held) is Items else assign(held, k=5.0)
    see(lambda x: read(held, x), change)


SHALLOW = {
    "enumerate": lambda held, x: x * next(each.k for _, each in enumerate(held)),
    "zip": lambda held, x: x * next(each.k for each, _ in zip(held, held, strict=True)),
    "len": lambda held, x: x * len(held),
    "getattr": lambda held, x: x * getattr(held[0], "k"),  # noqa: B009
    "hasattr": lambda held, x: x * hasattr(held[0], "k"),
}


@pytest.mark.parametrize("name", SHALLOW)
def test_what_is_not_read_may_change(name):
    held = [Scale()]
    traced = sg.function(lambda x: SHALLOW[name](held, x), backend="numpy")
    for count in range(4):
        held[0].seen = count
        traced(ONE)
    assert len(traced.explain().traces) == 1


def see(read, change):
    """Assert that a traced function gives what the function gives, before and after a change."""
    traced = sg.function(read, backend="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error", BakedValueWarning)
        before = np.asarray(traced(ONE))
        np.testing.assert_array_equal(before, read(ONE))
        np.testing.assert_array_equal(before, traced(ONE))
        assert len(traced.explain().traces) == 1, "a guard fails without a change"
        change()
        wanted = np.asarray(read(ONE))
        assert not np.array_equal(before, wanted)
        np.testing.assert_array_equal(traced(ONE), wanted)


@pytest.fixture
def restored(monkeypatch):
    monkeypatch.setenv("SCALE_OF_A_TEST", "2.0")
    for name in ("settings_of_a_test", "lazy_settings_of_a_test", "settings_that_come_later"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    with decimal.localcontext():
        yield


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("name", ROUTES)
def test_a_change_is_seen(name):
    see(*ROUTES[name]())


# what is named ------------------------------------------------------------------------------------


NAMED = {
    "what a function computed before": r"times_two\(\)",
    "the entropy of the system": r"random\(\)",
    "a stream": "held=",
}


@pytest.mark.parametrize("name", NAMED)
def test_what_nothing_can_watch_is_named(name):
    import io

    @functools.lru_cache
    def times_two(k):
        return 2 * k

    times_two(3)
    stream = type("Stream", (io.BytesIO,), {"__module__": __name__})
    source = type("Source", (random.SystemRandom,), {"__module__": __name__})
    held = stream(b"\2") if name == "a stream" else source()
    programs = {
        "what a function computed before": lambda x: x * times_two(3),
        "the entropy of the system": lambda x: x * (held.random() < 2),
        "a stream": lambda x: x * held.read()[0],
    }
    with pytest.warns(BakedValueWarning, match=NAMED[name]):
        sg.function(programs[name], backend="numpy")(ONE)


def test_which_object_an_argument_is_is_named():
    def program(x, y):
        return x * 2 if x is y else x * 3

    def with_outside(x, y):
        return x * 2 if y is not ONE else x * 3

    for each, named in ((program, "x is y"), (with_outside, "y is ONE")):
        traced = sg.function(each, backend="numpy")
        with pytest.warns(BakedValueWarning, match=named):
            traced(ONE, ONE)
        assert named in repr(traced.explain())


def test_what_is_no_argument_is_compared_as_in_python():
    def program(x, y):
        doubled = x * 2
        known = x is x and x is not None and doubled is not y and y is not np.newaxis
        return doubled if known and type(x) is type(y) else x

    with warnings.catch_warnings():
        warnings.simplefilter("error", BakedValueWarning)
        assert sg.function(program, backend="numpy")(ONE, ONE) == program(ONE, ONE)


# signatures ---------------------------------------------------------------------------------------


def test_keywords_in_another_order_are_another_call():
    def read(x, **named):
        for value in named.values():
            x = x * 2 + value
        return x

    traced = sg.function(read, backend="numpy")
    for _ in range(2):
        assert traced(ONE, a=1, b=2) == read(ONE, a=1, b=2)
        assert traced(ONE, b=2, a=1) == read(ONE, b=2, a=1)


@dataclasses.dataclass(frozen=True)
class Named:
    name: str
    k: float = dataclasses.field(compare=False)
    inner: object = dataclasses.field(compare=False, default=None)


def test_equal_static_arguments_that_hold_other_values_are_others():
    traced = sg.function(lambda x, settings: x * settings.k, backend="numpy")
    for k in (2.0, 5.0, 2.0):
        assert traced(ONE, Named("a", k)) == k
    assert len(traced.explain().traces) == 2
    nested = sg.function(lambda x, settings: x * settings.inner.k, backend="numpy")
    for k in (2.0, 5.0):
        assert nested(ONE, Named("a", 1.0, Named("b", k))) == k
