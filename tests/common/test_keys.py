"""Keys tell 0, 0.0, -0.0, False and their like apart: nothing made for one serves another."""

import functools
import gc
import itertools
import struct
from types import SimpleNamespace

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.machine import cache
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.keys import exact_key
from oplibrary.values.tree import flatten

pytestmark = pytest.mark.filterwarnings("ignore::oplibrary.messages.errors.RetraceWarning")

OTHER_NAN = struct.unpack("=d", struct.pack("=Q", 0xFFF8_0000_0000_0001))[0]
ALIKE = [
    0, 0.0, -0.0, False, np.float32(0), np.float32(-0.0), np.float64(0), np.float64(-0.0),
    np.float16(0), np.int32(0), np.int64(0), np.uint8(0), np.bool_(False), 0j, complex(0.0, -0.0),
    complex(-0.0, 0.0), np.complex64(0), 1, 1.0, True, np.float32(1), np.int64(1), complex(1, 0.0),
    complex(1, -0.0), float("nan"), OTHER_NAN, np.float32("nan"), None, "", "0", b"", b"0",
]  # fmt: skip
HOLDERS = [
    lambda x: x,
    lambda x: (x,),
    lambda x: [x],
    lambda x: (2, (x, "a")),
    lambda x: {"a": x},
    lambda x: {x: "a"},
    lambda x: slice(x, None),
    lambda x: slice(0, (x,)),
    lambda x: frozenset({x}),
]
BACKENDS = ["interpret", "numpy", "native"]


