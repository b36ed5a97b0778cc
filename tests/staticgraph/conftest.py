"""Programs to test the compiler with."""

import random

import numpy as np
import pytest

import staticgraph as sg
from staticgraph.declare.lower import lower


def declare(function, *specs):
    """Return the program of `function(*placeholders)`; a spec is a shape or (shape, dtype)."""
    with sg.Graph(finalize=False):
        inputs = []
        for position, spec in enumerate(specs):
            shape, dtype = spec if spec and isinstance(spec[-1], str) else (spec, "float32")
            inputs.append(sg.placeholder(f"x{position}", shape, dtype))
        outputs = function(*inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    return lower(inputs[0].graph, outputs, inputs)


class RandomFunction:
    """A function of arrays, the same for each seed, that any namespace can run.

    It has elementwise chains with broadcasting, reductions, views, views of views, products of
    transposed matrices, constants, and values that are used several times.
    """

    shapes = ((6, 5), (6, 5), (5,), (6, 1), (5, 6))

    def __init__(self, seed, steps=25):
        self.seed = seed
        self.steps = steps

    def inputs(self):
        rng = np.random.default_rng(self.seed)
        return [rng.standard_normal(shape).astype("float32") for shape in self.shapes]

    def __call__(self, xp, *inputs):
        choice = random.Random(self.seed)
        pool = list(inputs)
        for _ in range(self.steps):
            made = self.step(xp, choice, choice.choice(pool), pool)
            if made is not None:
                pool.append(made)
        return [*pool[-4:], xp.sum(xp.tanh(pool[-1]) + xp.tanh(pool[-2]).sum())]

    def step(self, xp, choice, x, pool):
        kind = choice.randrange(14)
        fitting = [y for y in pool if self.fits(x.shape, y.shape)]
        y = choice.choice(fitting)
        if kind < 3:
            return (xp.add, xp.subtract, xp.multiply)[kind](xp.tanh(x), y)
        if kind == 3:
            return xp.where(x > y, x, y * 0.5)
        if kind == 4:
            return xp.tanh(x) * 1.0 - xp.negative(-x)
        if kind == 5:
            return xp.exp(xp.tanh(x)) / (y * y + 1.0)
        if not x.shape:
            return x + 1.0
        axis = choice.randrange(len(x.shape))
        if kind == 6:
            return xp.sum(xp.tanh(x), axis=axis, keepdims=choice.random() < 0.7)
        if kind == 7:
            return xp.max(x, axis=axis, keepdims=True) + x
        if kind == 8:
            return xp.permute_dims(x, axes=tuple(range(len(x.shape)))[::-1])
        if kind == 9:
            return xp.reshape(xp.reshape(x, shape=(-1,)), shape=x.shape[::-1])
        if kind == 10:
            return xp.flip(x, axis=axis) + x
        if kind == 11 and len(x.shape) == 2:
            return xp.matmul(xp.permute_dims(x, axes=(1, 0)), xp.tanh(x)) * 0.1
        if kind == 12:
            return xp.broadcast_to(xp.sum(x) * 0.01, shape=x.shape) * y
        return xp.concat((xp.tanh(x), x), axis=axis)[tuple(slice(n) for n in x.shape)]

    @staticmethod
    def fits(shape, other):
        try:
            return np.broadcast_shapes(shape, other) == shape
        except ValueError:
            return False


@pytest.fixture
def program():
    return declare


@pytest.fixture
def random_function():
    return RandomFunction


@pytest.fixture
def stressed(monkeypatch):
    """Let small arrays take the paths that are meant for large ones."""
    from staticgraph.backends import blocking, generate, numpy
    from staticgraph.program import memory

    monkeypatch.setattr(memory, "IN_PLACE_BYTES", 0)
    monkeypatch.setattr(numpy, "BUFFERED_BYTES", 0)
    monkeypatch.setattr(generate, "RELEASED_BYTES", 0)
    monkeypatch.setattr(blocking, "BLOCKED_BYTES", 16)
    monkeypatch.setattr(blocking, "CACHE_BYTES", 64)
    monkeypatch.setattr(blocking, "MIN_BLOCK_BYTES", 16)
    monkeypatch.setattr(blocking, "MAX_BLOCK_BYTES", 256)
