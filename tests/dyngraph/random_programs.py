"""Random programs of in-place operations and views, and the gradients that they must have.

A program is a list of steps, and each step is a kind and a few random numbers that choose operands.
The same steps run here and in PyTorch, so that values, gradients and errors can be compared; where
PyTorch refuses a program, differences of our own values say what its gradient is.
"""

import random
from typing import Any, NamedTuple

import numpy as np

import dyngraph as dg
from oplibrary.messages.errors import SideBySideError

SHAPES = [(2, 2), (2,), (), (2, 3), (4,)]
UNARY = ["exp", "tanh", "sin", "square", "sigmoid", "neg"]
BINARY = ["add", "mul", "sub"]
LARGEST = 50.0


class Step(NamedTuple):
    kind: str
    numbers: tuple[float, ...]


class Skip(Exception):
    """A step that means nothing for the tensor it chose."""


def choose(options: Any, number: float) -> Any:
    return options[int(number * len(options))]


# the steps: each appends to `values` or changes one of them ---------------------------------------


def unary(xp, values, x, y, r):
    values.append(getattr(xp, choose(UNARY, r[0]))(x * 0.5))


def binary(xp, values, x, y, r):
    values.append(getattr(xp, choose(BINARY, r[0]))(x, y))


def normalized(xp, values, x, y, r):
    values.append(xp.softmax(x, -1) if x.ndim else x * 2)


def row(x, r):
    return x[int(r * x.shape[0])]


def rows(x, r):
    return x[int(r * x.shape[0]) :]


def column(x, r):
    return x[..., int(r * x.shape[-1])]


def reshaped(x, r):
    size = int(np.prod(x.shape))
    shape = choose([(size,), (1, size), (size, 1)], r)
    if shape == tuple(x.shape):  # PyTorch gives back the tensor itself
        raise Skip
    return x.reshape(shape)


VIEWS = [
    row,
    rows,
    column,
    reshaped,
    lambda x, r: x.permute(*range(x.ndim)[::-1]) if x.ndim else x[None],
    lambda x, r: x.transpose(0, -1) if x.ndim else x[None],
    lambda x, r: x[None] if r < 0.5 else x[..., None],
    lambda x, r: x[..., ::2],
    lambda x, r: x[(0,) * x.ndim],
    lambda x, r: x.diagonal() if x.ndim == 2 else x[None],
]


def view(xp, values, x, y, r):
    values.append(choose(VIEWS, r[0])(x, r[1]))


def broadcast(xp, values, x, y, r):
    values.append(xp.broadcast_to(x, (3, *x.shape)))


def unary_in_place(xp, values, x, y, r):
    getattr(x, choose(["tanh_", "exp_", "sin_", "sigmoid_", "neg_", "square_"], r[0]))()


def apart(x, y):
    """Return `y`, or a copy: PyTorch leaves open what happens where `x` overlaps with it."""
    overlaps = np.shares_memory(x.detach().numpy(), y.detach().numpy())
    return y * 1 if overlaps and y is not x else y


def binary_in_place(xp, values, x, y, r):
    getattr(x, choose(["add_", "mul_", "sub_"], r[0]))(apart(x, y))


def number_in_place(xp, values, x, y, r):
    getattr(x, choose(["add_", "mul_", "sub_", "pow_"], r[0]))(choose([2.0, 3.0, 2], r[1]))


def replace(xp, values, x, y, r):
    if r[0] < 0.6:
        x.copy_(apart(x, y))
    elif r[0] < 0.8:
        x.fill_(0.3)
    else:
        x.zero_()


def assign(xp, values, x, y, r):
    if not x.ndim:
        raise Skip
    place, y = int(r[0] * x.shape[0]), apart(x, y)
    if r[1] < 0.2:
        x[place] = y
    elif r[1] < 0.4:
        x[..., 0] = y
    elif r[1] < 0.6:
        x[place:] = y
    elif r[1] < 0.7:
        x[place] = 0.7
    elif r[1] < 0.85:
        x[x > 0.2] = 0.5
    elif x.shape[0] > 1:
        x[[0, x.shape[0] - 1]] = y


def detach(xp, values, x, y, r):
    values.append(x.detach())


def unrecorded(xp, values, x, y, r):
    with xp.no_grad():
        values.append(x * 2)


def unrecorded_in_place(xp, values, x, y, r):
    with xp.no_grad():
        x.add_(0.25) if r[0] < 0.5 else x.mul_(apart(x, y))


def retain(xp, values, x, y, r):
    if x.requires_grad:
        x.retain_grad()


SMOOTH = [
    *(unary, unary, binary, binary, normalized, view, view, view, view, broadcast),
    *(unary_in_place, unary_in_place, binary_in_place, binary_in_place, number_in_place),
    *(replace, replace, assign, assign, assign),
]
CUTS = [detach, unrecorded, unrecorded_in_place, retain]


class Program:
    """A random program, with its leaves and what its loss is made of."""

    def __init__(self, seed: int, length: int, steps: list[Any]) -> None:
        rng, arrays = random.Random(seed), np.random.default_rng(seed)
        self.leaves = [arrays.uniform(-1, 1, rng.choice(SHAPES)) for _ in range(2)]
        self.steps = [
            (rng.choice(steps), tuple(rng.random() for _ in range(4))) for _ in range(length)
        ]
        self.weights = arrays.uniform(0.5, 1.5, 200) * (arrays.random(200) < 0.6)

    def start(self, make: Any, leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        made = [make(x, requires_grad=True) for x in leaves]
        return made, [*made, *(x * 1.0 for x in made)]

    def run(self, step: Any, xp: Any, values: list[Any]) -> Exception | None:
        """Run one step; return what it raised on purpose, with `values` as before."""
        function, (first, second, *numbers) = step
        count = len(values)
        try:
            function(xp, values, choose(values, first), choose(values, second), numbers)
        except (SideBySideError, RuntimeError, IndexError, ValueError, Skip) as error:
            del values[count:]
            return error
        return None

    def loss(self, values: list[Any]) -> Any:
        """Return the weighted sum of some of the values, or None if none has a graph."""
        total = None
        for weight, x in zip(self.weights, values, strict=False):
            if weight and x.requires_grad:
                term = (x * float(weight)).sum()
                total = term if total is None else total + term
        return total

    def value(self, leaves: list[Any]) -> float:
        _, values = self.start(dg.tensor, leaves)
        for step in self.steps:
            self.run(step, dg, values)
        return float(
            sum((x.detach() * w).sum().item() for w, x in zip(self.weights, values, strict=False))
        )


def is_wild(values: list[Any]) -> bool:
    """Tell whether numbers have grown too large to compare."""
    arrays = [x.detach().numpy() for x in values]
    return any(not np.isfinite(x).all() or np.abs(x).max(initial=0) > LARGEST for x in arrays)