def needs(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")


def again(x):
    """Return an equal value that is another object, where Python makes one."""
    return struct.unpack("=d", struct.pack("=d", x))[0] if type(x) is float else x


@pytest.mark.parametrize("hold", HOLDERS)
def test_no_two_values_have_one_key(hold):
    keys = [exact_key(hold(x)) for x in ALIKE]
    for one, other in itertools.combinations(keys, 2):
        assert one != other
    assert len(set(keys)) == len(keys)
    assert keys == [exact_key(hold(again(x))) for x in ALIKE]


def test_containers_of_other_types_are_told_apart():
    values = [(0, 1), [0, 1], {0: 1}, {0, 1}, frozenset({0, 1}), range(2), range(0, 2, 2), slice(2)]
    assert len(set(map(exact_key, values))) == len(values)


# static arguments, guards, structures -------------------------------------------------------------

STATIC = [x for x in ALIKE if not isinstance(x, (str, bytes, type(None)))]


def bits(x):
    x = np.asarray(x)
    return x.dtype, x.shape, x.tobytes()


@pytest.mark.parametrize("hold", [lambda v: v, lambda v: (v,), lambda v: (3, (v,))])
def test_static_arguments(hold):
    seen = []
    function = sg.function(
        lambda x, p: seen.append(p) or x + 1,
        static_argnums=1,
        max_signatures=100,
        backend="interpret",
    )
    for _ in range(2):
        for value in STATIC:
            function(np.ones(2), hold(value))
    assert list(map(exact_key, seen)) == [exact_key(hold(x)) for x in STATIC]


@pytest.mark.parametrize(
    "hold", [lambda v: v, lambda v: (v,), lambda v: {"a": v}, lambda v: {v: 1}]
)
def test_guards(hold):
    settings = SimpleNamespace(value=None)
    seen = []

    @sg.function(max_signatures=100, backend="interpret")
    def function(x):
        seen.append(settings.value)
        return x + 1

    for value in STATIC:
        settings.value = hold(value)
        function(np.ones(2))
        settings.value = hold(again(value))  # equal: no trace
        function(np.ones(2))
    assert list(map(exact_key, seen)) == [exact_key(hold(x)) for x in STATIC]


def test_a_zero_that_changes_its_sign_is_another_one():
    scale = 0.0

    @sg.function
    def function(x):
        return x * scale

    assert not np.signbit(function(np.ones(2))).any()
    scale = -0.0
    assert np.signbit(function(np.ones(2))).all()


def test_keys_of_dicts():
    function = sg.function(lambda d: sum(key * value for key, value in d.items()))
    for _ in range(2):
        for key in (1, 1.0, True, np.int8(1), np.float32(1)):
            found = function({key: np.array([2], np.int8)})
            assert bits(found) == bits(0 + key * np.array([2], np.int8)), repr(key)
    one, other = flatten({0.0: 1})[1], flatten({-0.0: 1})[1]
    assert one != other and one == flatten({0.0: 2})[1]


# operands and attributes, in both modes -----------------------------------------------------------

NUMBERS = [0, 0.0, -0.0, False, 1, 1.0, True, float("nan"), 0j, complex(0, -0.0), 1 + 0j]
NUMBERS += [complex(1, -0.0), complex(-0.0, 0.0)]


@pytest.mark.parametrize("backend", ["dynamic", *BACKENDS])
@pytest.mark.parametrize("dtype", ["int64", "float32", "complex64"])
def test_python_numbers_beside_arrays(backend, dtype):
    needs(backend)
    x = np.array([-2, 0, 3], dtype)
    for number in [*NUMBERS, *map(again, reversed(NUMBERS))]:
        with np.errstate(all="ignore"):
            expected = bits(x * number)
            if backend == "dynamic":
                found = (dg.tensor(x) * number).numpy()
            else:
                found = sg.function(lambda x, n=number: x * n, backend=backend)(x)
        assert bits(found) == expected, repr(number)


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_of_one_graph(backend):
    """Common subexpressions and constants of one program."""
    needs(backend)
    x = np.array([-2.0, 0.0, 3.0])

    def products(x):
        return tuple(x * number for number in NUMBERS)

    with np.errstate(all="ignore"):
        found = sg.function(products, backend=backend)(x)
        assert list(map(bits, found)) == list(map(bits, products(x)))


ATTRIBUTES = {
    "clip": ("min", [0, 0.0, -0.0, False, 1, 1.0, True, np.float32(0), np.int64(1)]),
    "full_like": (
        "fill_value",
        [0, 0.0, -0.0, False, 1, 1.0, True, float("nan"), np.float32(-0.0)],
    ),
    "pad": ("value", [0, 0.0, -0.0, 1, 1.0, np.float32(-0.0)]),
    "leaky_relu": ("negative_slope", [0, 0.0, -0.0, 1, 1.0, np.float64(-0.0)]),
}
FIXED = {"pad": {"pad_width": ((1, 1),)}}


def attribute_cases():
    for name, (attribute, values) in ATTRIBUTES.items():
        for dtype in ("float64", "float32", "int64"):
            yield pytest.param(REGISTRY[name], attribute, values, dtype, id=f"{name}-{dtype}")


@pytest.mark.parametrize("backend", ["dynamic", *BACKENDS])
@pytest.mark.parametrize(("op", "attribute", "values", "dtype"), list(attribute_cases()))
def test_attributes(op, attribute, values, dtype, backend, tmp_path, monkeypatch):
    """In one process, with entries on disk that another one of the values made."""
    needs(backend)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    # no zero: which zero is the larger one is the machine's choice
    x = np.array([-(2**60) - 1, -1, 2**60 + 1]).astype(dtype)
    for value in [*values, *map(again, reversed(values))]:
        attrs = {**FIXED.get(op.name, {}), attribute: value}
        _, bound = op.bind((x,), dict(attrs))
        try:
            expected = bits(op.kernel(x, **bound))
        except Exception:
            continue
        if backend == "dynamic":
            found = op(dg.tensor(x), **attrs).numpy()
        else:
            found = sg.function(lambda x, a=attrs: op(x, **a), backend=backend)(x)
        assert bits(found) == expected, repr(value)


def test_attributes_of_one_program():
    x = np.array([-0.0, 0.0, 2.0])
    values = ATTRIBUTES["full_like"][1]

    def function(x):
        return tuple(sg.full_like(x, value) for value in values)

    for backend in BACKENDS:
        needs(backend)
        found = sg.function(function, backend=backend)(x)
        assert list(map(bits, found)) == [bits(np.full_like(x, value)) for value in values]


def test_fingerprints():
    pytest.importorskip("llvmlite")
    from staticgraph.backends.native.run.fingerprint import fingerprint
    from staticgraph.declare.lower import lower

    found = []
    values = [0, 0.0, -0.0, False, 1, 1.0, float("nan"), OTHER_NAN]
    numpys = [np.float32(0), np.float32(-0.0)]  # an attribute is Python's number
    for value in [*values, *numpys]:
        with sg.Graph() as graph:
            x = sg.placeholder("x", (2,))
            found.append(fingerprint(lower(graph, [sg.full_like(x, value)], [x])))
    assert len(set(found)) == len(values) and None not in found
    assert found[len(values) :] == found[1:3]


# what calls before have left ----------------------------------------------------------------------

TWINS = {int: (float, bool, np.int64), float: (int, np.float32), bool: (int, float)}


def twins(value):
    """Yield values that equal `value` and are of another type, nested ones included."""
    if type(value) is tuple:
        for position, each in enumerate(value):
            for twin in twins(each):
                yield (*value[:position], twin, *value[position + 1 :])
    for kind in TWINS.get(type(value), ()):
        if kind(value) == value:
            yield kind(value)


def outcome(call, attrs):
    try:
        with np.errstate(all="ignore"):
            found = call(attrs)
    except SideBySideError as error:
        return type(error)
    if isinstance(found, sg.Node):
        return found.type
    parts = found if isinstance(found, tuple) else (found,)
    return [bits(part.numpy()) for part in parts]


@functools.cache
def caches():
    kept = functools._lru_cache_wrapper
    return [x for x in gc.get_objects() if type(x) is kept and x.__module__ != __name__]


def forget():
    for each in caches():
        each.cache_clear()


def replaced_attributes():
    for op in REGISTRY.values():
        if op.effect or op.kind is Kind.CONTROL or not hasattr(dg, op.name):
            continue
        if op.name.endswith(("_gradient", "_select")):
            continue  # called by rules, with attributes that another op has normalized
        for example in op.examples[:4]:
            for name, value in example.attrs.items():
                for twin in twins(value):
                    yield op, example, {**example.attrs, name: twin}


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_what_a_call_does_does_not_depend_on_calls_before(mode):
    wrong = []
    for op, example, attrs in replaced_attributes():
        arrays = draw(op, example, np.dtype("float64"), np.random.default_rng(0))

        def dynamic(attrs, op=op, arrays=arrays):
            return getattr(dg, op.name)(*map(dg.tensor, arrays), **attrs)

        def static(attrs, op=op, arrays=arrays):
            # a graph remembers by the types of the operands
            operands = [sg.placeholder(None, x.shape, x.dtype) for x in arrays]
            return getattr(sg, op.name)(*operands, **attrs)

        call = dynamic if mode == "dynamic" else static
        forget()
        with sg.Graph():
            alone = outcome(call, attrs)
        forget()
        with sg.Graph():
            outcome(call, example.attrs)
            after = outcome(call, attrs)
        if after != alone:
            wrong.append(f"{op.name} {attrs}")
    assert not wrong
