"""Random draws as machine code: the bits that dyngraph draws from the same key."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import dyngraph as dg
import staticgraph as sg
from oplibrary.machine.foreign import functions
from oplibrary.machine.routines import philox
from oplibrary.ops.random import random_key

KEYS = [random_key(0), np.array([2**64 - 1, 2**63], np.uint64)]
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 65, 131)
BOUNDS = [(0, 10), (-5, -4), (-3, 1 << 40), (-(2**63), 2**63), (0, 2**32), (7, 2**31 + 12)]


def compiled(declare):
    with sg.Graph():
        key = sg.placeholder("key", (2,), "uint64")
        return sg.compile(declare(sg, key), [key], backend="native")


def assert_drawn(declare):
    run = compiled(declare)
    assert "left to NumPy" not in run.report()
    for key in KEYS:
        for found, wanted in zip(run(key), declare(dg, dg.asarray(key)), strict=True):
            assert found.dtype == wanted.dtype
            assert found.shape == wanted.shape
            assert np.ascontiguousarray(found).tobytes() == wanted.numpy().tobytes()


def every_draw(xp, key):
    drawn = [xp.random_split(key, n=n) for n in LENGTHS]
    drawn += [xp.random_bits(key, shape=(n,)) for n in LENGTHS]
    drawn += [xp.randint(key, shape=(9, 3), low=low, high=high) for low, high in BOUNDS]
    drawn += [xp.permutation(key, n=n) for n in (1, 2, 9, 300)]
    for dtype in ("float32", "float64"):
        for n in LENGTHS:
            drawn.append(xp.uniform(key, shape=(n,), dtype=dtype))
            drawn.append(xp.normal(key, shape=(n,), dtype=dtype))
        for low, high in ((-1.5, 3), (1.0, 1.0000002), (-4, 0), (0.0, 1e-40)):
            drawn.append(xp.uniform(key, shape=(5, 7), low=low, high=high, dtype=dtype))
        # of so many that some are of the tail
        drawn += [
            xp.normal(key, shape=(9001,), dtype=dtype),
            xp.uniform(key, shape=(), dtype=dtype),
        ]
    return [*drawn, xp.bernoulli(key, 0.3, (20,))]


def test_draws_have_dyngraphs_bits(monkeypatch):
    monkeypatch.setenv("SIDEBYSIDE_CHECKED", "1")
    assert_drawn(every_draw)


def test_so_they_have_where_blocks_are_not_computed_side_by_side(monkeypatch):
    monkeypatch.setattr(philox, "lanes", lambda code: 1)
    monkeypatch.setenv("SIDEBYSIDE_CACHE", "off")
    assert_drawn(every_draw)


def test_draws_in_a_loop_are_of_the_keys_that_it_splits():
    def declare(xp, key):
        def step(key):
            key, other = xp.random_split(key, n=2)
            return key, xp.normal(other, shape=(4,)) * xp.uniform(other, shape=(4,))

        found = []
        for _ in range(3):
            key, drawn = step(key)
            found.append(drawn)
        return [key, *found]

    assert_drawn(declare)
    with sg.Graph():
        key = sg.placeholder("key", (2,), "uint64")
        _states, drawn = sg.scan(
            lambda k, _: (sg.random_split(k)[0], sg.normal(sg.random_split(k)[1], shape=(4,))),
            key,
            sg.placeholder("steps", (3, 1)),
        )
        run = sg.compile(drawn, backend="native")
    assert "left to NumPy" not in run.report()
    wanted, own = [], KEYS[0]
    for _ in range(3):
        own, other = dg.random_split(own)
        wanted.append(dg.normal(other, shape=(4,)).numpy())
    np.testing.assert_array_equal(run(KEYS[0], np.zeros((3, 1), "float32")), wanted)


def test_dropout_and_its_gradient_are_machine_code():
    def declare(xp, x, key):
        kept = xp.where(xp.uniform(key, shape=(6, 50)) < 0.8, x, 0.0) / 0.8
        return xp.sum(kept * kept)

    x = np.linspace(-1, 1, 300, dtype="float32").reshape(6, 50)
    with sg.Graph():
        nodes = [sg.placeholder("x", x.shape), sg.placeholder("key", (2,), "uint64")]
        loss = declare(sg, *nodes)
        run = sg.compile(sg.gradients(loss, nodes[:1]), nodes, backend="native")
    assert "left to NumPy" not in run.report()
    leaf = dg.tensor(x, requires_grad=True)
    declare(dg, leaf, dg.asarray(KEYS[0])).backward()
    np.testing.assert_allclose(run(x, KEYS[0])[0], leaf.grad.numpy(), rtol=1e-6)


def test_what_numpy_does_not_show_to_compiled_code_is_left_to_it(monkeypatch):
    monkeypatch.setattr(functions, "address_of", lambda name: 0)
    monkeypatch.setenv("SIDEBYSIDE_CACHE", "off")
    run = compiled(lambda xp, key: [xp.normal(key, shape=(5, 1)), xp.uniform(key, shape=(5, 1))])
    assert "left to NumPy: normal: NumPy does not show" in run.report()
    assert "left to NumPy: uniform" not in run.report()
    np.testing.assert_array_equal(run(KEYS[0])[0], dg.normal(KEYS[0], shape=(5, 1)).numpy())


def test_draws_by_parameters_that_are_arrays_have_dyngraphs_bits():
    rates = np.array([[0.0, 0.3, 9.5, 10.0], [1e3, 4e9, 1e17, 7.0]])
    shapes = np.array([0.0, 1e-3, 0.5, 1.0, 2.5, 1e6])
    counts, chances = np.array([[0], [1], [5], [1000]]), np.array([0.0, 1e-9, 0.3, 0.5, 0.9, 1.0])

    def declare(xp, key):
        drawn = [xp.poisson(key, rates), xp.poisson(key, np.float32(3.5), shape=(50,))]
        drawn += [xp.gamma(key, shapes.astype(t), shape=(3, 6)) for t in ("float32", "float64")]
        drawn += [xp.binomial(key, counts, chances, shape=(2, 4, 6)), xp.gamma(key, 2.0)]
        return [*drawn, xp.binomial(key, np.float32(9), np.float32(0.25), shape=(300,))]

    assert_drawn(declare)


def test_parameters_that_are_out_of_range_are_refused_by_name():
    one = np.ones(3)
    for draw, given, cause in (
        (lambda key, x: sg.gamma(key, x), [-one], "the concentration is not negative"),
        (lambda key, x: sg.poisson(key, x), [np.nan * one], "the rate is from 0"),
        (lambda key, x: sg.poisson(key, x), [1e19 * one], "the rate is from 0"),
        (lambda key, n: sg.binomial(key, n, 0.5), [0.5 * one], "n counts, from 0"),
        (lambda key, p: sg.binomial(key, 3, p), [1.5 * one], "p is a probability"),
    ):
        with sg.Graph():
            nodes = [sg.placeholder("key", (2,), "uint64"), sg.placeholder("x", (3,), "float64")]
            run = sg.compile(draw(*nodes), nodes, backend="native")
        assert "left to NumPy" not in run.report()
        with pytest.raises(sg.errors.ArgumentError, match=cause):
            run(KEYS[0], *given)
