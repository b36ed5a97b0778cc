"""What is passed as an attribute: both modes make the same of it, or refuse it alike."""

import numpy as np
import pytest
from tests.staticgraph.test_native_ops import draw

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import SideBySideError

VALUES = (
    *(np.array(1), np.array([0.5]), np.array([1, 2]), np.int8(1), np.bool_(True), np.float32(0.5)),
    *(True, None, (0.25, 0.5), [1, 2], [[1]], 1e300, 1j, "a", {}),
)
WITH_ATTRIBUTES = [
    (op, next(iter(op.examples)))
    for op in REGISTRY.values()
    if op.public and op.attrs and op.examples and op.kind is not Kind.CONTROL and not op.effect
]


def outcome(run):
    """Return dtype and shape of a result, or the id of the error."""
    try:
        with np.errstate(all="ignore"):
            result = run()
    except SideBySideError as error:
        return error.id
    return str(result.dtype), tuple(result.shape)


def declared(op, arrays, attrs):
    with sg.Graph():
        result = op(*map(sg.constant, arrays), **attrs)
        return sg.compile(result, backend="interpret")()


@pytest.mark.parametrize(("op", "example"), WITH_ATTRIBUTES, ids=lambda x: getattr(x, "name", ""))
def test_both_modes_make_the_same_of_it(op, example):
    arrays = draw(op, example, "float32", np.random.default_rng(0))
    for name in op.attrs:
        for value in VALUES:
            attrs = {**example.attrs, name: value}
            dynamic = outcome(lambda a=attrs: op(*map(dg.tensor, arrays), **a))
            static = outcome(lambda a=attrs: declared(op, arrays, a))
            assert dynamic == static, (name, value)


def test_numpys_numbers_are_pythons():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    for mode in (dg.tensor, np.asarray):
        assert dg.var(mode(x), correction=np.int8(1)).dtype == np.float32
        assert dg.sum(mode(x), axis=np.int64(1), keepdims=np.True_).shape == (2, 1)


def test_an_array_is_no_attribute():
    for value in (np.array(1), np.array([0.5])):
        with pytest.raises(SideBySideError, match="must be a"):
            dg.elu(dg.tensor([-1.0]), alpha=value)
