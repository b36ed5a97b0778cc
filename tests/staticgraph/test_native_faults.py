"""Faults of the planner: a program runs all the same, and says what was left to NumPy for it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from staticgraph.backends.native.emit import segments
from staticgraph.backends.native.planning import planning
from staticgraph.backends.native.planning.plan import Location
from staticgraph.backends.native.run import calls, running
from staticgraph.backends.native.run.fallback import FAULT, MOST_TRIES
from staticgraph.backends.native.run.proof import UnprovedPlan, prove

X = np.linspace(0.05, 0.2, 12, dtype="float32").reshape(3, 4)
"""So small that the slope of `tanh`, which is the rest that its square leaves of 1, is not."""


@pytest.fixture(autouse=True)
def cold(monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CACHE", "off")


def outputs(x):
    e = sg.exp(x)
    loss = sg.sum(sg.tanh(e @ sg.permute_dims(x, axes=(1, 0))))
    return [loss, sg.concat([e, x], axis=0), sg.max(e, axis=1), *sg.gradients(loss, [x])]


def build():
    with sg.Graph():
        x = sg.placeholder("x", X.shape)
        return sg.compile(outputs(x), [x], backend="native")


def check(executable):
    with sg.Graph():
        x = sg.placeholder("x", X.shape)
        wanted = sg.compile(outputs(x), [x], backend="numpy")(X)
    for _ in range(2):
        for found, right in zip(executable(X), wanted, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-5)


def left(executable):
    return [line for line in executable.report().splitlines() if FAULT in line]


def about_exp(kernel_or_nest):
    kernel = getattr(kernel_or_nest, "kernel", kernel_or_nest)
    nodes = [node for store in kernel.stores for node in store.nodes]
    made = [node.definition.instruction for node in nodes if not node.leaf]
    return any(each is not None and each.op is REGISTRY["exp"] for each in made)


def test_without_a_fault_nothing_is_left():
    executable = build()
    assert not left(executable)
    check(executable)


@pytest.mark.planner_faults
@pytest.mark.parametrize("error", [KeyError("exp"), AssertionError(), ValueError("no"), IndexError])
@pytest.mark.parametrize("where", ["planning", "writing"])
def test_what_the_planner_has_a_fault_with_is_left_to_numpy(monkeypatch, where, error):
    module, name = (planning, "plan_nest") if where == "planning" else (segments, "write_kernel")
    real = getattr(module, name)

    def faulty(*arguments):
        loops = [each for each in arguments if hasattr(each, "kernel") or hasattr(each, "stores")]
        if any(map(about_exp, loops)):
            raise error
        return real(*arguments)

    monkeypatch.setattr(module, name, faulty)
    executable = build()
    (line,) = left(executable)
    assert "exp" in line and "left to NumPy" in line
    check(executable)


@pytest.mark.planner_faults
def test_where_nothing_can_be_planned_numpy_runs_it_all(monkeypatch):
    def faulty(*_):
        raise RuntimeError("nothing works")

    monkeypatch.setattr(planning, "group", faulty)
    executable = build()
    assert "left to NumPy  all" in executable.report()
    assert "nothing works" in executable.report()
    check(executable)


@pytest.mark.planner_faults
def test_the_search_for_a_fault_ends(monkeypatch):
    tries = []
    real = planning.define

    def faulty(program, control, given):
        tries.append(len(given))
        if len(given) < len(program.instructions) - 1:
            raise KeyError("more than one")
        return real(program, control, given)

    monkeypatch.setattr(planning, "define", faulty)
    with sg.Graph():
        x = sg.placeholder("x", X.shape)
        y = x
        for _ in range(60):
            y = sg.tanh(y) + x
        executable = sg.compile([y], [x], backend="native")
    assert left(executable) and len(tries) <= 2 * (MOST_TRIES + 2)


# the proof ----------------------------------------------------------------------------------------


@pytest.fixture
def plan():
    from tests.staticgraph.conftest import declare

    return planning.make_plan(declare(outputs, X.shape))


def computed(plan):
    return [
        each
        for each, place in plan.locations.items()
        if place.slot >= len(plan.sources) and each.size
    ]


def test_a_plan_is_proved(plan):
    prove(plan)
    assert len(computed(plan)) > 4


def test_a_value_without_a_place_is_seen(plan):
    for each in computed(plan):
        rest = {key: place for key, place in plan.locations.items() if key is not each}
        with pytest.raises(UnprovedPlan):
            prove(replace(plan, locations=rest))


def test_what_is_not_written_is_seen(plan):
    for each in computed(plan):
        kernels = [s for s in plan.nests if any(r.storage is each for r in s.stores)]
        if kernels and all(r.definition is each for s in kernels for r in s.stores):
            with pytest.raises(UnprovedPlan, match="is not there"):
                prove(replace(plan, unread={*plan.unread, each}))
    for number in range(len(plan.grouping.steps)):
        fewer = [s for i, s in enumerate(plan.grouping.steps) if i != number]
        with pytest.raises(UnprovedPlan, match="is not there"):
            prove(replace(plan, grouping=replace(plan.grouping, steps=fewer)))


def test_the_wrong_order_is_seen(plan):
    steps = plan.grouping.steps[::-1]
    with pytest.raises(UnprovedPlan, match="is not there"):
        prove(replace(plan, grouping=replace(plan.grouping, steps=steps)))


def test_two_values_in_one_place_are_seen(plan):
    results = [each for each in computed(plan) if each in plan.results]
    moved = {**plan.locations, results[0]: plan.locations[results[1]]}
    with pytest.raises(UnprovedPlan):
        prove(replace(plan, locations=moved))


def test_memory_that_is_too_small_is_seen(plan):
    for each in computed(plan):
        location = plan.locations[each]
        moved = {**plan.locations, each: Location(location.slot, location.offset + (1 << 30))}
        with pytest.raises(UnprovedPlan, match="inside"):
            prove(replace(plan, locations=moved))


def test_a_reader_that_comes_too_late_is_seen(plan):
    """A value whose memory is taken before its last reader has run."""
    with pytest.raises(UnprovedPlan):
        places = {each: Location(plan.arena_slot, 0) for each in computed(plan)}
        kept = {each: plan.locations[each] for each in plan.results if each in plan.locations}
        prove(replace(plan, locations={**plan.locations, **places, **kept}, arena_bytes=1 << 20))


# checked runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "bool"])
def test_a_checked_run_starts_with_poison(monkeypatch, dtype):
    seen = []

    class Nothing(running.State):
        def poison(self):
            self.arena[...] = 7
            super().poison()
            seen.append(self.arena.copy())

    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    monkeypatch.setattr(calls, "State", Nothing)
    with sg.Graph():
        x = sg.placeholder("x", (2, 3), dtype)
        run = sg.compile([sg.concat([x, x]), sg.sort(x)], [x], backend="native")
    values = np.arange(6).reshape(2, 3).astype(dtype)
    for _ in range(2):
        joined, ordered = run(values)
        np.testing.assert_array_equal(joined, np.concatenate([values, values]))
        np.testing.assert_array_equal(ordered, np.sort(values))
    assert len(seen) == 2 and not any((arena == 7).any() for arena in seen)
    array = np.zeros(3, dtype)
    running.poison_results([array])
    assert np.isnan(array).all() if array.dtype.kind == "f" else (array.view("uint8") == 165).all()


def test_without_the_variable_no_run_is_checked(monkeypatch):
    for value in ("", "0", "off", "no", "false"):
        monkeypatch.setenv("SIDEBYSIDE_CHECKED", value)
        assert not running.is_checked()


@pytest.mark.parametrize("fold", [sg.sum, sg.softmax, sg.log_softmax, sg.cumulative_sum])
def test_no_elements_of_what_reads_nothing_are_machine_code(fold):
    """A function that stores nothing and reads no memory is given no addresses."""
    with sg.Graph():
        x = sg.placeholder("x", (2, 8))
        value = fold(sg.ones_like(x), axis=1)
        executable = sg.compile([value[..., :0], sg.abs(value)[..., 3:3]], [x], backend="native")
    assert not left(executable)
    assert all(found.shape[-1] == 0 for found in executable(np.ones((2, 8), "float32")))


@pytest.mark.parametrize("fold", [sg.abs, sg.sum, sg.softmax, sg.argsort, sg.cumulative_max])
def test_nothing_is_planned_where_nothing_is_computed(fold):
    with sg.Graph():
        x = sg.placeholder("x", (3, 0))
        executable = sg.compile(
            fold(x, **({} if fold is sg.abs else {"axis": 0})), [x], backend="native"
        )
    assert not left(executable)
    assert executable(np.ones((3, 0), "float32")).size == 0
