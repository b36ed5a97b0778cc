"""The builtin workloads: the same numbers in both modes and in other libraries, and learning."""

import sys

import numpy as np
import pytest

from oplibrary.messages.errors import MissingPackageError, SymbolicBoolError
from oplibrary.values.tree import flatten
from sidebyside.modes import find_mode
from sidebyside.studies.training import compare_training
from sidebyside.workloads import datasets
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load

NAMES = (
    "seed chain layernorm_softmax mlp_digits cnn_digits lstm_text attention mlp control_flow"
).split()
DECLARED = [name for name in NAMES if name != "control_flow"]
QUICK_IN_JAX = ("seed", "chain", "layernorm_softmax", "mlp_digits", "control_flow")
DIFFERENTIATED = [name for name in NAMES if name not in ("chain", "layernorm_softmax")]


def results_of(name, mode):
    workload = load(name)
    prepared = find_mode(mode).prepare(workload, workload.make_inputs(workload.sizes[0]))
    return prepared.arrays(prepared.run())


def test_every_workload_is_found():
    assert set(BUILTIN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_float32_and_always_the_same(name):
    workload = load(name)
    assert workload.name == name
    assert workload.title
    assert workload.description
    size = workload.sizes[0]
    first, _ = flatten(workload.make_inputs(size))
    second, _ = flatten(workload.make_inputs(size))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype in (np.float32, np.int64)


@pytest.mark.parametrize("name", DECLARED)
def test_static_gives_the_bits_of_dynamic(name):
    dynamic, static = results_of(name, "dynamic"), results_of(name, "static")
    assert len(dynamic) == len(static)
    for one, other in zip(dynamic, static, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "torch") for name in NAMES), *((name, "jax") for name in QUICK_IN_JAX)],
)
def test_other_libraries_agree(name, mode):
    pytest.importorskip(mode)
    workload = load(name)
    for one, other in zip(results_of(name, "dynamic"), results_of(name, mode), strict=True):
        scale = max(float(np.abs(other).max()), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=workload.tolerance * scale)


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_each_parameter_has_a_gradient(name):
    workload = load(name)
    inputs = workload.make_inputs(workload.sizes[0])
    before = flatten([inputs[position] for position in workload.wrt])[0]
    after = results_of(name, "dynamic")[1:]
    assert len(before) == len(after)
    for old, found in zip(before, after, strict=True):
        gradient = found if workload.learning_rate is None else found - old
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def test_seed_gives_the_numbers_of_the_tutorial():
    y, dx, dw = results_of("seed", "dynamic")
    assert (y.item(), dx.item(), dw.item()) == (6, 2, 5)


def test_chain_is_twenty_operations():
    import staticgraph as sg

    workload = load("chain")
    inputs = workload.make_inputs(1)
    graph = sg.trace(lambda *each: workload.function(sg, *each), *inputs)
    assert sum(bool(node.operands) for node in graph) == 20
    assert workload.sizes == (1, 1_000, 100_000, 4_000_000)


def test_layernorm_softmax_gives_probabilities():
    (rows,) = results_of("layernorm_softmax", "dynamic")
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)


def test_control_flow_converges():
    workload = load("control_flow")
    (numbers,) = workload.make_inputs(1000)
    total, gradient = results_of("control_flow", "dynamic")
    np.testing.assert_allclose(total, np.sqrt(numbers).sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, 0.5 / np.sqrt(numbers), rtol=1e-3)


def test_control_flow_cannot_be_declared():
    assert load("control_flow").dynamic_only
    with pytest.raises(SymbolicBoolError) as caught:
        results_of("control_flow", "static")
    assert caught.value.source.place.startswith("control_flow.py:")
    assert "while xp.max(" in str(caught.value)
    assert "dyngraph" in caught.value.fix


@pytest.mark.parametrize("name", ["mlp_digits", "cnn_digits"])
def test_both_modes_learn_to_read_with_the_same_loss_curve(name):
    comparison = compare_training(load(name))
    dynamic, static = comparison.records
    np.testing.assert_array_equal(dynamic.losses.view(np.uint32), static.losses.view(np.uint32))
    assert comparison.identical
    assert comparison.reached
    assert comparison.target == {"mlp_digits": 0.95, "cnn_digits": 0.97}[name]
    assert dynamic.accuracy == static.accuracy > comparison.target
    assert dynamic.losses[-20:].mean() < 0.1 * dynamic.losses[:5].mean()


# data ---------------------------------------------------------------------------------------------


def test_digits_are_split_without_overlap():
    data = datasets.digits()
    assert data.train_x.shape == (1437, 64)
    assert data.test_x.shape == (360, 64)
    assert data.train_x.dtype == np.float32
    assert 0 <= data.train_x.min() < data.train_x.max() == 1
    assert set(data.test_y.tolist()) == set(range(10))
    assert datasets.digits() is data
    with pytest.raises(ValueError, match="read-only"):
        data.train_x[0] = 0


def test_digits_are_read_as_scikit_learn_reads_them(monkeypatch):
    bundled = pytest.importorskip("sklearn.datasets").load_digits()
    monkeypatch.delitem(sys.modules, "sklearn.datasets")  # as in a process that has not loaded it
    table = datasets._digits_table()
    assert "sklearn.datasets" not in sys.modules
    np.testing.assert_array_equal(table[:, :-1], bundled.data)
    np.testing.assert_array_equal(table[:, -1], bundled.target)


def test_measurements_are_standardised():
    for data in (datasets.breast_cancer(), datasets.diabetes()):
        whole = np.concatenate([data.train_x, data.test_x])
        np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(whole.std(axis=0), 1, rtol=1e-4)


def test_text_is_long_and_in_the_alphabet():
    text, ids = datasets.text(), datasets.text_ids()
    assert len(text) == len(ids) > 100_000
    assert "Python" in text
    assert "".join(datasets.ALPHABET[i] for i in ids[:200]) == text[:200]


def test_missing_scikit_learn_is_named_with_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    datasets.digits.cache_clear()
    try:
        with pytest.raises(MissingPackageError, match="scikit-learn") as caught:
            datasets.digits()
        assert "pip install 'sidebyside[examples]'" in caught.value.fix
    finally:
        datasets.digits.cache_clear()
