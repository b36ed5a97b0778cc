"""function: signatures, Python numbers, guards, what is baked, the report, misuse."""

import functools
import math
import operator
import os
import random
import threading
import time
import types
import warnings
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import (
    ArgumentError,
    BakedValueWarning,
    FinalGraphError,
    GraphError,
    LeakedNodeError,
    MixedModesError,
    SymbolicBoolError,
    SymbolicValueError,
)

numpy_backend = functools.partial(sg.function, backend="numpy")
ONES = np.ones(3, "float32")
LEARNING_RATE = 0.5
SETTINGS = types.SimpleNamespace(scale=2.0, optimizer=types.SimpleNamespace(momentum=0.9))


def same_bits(left, right):
    np.testing.assert_array_equal(left, right, strict=True)
    assert np.asarray(left).tobytes() == np.asarray(right).tobytes()


def traces(function):
    return len(function.explain().traces)


# signatures ---------------------------------------------------------------------------------------


def test_one_trace_a_signature():
    runs = []

    @numpy_backend
    def f(x):
        runs.append(x.shape)
        return x * 2

    assert f(ONES).tolist() == [2, 2, 2]
    assert f(ONES + 1).tolist() == [4, 4, 4]
    assert f(np.ones(4, "float32")).shape == (4,)
    assert f(np.ones(3)).dtype == np.float64
    assert f(ONES).tolist() == [2, 2, 2]
    assert runs == [(3,), (4,), (3,)]
    assert traces(f) == 3
    assert [t.calls for t in f.explain().traces] == [3, 1, 1]


def test_the_design_example():
    def f(xp, x, w):
        return xp.sum(xp.tanh(x @ w))

    step = sg.function(sg.value_and_grad(lambda x, w: f(sg, x, w), argnums=(0, 1)))
    value, (dx, dw) = step(np.ones((4, 3), "float32"), np.ones((3, 2), "float32"))
    assert (value.shape, dx.shape, dw.shape) == ((), (4, 3), (3, 2))
    assert isinstance(value, np.ndarray)


def test_results_have_the_structure_of_the_function():
    @numpy_backend
    def f(x, params):
        return {"a": (x, [params["w"] * 2]), "b": None, "c": 3}

    got = f(ONES, {"w": ONES})
    assert got["a"][0].tolist() == [1, 1, 1] and got["a"][1][0].tolist() == [2, 2, 2]
    assert got["b"] is None and got["c"] == 3
    assert f(ONES, {"w": ONES})["a"][1][0].tolist() == [2, 2, 2]
    assert traces(f) == 1


def test_structures_are_part_of_the_signature():
    @numpy_backend
    def f(tree):
        return sum(sg.sum(x) for x in (tree.values() if isinstance(tree, dict) else tree))

    assert f([ONES, ONES]) == 6
    assert f((ONES, ONES)) == 6
    assert f({"a": ONES}) == 3
    assert f([ONES]) == 3
    assert f([ONES, ONES]) == 6
    assert traces(f) == 4


def test_keyword_arguments():
    @numpy_backend
    def f(x, *, y=2.0, z=None):
        return x * y if z is None else x * y + z

    assert f(ONES).tolist() == [2, 2, 2]
    assert f(ONES, y=3.0).tolist() == [3, 3, 3]
    assert f(ONES, y=4.0).tolist() == [4, 4, 4]
    assert f(x=ONES, z=ONES).tolist() == [3, 3, 3]
    assert traces(f) == 3


def test_other_layouts_and_numpy_scalars():
    @numpy_backend
    def f(x):
        return sg.sum(x * 2)

    assert f(np.ones((4, 6), "float32")[::2, ::3]) == 8
    assert f(np.float32(2)) == 4
    assert f(np.array(3, "float32")) == 6
    assert traces(f) == 2


# python numbers -----------------------------------------------------------------------------------


