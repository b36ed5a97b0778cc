"""What data becomes an array of numbers, and what is refused: alike in both modes."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import DTypeError, FeedError


def declared(data):
    with sg.Graph():
        return sg.constant(data)


def variable(data):
    with sg.Graph():
        return sg.variable(data)


def operand(data):
    with sg.Graph():
        return sg.placeholder("x", (3,)) * data


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
DOORS = {
    "dg.tensor": dg.tensor,
    "dg.as_tensor": dg.as_tensor,
    "beside a tensor": lambda data: dg.ones(3) * data,
    "sg.constant": declared,
    "sg.variable": variable,
    "beside a node": operand,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "data",
    [MASKED, [MASKED, MASKED], ([MASKED], (np.ones(3),)), [np.ones(3), MASKED]],
    ids=["array", "list of them", "nested", "beside another"],
)
def test_a_mask_is_not_lost(door, data):
    with pytest.raises(DTypeError, match="of its elements are masked") as error:
        DOORS[door](data)
    assert "filled" in error.value.fix


@pytest.mark.parametrize("door", DOORS)
def test_nothing_is_masked(door):
    DOORS[door](np.ma.array([1.0, 2.0, 3.0]))


def test_a_mask_is_not_fed():
    with sg.Graph():
        x = sg.placeholder("x", (3,), "float64")
        run = sg.compile(x * 2, [x])
    with pytest.raises(FeedError, match="1 of the elements that were fed are masked"):
        run(MASKED)
    assert run(np.ma.array([1.0, 2.0, 3.0])).tolist() == [2, 4, 6]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("data", [["a"], [object()], [[1.0], [1.0, 2.0]], {"a": 1}])
def test_what_is_no_number_is_refused(door, data):
    with pytest.raises(DTypeError):
        DOORS[door](data)
