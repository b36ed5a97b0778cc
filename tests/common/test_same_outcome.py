"""Calls at the edge of what is taken: both modes give one result, or name one mistake."""

import enum

import ml_dtypes
import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import SideBySideError

X = np.array([1.0, 2.0, 3.0], "float32")


class Choice(enum.IntEnum):
    """An int of a subclass."""

    TWO = 2


class Half(float):
    """A float of a subclass."""


class Imaginary(complex):
    """A complex number of a subclass."""


def decided_by(condition):
    return lambda xp, x: xp.cond(condition(xp, x), lambda x: x + 1, lambda x: x - 1, x)


def repeated_while(condition):
    return lambda xp, x: xp.while_loop(lambda s: condition(xp, s), lambda s: s * 2, x)


def chosen_by(index):
    branches = [lambda x: x + 1, lambda x: x - 1]
    return lambda xp, x: xp.switch(index(xp, x), branches, x)


def counted(lower, upper):
    return lambda xp, x: xp.fori_loop(
        lower(xp, x) if callable(lower) else lower,
        upper(xp, x) if callable(upper) else upper,
        lambda i, c: c + i,
        x,
    )


TAKEN = {
    "a condition that is an int": decided_by(lambda xp, x: 1),
    "a condition of NumPy's": decided_by(lambda xp, x: np.bool_(False)),
    "a condition of ints": decided_by(lambda xp, x: x.astype("int32")[0]),
    "a condition of the carry": repeated_while(lambda xp, s: xp.sum(s) < 50),
    "a choice by a truth value": chosen_by(lambda xp, x: xp.sum(x) > 0),
    "a choice by True": chosen_by(lambda xp, x: True),
    "a choice by bytes": chosen_by(lambda xp, x: np.int8(1)),
    "bounds of NumPy's": counted(np.int8(0), np.uint8(2)),
    "arrays as bounds": counted(np.array(0), np.array(2)),
    "indices of bytes": lambda xp, x: x[np.array([0, 1], "uint8")],
    "an int of a subclass": lambda xp, x: x + Choice.TWO,
    "an int of a subclass first": lambda xp, x: Choice.TWO - x,
    "an int of a subclass compared": lambda xp, x: x == Choice.TWO,
    "a power of a subclass": lambda xp, x: x**Choice.TWO,
    "a float of a subclass": lambda xp, x: x * Half(0.5),
    "a float of a subclass alone": lambda xp, x: xp.sin(Half(0.5)),
    "a float of a subclass chosen": lambda xp, x: xp.where(x > 1, x, Half(0.5)),
    "a float of a subclass assigned": lambda xp, x: xp.set_item(x, 0, Half(0.5)),
    "a complex number of a subclass": lambda xp, x: x + Imaginary(2j),
}

BFLOAT16 = ml_dtypes.bfloat16(2)
TAKEN |= {
    "a bfloat16 number as a slope": lambda xp, x: xp.leaky_relu(x, BFLOAT16),
    "a bfloat16 number as a correction": lambda xp, x: xp.std(x, correction=BFLOAT16),
    "a bfloat16 number as an order": lambda xp, x: xp.linalg.vector_norm(x, ord=BFLOAT16),
}

REFUSED = {
    "a complex number as a correction": lambda xp, x: xp.std(x, correction=np.complex64(1)),
    "an array in place of a word": lambda xp, x: xp.mse_loss(x, x, reduction=x),
    "an array of NumPy's in place of a word": lambda xp, x: xp.mse_loss(x, x, reduction=X),
    "an array for a loss of classes": lambda xp, x: xp.cross_entropy(
        xp.stack([x, x]), np.array([0, 1]), reduction=x
    ),
    "an array in place of a grid's order": lambda xp, x: xp.meshgrid(x, x, indexing=X)[0],
    "a mean of a batch of other losses": lambda xp, x: xp.mse_loss(x, x, reduction="batchmean"),
    "a vector of conditions": decided_by(lambda xp, x: x > 1),
    "no condition": decided_by(lambda xp, x: x[:0] > 1),
    "a condition with an axis": decided_by(lambda xp, x: x[:1] > 0),
    "a condition that is a float": decided_by(lambda xp, x: xp.sum(x)),
    "a condition that is a float of Python's": decided_by(lambda xp, x: 1.5),
    "a condition that is complex": decided_by(lambda xp, x: 1j),
    "None as a condition": decided_by(lambda xp, x: None),
    "a text as a condition": decided_by(lambda xp, x: "yes"),
    "a list as a condition": decided_by(lambda xp, x: [x[0] > 0]),
    "an object as a condition": decided_by(lambda xp, x: object()),
    "a vector of conditions of a loop": repeated_while(lambda xp, s: s < 10),
    "a condition of a loop with an axis": repeated_while(lambda xp, s: s[:1] < 10),
    "a condition of a loop that is a float": repeated_while(lambda xp, s: xp.sum(s) * 0),
    "a condition of a loop that is an int": repeated_while(lambda xp, s: s.astype("int64")[0]),
    "None as a condition of a loop": repeated_while(lambda xp, s: None),
    "a list as a condition of a loop": repeated_while(lambda xp, s: [xp.sum(s) < 10]),
    "a choice by a float": chosen_by(lambda xp, x: xp.sum(x)),
    "a choice by a vector": chosen_by(lambda xp, x: x.astype("int64")),
    "a choice by one in a vector": chosen_by(lambda xp, x: x[:1].astype("int64")),
    "a choice by a text": chosen_by(lambda xp, x: "first"),
    "truth values as bounds": counted(False, True),
    "a truth value of the program as a bound": counted(0, lambda xp, x: xp.sum(x) > 0),
    "a float as a bound": counted(0, 2.0),
    "a vector as a bound": counted(0, lambda xp, x: x.astype("int64")),
    "one in a vector as a bound": counted(0, lambda xp, x: x[:1].astype("int64")),
    "a list as a bound": counted(0, [2]),
    "a scan of a scalar": lambda xp, x: xp.scan(lambda c, e: (c + e, c), x[0], x[0]),
    "a map over a scalar": lambda xp, x: xp.map(lambda e: e, x[0]),
    "a sort of a scalar along True": lambda xp, x: xp.sort(x[0], axis=True),
    "a sort of a scalar": lambda xp, x: xp.sort(x[0]),
    "indices of uint64": lambda xp, x: x[np.array([0, 1], "uint64")],
    "taken by uint64": lambda xp, x: xp.take(x, x.astype("uint64") - 1, axis=0),
    "taken along an axis by uint64": lambda xp, x: xp.take_along_axis(
        x, x.astype("uint64") - 1, axis=0
    ),
    "taken along an axis by a mask": lambda xp, x: xp.take_along_axis(x, x > 1, axis=0),
    "taken by a mask": lambda xp, x: xp.take(x, x > 1, axis=0),
}


def outcome(call):
    try:
        result = call()
    except SideBySideError as error:
        return error.id
    array = result.numpy() if isinstance(result, dg.Tensor) else np.asarray(result)
    return array.dtype, array.tolist()


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    found = outcome(lambda: TAKEN[name](dg, dg.asarray(X)))
    assert not isinstance(found, str)
    assert outcome(lambda: sg.function(lambda x: TAKEN[name](sg, x), backend="numpy")(X)) == found


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    found = outcome(lambda: REFUSED[name](dg, dg.asarray(X)))
    assert isinstance(found, str)
    assert outcome(lambda: sg.function(lambda x: REFUSED[name](sg, x), backend="numpy")(X)) == found