def test_python_numbers_are_inputs_and_stay_weak():
    def update(p, g, rate, steps):
        return p - rate * steps * g

    compiled = numpy_backend(update)
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(2, 50)).astype("float32")
    for rate, steps in ((0.1, 3), (0.3, 7)):
        eager = update(dg.tensor(p), dg.tensor(g), rate, steps)
        same_bits(compiled(p, g, rate, steps), eager.numpy())
    same_bits(
        compiled(p.astype("float64"), g.astype("float64"), 0.1, 3),
        p.astype("float64") - 0.1 * 3 * g.astype("float64"),
    )
    assert traces(compiled) == 2
    assert compiled.explain().traces[0].signature[2:] == ("rate: float", "steps: int")


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("float32", 2),
        ("float32", 0.1),
        ("int32", 3),
        ("int32", 0.5),
        ("float32", True),
        ("int8", 5),
    ],
)
def test_weak_arguments_promote_as_the_numbers_do(dtype, number):
    x = np.arange(4).astype(dtype)
    same_bits(numpy_backend(lambda x, n: x * n)(x, number), x * number)
    same_bits(numpy_backend(lambda x, n: n - x)(x, number), number - x)
    same_bits(
        numpy_backend(lambda x, n: sg.where(x > 1, x, n))(x, number),
        np.where(x > 1, x, np.asarray(number, (x * number).dtype)),
    )


def test_weak_arguments_alone():
    @numpy_backend
    def f(a, n, flag):
        return a * 2, n + 1, flag, a > 0.5, sg.sum(a), sg.stack([a, a]), sg.take(sg.arange(5), n)

    a, n, flag, positive, total, both, taken = f(0.1, 3, True)
    assert (a.dtype, n.dtype, flag.dtype, positive.dtype) == ("float32", "int64", "bool", "bool")
    assert a == np.float32(0.1 * 2) and n == 4 and flag and not positive
    assert total.dtype == both.dtype == "float32"
    assert taken == 3


def test_weak_arguments_beside_indices_and_casts():
    @numpy_backend
    def f(x, i):
        return x[i], sg.take(x, i, axis=0), i.astype("float64") / 2

    values = f(np.array([5, 6, 7], "float32"), 1)
    assert [v.item() for v in values] == [6, 6, 0.5]
    assert values[0].dtype == "float32"


def test_the_value_of_a_number_needs_a_static_argument():
    def f(x, n):
        for _ in range(n):
            x = x * 2
        return x

    with pytest.raises(SymbolicValueError) as error:
        numpy_backend(f)(ONES, 3)
    assert "static_argnums" in error.value.fix
    compiled = numpy_backend(f, static_argnums=1)
    assert compiled(ONES, 3).tolist() == [8, 8, 8]
    assert compiled(ONES, 4).tolist() == [16, 16, 16]
    assert compiled(ONES, 3).tolist() == [8, 8, 8]
    assert traces(compiled) == 2

    def g(x, flag):
        return x if flag else -x

    with pytest.raises(SymbolicBoolError) as error:
        numpy_backend(g)(ONES, True)
    assert "static_argnums" in error.value.fix
    assert numpy_backend(g, static_argnums=(-1,))(ONES, False).tolist() == [-1, -1, -1]


# static arguments ---------------------------------------------------------------------------------


def test_what_is_no_number_is_static():
    @numpy_backend
    def f(x, mode, activation=None):
        y = x * 2 if mode == "double" else x
        return y if activation is None else activation(y)

    assert f(ONES, "double").tolist() == [2, 2, 2]
    assert f(ONES, "same").tolist() == [1, 1, 1]
    assert f(ONES, "double", sg.negative).tolist() == [-2, -2, -2]
    assert f(ONES, "double").tolist() == [2, 2, 2]
    assert traces(f) == 3
    assert "mode='double' (static)" in f.explain().traces[0].signature


