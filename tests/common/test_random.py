"""Random draws: reproducible, independent, within their bounds, and of the right distribution."""

import threading

import numpy as np
import pytest

from oplibrary.core.registry import namespace
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.random import (
    bernoulli,
    normal,
    permutation,
    randint,
    random_bits,
    random_key,
    random_split,
    uniform,
)
from oplibrary.values.types import TensorType, type_of

KEY = random_key(0)
DRAWS = {
    "random_bits": (random_bits, {"shape": (3, 4)}),
    "random_split": (random_split, {"n": 3}),
    "uniform": (uniform, {"shape": (3, 4)}),
    "normal": (normal, {"shape": (3, 4), "dtype": "float64"}),
    "randint": (randint, {"shape": (3, 4), "low": -3, "high": 1 << 40}),
    "permutation": (permutation, {"n": 100}),
    "bernoulli": (bernoulli, {"p": 0.5, "shape": (100,)}),
}


def test_names_do_not_collide():
    names = namespace()
    for name in DRAWS:
        assert name in names
    assert "random_key" in names
    assert names["split"].__module__ != "oplibrary.ops.random"


@pytest.mark.parametrize("name", DRAWS)
def test_a_key_fixes_the_draw_and_another_changes_it(name):
    draw, options = DRAWS[name]
    first = draw(KEY, **options)
    uniform(random_key(5), shape=(7,))
    assert np.array_equal(draw(KEY, **options), first)
    assert not np.array_equal(draw(random_key(1), **options), first)
    assert not np.array_equal(draw(random_split(KEY)[0], **options), first)


@pytest.mark.parametrize("name", [name for name in DRAWS if name != "bernoulli"])
def test_infer_knows_the_type(name):
    op, options = DRAWS[name]
    assert op.infer(type_of(KEY), **options) == type_of(op(KEY, **options))


def test_keys():
    assert type_of(KEY) == TensorType((2,), "uint64")
    assert not np.array_equal(random_key(0), random_key(1))
    assert random_key(1 << 100).shape == (2,)
    keys = random_split(KEY, 50)
    assert keys.shape == (50, 2)
    assert len({tuple(k) for k in keys} | {tuple(KEY)}) == 51
    np.testing.assert_array_equal(random_split(KEY, 2), keys[:2])


def test_split_keys_are_not_numbers_that_the_key_draws():
    drawn = set(random_bits(KEY, shape=(1000,)).tolist())
    assert not drawn & set(random_split(KEY, 10).reshape(-1).tolist())


def test_the_bits_are_those_of_philox():
    reference = np.random.Philox(key=KEY.copy(), counter=0).random_raw(12).reshape(3, 4)
    np.testing.assert_array_equal(random_bits(KEY, shape=(3, 4)), reference)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-1.0, 3.0), (1.0, 1.0000002), (-5, -4), (0.0, 1e-40)]
)
def test_uniform_stays_in_its_interval(low, high, dtype):
    x = uniform(KEY, shape=(20000,), low=low, high=high, dtype=dtype)
    low, high = np.dtype(dtype).type(low), np.dtype(dtype).type(high)
    assert x.dtype == dtype
    assert x.min() >= low
    assert x.max() < high


def test_distributions():
    x = uniform(KEY, shape=(200, 100), low=2.0, high=4.0)
    assert abs(x.mean() - 3) < 0.02
    assert abs(x.var() - 1 / 3) < 0.01
    z = normal(KEY, shape=(200, 100))
    assert z.dtype == np.float32
    assert abs(z.mean()) < 0.03
    assert abs(z.std() - 1) < 0.03
    n = randint(KEY, shape=(20000,), low=-2, high=3)
    assert set(n.tolist()) == {-2, -1, 0, 1, 2}
    assert np.abs(np.bincount(n + 2) / 20000 - 0.2).max() < 0.02
    assert abs(bernoulli(KEY, 0.3, (20000,)).mean() - 0.3) < 0.02
    assert bernoulli(KEY, 0.0, (9,)).sum() == 0
    assert bernoulli(KEY, 1.0, (9,)).all()
    halves = bernoulli(KEY, np.array([[0.0], [1.0]]), (2, 5))
    np.testing.assert_array_equal(halves.sum(1), [0, 5])
    order = permutation(KEY, n=50)
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert not np.array_equal(order, np.arange(50))


@pytest.mark.parametrize("shape", [(), 5, (0, 3), [2, 3]])
def test_shapes(shape):
    expected = np.empty(shape).shape
    for draw in (uniform, normal, random_bits):
        result = draw(KEY, shape=shape)
        assert isinstance(result, np.ndarray)
        assert result.shape == expected
    assert randint(KEY, shape=shape, low=0, high=2).shape == expected
    assert bernoulli(KEY, 0.5, shape).shape == expected


def test_threads_draw_the_same():
    results = [None] * 4

    def draw(i):
        for _ in range(50):
            results[i] = uniform(random_key(i % 2), shape=(100,))

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    np.testing.assert_array_equal(results[0], uniform(random_key(0), shape=(100,)))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: random_key(-1), ArgumentError, "the seed is -1"),
        (lambda: random_key(1.5), ArgumentError, "the seed is 1.5"),
        (lambda: random_key(True), ArgumentError, "the seed is True"),
        (lambda: uniform(np.zeros(2), shape=(3,)), DTypeError, "float64[2] is not a key"),
        (lambda: normal(random_split(KEY, 3), shape=()), DTypeError, "uint64[3,2] is not a key"),
        (lambda: uniform(KEY, shape=(-1,)), ArgumentError, "negative length"),
        (lambda: uniform(KEY, shape=(3,), low=1.0), ArgumentError, "low 1.0 is not below high 1.0"),
        (lambda: uniform(KEY, shape=(3,), dtype="int64"), DTypeError, "uniform: dtype int64"),
        (lambda: normal(KEY, shape=(3,), dtype="float16"), DTypeError, "normal: dtype float16"),
        (lambda: randint(KEY, shape=(3,), low=3, high=3), ArgumentError, "low 3, high 3"),
        (lambda: randint(KEY, shape=(3,), low=0.0, high=3), ArgumentError, "low 0.0, high 3"),
        (lambda: permutation(KEY, n=-1), ArgumentError, "n is -1"),
        (lambda: random_split(KEY, 0), ArgumentError, "n is 0"),
    ],
)
def test_wrong_arguments_say_so(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert text in str(error.value)
    assert error.value.fix