def test_static_arguments_must_be_hashable():
    class Unhashable:
        __hash__ = None

    with pytest.raises(ArgumentError, match="argument mode is a Unhashable") as error:
        numpy_backend(lambda x, mode: x)(ONES, Unhashable())
    assert "selects what was compiled" in error.value.cause
    with pytest.raises(ArgumentError, match="argument n is a list"):
        numpy_backend(lambda x, n: x, static_argnums=1)(ONES, [3])


def test_the_oldest_signature_is_dropped():
    f = numpy_backend(lambda x: x * 2, max_signatures=2)
    for n in (1, 2, 3, 3, 2, 1):
        f(np.ones(n, "float32"))
    assert traces(f) == 4
    assert sum(map(len, f._entries.values())) == 2


# guards -------------------------------------------------------------------------------------------


def test_closures_are_guarded():
    rate, bias = 2.0, np.ones(3, "float32")

    @numpy_backend
    def f(x):
        return x * rate + bias

    assert f(ONES).tolist() == [3, 3, 3]
    rate = 5.0
    assert f(ONES).tolist() == [6, 6, 6]
    bias[0] = 10
    assert f(ONES).tolist() == [15, 6, 6]
    bias = np.zeros(3, "float32")
    assert f(ONES).tolist() == [5, 5, 5]
    reasons = [t.reason for t in f.explain().traces]
    assert reasons[0] == "first call"
    assert "rate: 2.0 -> 5.0 (closure, test_function.py:" in reasons[1]
    assert "bias: its elements changed" in reasons[2]
    assert "bias: " in reasons[3]


def test_what_was_compiled_before_is_found_again():
    scale = 1.0
    f = numpy_backend(lambda x: x * scale)
    for scale in (1.0, 2.0, 1.0, 2.0, 1.0):
        assert f(ONES)[0] == scale
    assert traces(f) == 2


def test_globals_are_guarded(monkeypatch):
    f = numpy_backend(lambda x: x * LEARNING_RATE)
    assert f(ONES)[0] == 0.5
    monkeypatch.setitem(globals(), "LEARNING_RATE", 0.25)
    assert f(ONES)[0] == 0.25
    assert any("LEARNING_RATE=0.5 (global, " in g for g in f.explain().traces[0].guards)


def test_attributes_are_guarded(monkeypatch):
    f = numpy_backend(lambda x: x * SETTINGS.scale + SETTINGS.optimizer.momentum)
    assert f(ONES)[0] == np.float32(2.9)
    monkeypatch.setattr(SETTINGS.optimizer, "momentum", 0.0)
    assert f(ONES)[0] == 2
    monkeypatch.setattr(SETTINGS, "optimizer", types.SimpleNamespace(momentum=1.0))
    assert f(ONES)[0] == 3
    guards = f.explain().traces[0].guards
    assert any(g.startswith("SETTINGS.optimizer.momentum=0.9 (attribute") for g in guards)


def test_defaults_are_guarded():
    def f(x, scale=2.0, *, shift=1.0):
        return x * scale + shift

    compiled = numpy_backend(f)
    assert compiled(ONES)[0] == 3
    f.__defaults__ = (4.0,)
    assert compiled(ONES)[0] == 5
    f.__kwdefaults__["shift"] = 0.0
    assert compiled(ONES)[0] == 4
    assert "scale: 2.0 -> 4.0 (default, " in compiled.explain().traces[1].reason


def double(x):
    return x * 2


def triple(x):
    return x * 3


def test_functions_that_are_called_are_guarded():
    bias = 1.0

    def helper(x):
        return inner(x) + bias

    inner = double

    f = numpy_backend(lambda x: helper(x))
    assert f(ONES)[0] == 3
    bias = 5.0
    assert f(ONES)[0] == 7

    inner = triple
    assert f(ONES)[0] == 8
    assert "inner: " in f.explain().traces[2].reason


def test_containers_are_guarded_by_value():
    sizes, table = [1.0, 2.0], {"a": ONES.copy(), "b": (1, "text")}
    f = numpy_backend(lambda x: x * sizes[0] + table["a"] * table["b"][0])
    assert f(ONES)[0] == 2
    sizes[0] = 3.0
    assert f(ONES)[0] == 4
    table["a"][:] = 2
    assert f(ONES)[0] == 5
    table["b"] = (10, "text")
    assert f(ONES)[0] == 23
    sizes.append(4.0)
    assert f(ONES)[0] == 23
    assert traces(f) == 5


def test_values_of_equal_types_only():
    flag = 1
    f = numpy_backend(lambda x: x * flag)
    assert f(ONES).dtype == "float32"
    flag = True
    f(ONES)
    flag = math.nan
    f(ONES)
    f(ONES)
    assert traces(f) == 3


class Model:
    def __init__(self):
        self.w = np.ones(3, "float32")
        self.layers = [2.0]
        self.calls = 0

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        return x * self.w * self.layers[0]

    @numpy_backend
    def step(self, x):
        return self.forward(x) + 1

    @property
    def doubled(self):
        return self.w * 2


def test_objects_methods_and_attributes():
    model = Model()
    f = numpy_backend(model)
    assert f(ONES)[0] == 2
    model.w = model.w * 3
    assert f(ONES)[0] == 6
    model.layers[0] = 1.0
    assert f(ONES)[0] == 3
    bound = numpy_backend(model.forward)
    assert bound(ONES)[0] == 3
    model.w[:] = 7
    assert bound(ONES)[0] == 7
    g = numpy_backend(lambda x: model(x) + model.doubled)
    assert g(ONES)[0] == 21
    model.layers = [0.0]
    assert g(ONES)[0] == 14


def test_methods_can_be_static_functions():
    model, other = Model(), Model()
    assert model.step(ONES)[0] == 3
    other.w = other.w * 5
    assert other.step(ONES)[0] == 11
    model.layers = [4.0]
    assert model.step(ONES)[0] == 5
    assert Model.step(other, ONES)[0] == 11


def test_partials_and_wrappers():
    scale = 2.0

    def f(x, y):
        return sg.sum(x * y * scale)

    compiled = numpy_backend(functools.partial(f, y=ONES))
    assert compiled(ONES) == 6
    scale = 1.0
    assert compiled(ONES) == 3
    wrapped = numpy_backend(sg.grad(f))
    assert wrapped(ONES, ONES)[0] == 1
    scale = 4.0
    assert wrapped(ONES, ONES)[0] == 4


def test_large_arrays_are_watched_by_identity_and_listed():
    large = np.zeros(100_000, "float32")
    f = numpy_backend(lambda x: sg.sum(x) + large[:1])
    with pytest.warns(BakedValueWarning, match="large=array float32.*not watched") as caught:
        assert f(ONES)[0] == 3
    assert "large.flags.writeable = False" in caught[0].message.fix
    (text,) = f.explain().traces[0].baked
    assert text.startswith("baked large=array float32[100000] (closure, test_function.py:")
    assert "identity only" in text
    large = np.ones(100_000, "float32")
    with pytest.warns(BakedValueWarning):
        assert f(ONES)[0] == 4
    large.flags.writeable = False
    fixed = numpy_backend(lambda x: sg.sum(x) + large[:1])
    fixed(ONES)
    assert fixed.explain().traces[0].baked == []


def test_objects_that_may_hold_state_are_listed():
    class Schedule:
        def __init__(self):
            self.values = iter([1.0, 2.0])

        def __getattr__(self, name):
            return 3.0

    schedule = Schedule()

    def scaled(x, schedule):
        return x * operator.attrgetter("rate")(schedule)  # compiled code is given the object

    f = numpy_backend(lambda x: scaled(x, schedule))
    with pytest.warns(BakedValueWarning, match="schedule=.* is not watched"):
        f(ONES)
    assert any(
        "baked schedule=" in text and "a list_iterator may hold state" in text
        for text in f.explain().traces[0].baked
    )
    schedule = Schedule()
    with pytest.warns(BakedValueWarning):
        f(ONES)
    assert traces(f) == 2


class Layer:
    kind = 1.0

    def __init__(self, gain):
        self.gain = gain


class Network:
    scale = 2.0

    def __init__(self):
        self.layers = [Layer(2.0), Layer(3.0)]

    @property
    def shown(self):
        return self.scale

    def forward(self, x):
        for layer in self.layers:
            x = x * layer.gain * layer.kind
        return x * self.shown


def test_attributes_of_objects_in_containers_and_behind_properties_are_guarded():
    network = Network()
    f = numpy_backend(network.forward)
    assert f(ONES)[0] == 12
    network.layers[1].gain = 5.0
    assert f(ONES)[0] == 20
    network.scale = 3.0
    assert f(ONES)[0] == 30
    Layer.kind = 2.0
    try:
        assert f(ONES)[0] == 120
    finally:
        Layer.kind = 1.0
    assert f(ONES)[0] == 30
    assert traces(f) == 4


def test_attributes_that_the_bytecode_does_not_name_are_guarded():
    layer = Layer(2.0)
    f = numpy_backend(lambda x: x * getattr(layer, "gain"))  # noqa: B009
    assert f(ONES)[0] == 2
    layer.gain = 9.0
    assert f(ONES)[0] == 9
    layer.itself = layer  # a cycle does no harm
    assert f(ONES)[0] == 9


def test_the_clock_is_recorded():
    f = numpy_backend(lambda x: x * time.time())
    with pytest.warns(BakedValueWarning, match=r"time\.time\(\) is fixed in the graph"):
        f(ONES)
    (baked,) = f.explain().traces[0].baked
    assert baked.startswith("baked time.time() (call, test_function.py:")
    assert "another value each time" in baked


@pytest.mark.parametrize("make", [lambda: np.random.default_rng(0), lambda: random.Random(0)])
def test_drawing_from_a_generator_of_ones_own_is_warned_of(make):
    generator = make()
    f = numpy_backend(lambda x: x + generator.random())
    with pytest.warns(BakedValueWarning, match="generator was drawn from"):
        f(ONES)


def test_objects_whose_methods_are_seen_are_not_listed():
    model = Model()
    f = numpy_backend(lambda x: model(x) + model.step(x))
    assert f(ONES)[0] == 5
    assert f.explain().traces[0].baked == []
    model = Model()
    model.w = model.w * 2
    assert f(ONES)[0] == 9
    assert traces(f) == 2


def test_side_effects_are_reported_and_not_guarded():
    count, seen = 0, []

    @numpy_backend
    def f(x):
        nonlocal count
        count += 1
        seen.append(x.shape)
        print("tracing", count)
        return x * 2 + len(seen)

    with pytest.warns(BakedValueWarning, match="(count=0|seen=.*) is fixed") as caught:
        for _ in range(3):
            f(ONES)
    assert ["count=0" in str(each.message) for each in caught] == [True, False]
    assert count == 1 and traces(f) == 1
    effects = "\n".join(f.explain().traces[0].effects)
    assert "nonlocal count is set while tracing, and not in later calls" in effects
    assert "seen.append() runs while tracing" in effects
    assert "print() runs while tracing" in effects
    assert "traced 1x" in str(f.explain()) and "executed 3x" in str(f.explain())


def test_attributes_that_the_function_sets_are_not_guarded():
    class Counter:
        calls = 0

        def step(self, x):
            self.calls = self.calls + 1
            return x * 2

    counter = Counter()
    f = numpy_backend(counter.step)
    with pytest.warns(BakedValueWarning, match=r"self\.calls=0 is fixed"):
        f(ONES)
    f(ONES)
    assert traces(f) == 1 and counter.calls == 1
    assert "attribute calls is set" in f.explain().traces[0].effects[0]


@pytest.mark.parametrize("draw", [lambda: random.random(), lambda: np.random.rand()])  # noqa: NPY002
def test_random_state_is_noticed(draw):
    f = numpy_backend(lambda x: x * draw())
    with pytest.warns(sg.BakedValueWarning, match="its numbers are fixed in the graph"):
        f(ONES)
    assert "was drawn from" in f.explain().traces[0].baked[0]


# the report ---------------------------------------------------------------------------------------


def test_the_report():
    scale = 2.0

    @numpy_backend
    def model(x):
        return x * scale

    model(ONES)
    model(np.ones(4, "float32"))
    report = model.explain()
    assert report.calls == 2 and report.name == "model"
    text = str(report)
    assert text.startswith("model (test_function.py:")
    assert "trace 1: first call" in text
    assert "trace 2: other arguments: x: float32[4] after x: float32[3]" in text
    assert "guarded: scale=2.0 (closure, test_function.py:" in text
    assert set(report.traces[0].seconds) == {"trace", "compile"}
    assert report.traces[0].total_seconds > 0
    assert report.to_dict()["traces"][1]["signature"] == ["x: float32[4]"]
    assert repr(model) == "<static function model, 2 traces>"


def test_retracing_again_and_again_is_warned_of_once():
    f = numpy_backend(lambda x: x * 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(1, 10):
            f(np.ones(n, "float32"))
    (warning,) = caught
    assert warning.category is sg.RetraceWarning
    text = str(warning.message)
    assert "was traced 6 times, which took" in text
    assert "x: float32[6] after x: float32[5]" in text
    assert "pad to a few fixed shapes" in text
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("vary", "fix"),
    [
        (lambda f, box, i: (box.__setitem__(0, i), f(ONES, "a")), "pass the value as an argument"),
        (lambda f, box, i: f(ONES, f"mode {i}"), "in place of static values"),
    ],
)
def test_the_warning_says_what_to_do(vary, fix):
    box = [0]
    f = numpy_backend(lambda x, mode: x * box[0])
    with pytest.warns(sg.RetraceWarning, match=fix):
        for i in range(8):
            vary(f, box, i)


# use and misuse -----------------------------------------------------------------------------------


def test_called_with_nodes_it_is_part_of_the_graph():
    inner = numpy_backend(lambda x, k: x * k, static_argnums=1)
    outer = numpy_backend(lambda x: sg.sum(inner(x, 3)))
    assert outer(ONES) == 9
    assert traces(inner) == 0
    graph = sg.trace(lambda x: inner(x, 2.0), sg.TensorType(()))
    assert graph.outputs[0].op.name == "multiply"


def test_dicts_in_another_order_are_traced_anew():
    def weighted(params):
        total = 0
        for n, value in enumerate(params.values(), 1):
            total = total + n * value
        return total

    f = numpy_backend(weighted)
    a, b = {"x": ONES, "y": 2 * ONES}, {"y": 2 * ONES, "x": ONES}
    for params in (a, b, a, b):
        assert f(params)[0] == weighted(params)[0]
    assert traces(f) == 2


def test_threads_share_what_was_compiled():
    f = numpy_backend(lambda x: x * 2)
    results = []
    threads = [threading.Thread(target=lambda: results.append(f(ONES).tolist())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[2, 2, 2]] * 8
    assert traces(f) == 1


def test_decorator_forms_and_options():
    @sg.function(backend="interpret", max_nodes=50)
    def f(x):
        """Double x."""
        return x * 2

    assert f(ONES).tolist() == [2, 2, 2]
    assert f.__name__ == "f" and f.__doc__ == "Double x."
    with pytest.raises(ArgumentError, match="was given a int"):
        sg.function(3)


def test_a_function_must_return_values():
    with pytest.raises(GraphError, match="returned no value"):
        numpy_backend(lambda x: None)(ONES)


def test_variables_belong_to_graphs():
    def f(x):
        w = sg.variable([1.0], name="w")
        return x * w

    with pytest.raises(GraphError, match="declares the variable 'w' while it is traced") as error:
        numpy_backend(f)(ONES)
    assert error.value.related[0][1].text == 'w = sg.variable([1.0], name="w")'


def test_dynamic_tensors_and_leaks_are_refused():
    with pytest.raises(MixedModesError):
        numpy_backend(lambda x: x)(dg.tensor([1.0]))
    kept = []
    f = numpy_backend(lambda x: kept.append(x * 2) or x)
    f(ONES)
    for use in (lambda: kept[0] + 1, lambda: numpy_backend(lambda x: x + kept[0])(ONES)):
        with pytest.raises((LeakedNodeError, FinalGraphError)):
            use()


def test_a_failed_trace_leaves_nothing_behind():
    fail = True

    @numpy_backend
    def f(x):
        if fail:
            raise KeyError("no")
        return x

    with pytest.raises(KeyError):
        f(ONES)
    assert sg.current_graph() is None
    fail = False
    assert f(ONES).tolist() == [1, 1, 1]


def test_a_deleted_closure_variable_is_noticed():
    scale = 2.0
    f = numpy_backend(lambda x: x * scale)  # noqa: F821  that is the point
    f(ONES)
    del scale
    with pytest.raises(NameError):
        f(ONES)


def test_calls_of_the_same_signature_are_told_from_others():
    @numpy_backend
    def f(tree, k):
        return tree["a"] * k + sum(tree["b"])

    assert f({"a": ONES, "b": (ONES, ONES)}, 2.0).tolist() == [4, 4, 4]
    assert f({"a": ONES * 2, "b": (ONES, ONES)}, 3.0).tolist() == [8, 8, 8]
    assert traces(f) == 1
    assert f({"a": ONES, "b": [ONES, ONES]}, 2.0).tolist() == [4, 4, 4]
    assert f({"a": ONES, "b": (ONES,)}, 2.0).tolist() == [3, 3, 3]
    assert f({"a": ONES, "b": (ONES, ONES)}, 2).dtype == "float32"
    assert f({"a": ONES, "b": (ONES, ONES)}, ONES).tolist() == [3, 3, 3]
    assert traces(f) == 5
    with pytest.raises(KeyError):
        f({"a": ONES, "c": (ONES, ONES)}, 2.0)


@pytest.mark.parametrize(
    "read",
    [
        lambda: os.environ["SCALE_OF_A_TEST"],
        lambda: os.environ.get("SCALE_OF_A_TEST", "1"),
        lambda: os.getenv("SCALE_OF_A_TEST"),
    ],
)
def test_the_environment_is_watched(monkeypatch, read):
    monkeypatch.setenv("SCALE_OF_A_TEST", "2")
    f = numpy_backend(lambda x: x * float(read()))
    assert f(ONES).tolist() == [2, 2, 2]
    assert "baked" not in str(f.explain())
    assert "os.environ=" in str(f.explain())
    monkeypatch.setenv("SCALE_OF_A_TEST", "3")
    assert f(ONES).tolist() == [3, 3, 3]
    assert traces(f) == 2


@pytest.mark.parametrize(
    "kind",
    [
        OrderedDict,
        Counter,
        UserDict,
        ChainMap,
        lambda values: defaultdict(int, values),
        types.MappingProxyType,
    ],
)
def test_mappings_are_watched_by_what_they_hold(kind):
    values = {"scale": 2}
    mapping = kind(values)
    f = numpy_backend(lambda x: x * mapping["scale"])
    assert f(ONES).tolist() == [2, 2, 2]
    (values if isinstance(mapping, types.MappingProxyType) else mapping)["scale"] = 5
    assert f(ONES).tolist() == [5, 5, 5]
    assert "baked" not in str(f.explain())
