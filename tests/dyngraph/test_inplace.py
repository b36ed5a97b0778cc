"""In-place operations and views: right, or a clear error; never a silently wrong gradient."""

import numpy as np
import pytest

import dyngraph as dg
from oplibrary.messages.errors import DTypeError, InPlaceError, ShapeError


def leaf(values):
    return dg.tensor(np.array(values, dtype="float64"), requires_grad=True)


def compare(program, values):
    """Run `program` here and in PyTorch and compare the gradient of its leaf."""
    torch = pytest.importorskip("torch")
    x = leaf(values)
    program(dg, x).backward()
    y = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    program(torch, y).backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)


def test_in_place_arithmetic_continues_the_graph():
    def program(xp, x):
        y = x * 2
        y += 1
        y *= x
        y -= x * x
        y /= 3.0
        return y.sum()

    compare(program, [1.0, 2.0, 3.0])


def test_in_place_multiplication_by_itself_keeps_the_old_value():
    """PyTorch refuses this; keeping a copy of the one value in question makes it right."""
    x = leaf([1.0, 2.0, 3.0])

    def program(x):
        y = x * 1
        y.mul_(y)
        return (y * y).sum()

    assert dg.gradcheck(program, x)
    program(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.array([1.0, 8.0, 27.0]))


def test_chained_in_place_methods_on_a_saved_result():
    """tanh saves its result, which add_ overwrites: PyTorch refuses, and so do we."""
    x = leaf([0.1, 0.2])
    y = dg.tanh(x)
    y.add_(x).mul_(2.0)
    with pytest.raises(InPlaceError, match="tanh"):
        y.sum().backward()


def test_an_operation_in_place_keeps_its_own_saved_result():
    x = leaf([0.1, 0.2])
    assert dg.gradcheck(lambda x: (x * 1.5).exp_().tanh_(), x)


def test_change_of_a_saved_value_names_both_lines():
    x = leaf([1.0, 2.0])
    with dg.detect_anomaly():
        y = dg.exp(x)  # saves its result
        y += 1  # overwrites it
        with pytest.raises(InPlaceError) as caught:
            y.sum().backward()
    text = str(caught.value)
    assert "# saves its result" in text
    assert "# overwrites it" in text
    assert "exp" in text


def test_change_of_a_saved_operand_is_caught_without_anomaly_mode():
    x = leaf([1.0, 2.0])
    y = x * 1
    z = y * y
    y.zero_()
    with pytest.raises(InPlaceError, match="zero_") as caught:
        z.sum().backward()
    assert "y.zero_()" in str(caught.value)
    assert y._version == 1


def test_a_change_that_no_gradient_needs_is_fine():
    x = leaf([1.0, 2.0])
    y = x + 1
    y += 1
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_leaf_that_requires_a_gradient():
    x = leaf([1.0])
    with pytest.raises(InPlaceError, match="leaf") as caught:
        x += 1
    assert "no_grad" in str(caught.value)
    assert x.tolist() == [1.0]
    with pytest.raises(InPlaceError, match="leaf"):
        x[0] = 5.0
    with pytest.raises(InPlaceError, match="view of a leaf"):
        x.reshape(1, 1).add_(1.0)
    with dg.no_grad():
        x -= 0.5
    assert x.tolist() == [0.5]
    assert x.requires_grad
    assert x.is_leaf


def test_update_of_a_parameter_between_forward_and_backward_is_caught():
    w = leaf([2.0])
    y = w * w
    with dg.no_grad():
        w -= 1.0
    with pytest.raises(InPlaceError):
        y.backward()


def test_change_through_a_view_reaches_the_base():
    def program(xp, x):
        y = x * 2
        row = y[0]
        row *= x[1]
        return (y * y).sum()

    compare(program, [[1.0, 2.0], [3.0, 4.0]])


def test_change_of_the_base_reaches_its_views():
    def program(xp, x):
        y = x * 2
        row = y[1]
        flat = y.reshape(4)
        y *= x
        return (row * row).sum() + (flat * 3).sum()

    compare(program, [[1.0, 2.0], [3.0, 4.0]])


def test_a_view_of_a_view():
    def program(xp, x):
        y = x * 2
        first = y[0]
        inner = first[1:]
        other = y[:, 1]
        inner.mul_(5.0)
        return (y * x).sum() + (first * first).sum() + other.sum()

    compare(program, [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])


@pytest.mark.parametrize(
    "key", [0, slice(1, 3), (slice(None), 1), (Ellipsis, 0), [0, 2], np.array([True, False, True])]
)
def test_assignment_to_elements(key):
    def program(xp, x):
        y = x * 2
        chosen = xp.tensor(key) if isinstance(key, np.ndarray) and xp is not dg else key
        y[chosen] = x[0, 0] * 3
        y[chosen] = y[chosen] * 2
        return (y * y).sum()

    compare(program, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_assigned_values_get_gradients():
    def program(xp, x):
        y = xp.zeros(3, dtype=xp.float64)
        y[1:] = x * x
        y[0] = x[0]
        return (y * y).sum()

    compare(program, [2.0, 3.0])


def test_copy_and_fill():
    def program(xp, x):
        y = x * 1
        y[0].fill_(7.0)
        z = xp.zeros(2, dtype=xp.float64)
        z.copy_(x[1])
        return (y * y).sum() + (z * z).sum()

    compare(program, [[1.0, 2.0], [3.0, 4.0]])


def test_results_that_do_not_fit():
    x = dg.tensor([1.0, 2.0])
    with pytest.raises(ShapeError, match="does not fit"):
        x += dg.tensor([[1.0, 2.0], [3.0, 4.0]])
    counts = dg.tensor([1, 2])
    with pytest.raises(DTypeError, match="does not fit"):
        counts += 0.5
    assert counts.tolist() == [1, 2]


def test_a_broadcast_view_cannot_be_written():
    x = dg.tensor([1.0])
    with pytest.raises(InPlaceError, match="read-only"):
        dg.broadcast_to(x, (3,)).add_(1.0)


def test_version_counts_every_view_of_the_storage():
    x = dg.tensor([[1.0, 2.0]])
    assert x._version == 0
    x[0].add_(1.0)
    x.mul_(2.0)
    assert x._version == x[0]._version == 2


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("step", [2, 3, 4, 8])
@pytest.mark.parametrize("name", ["neg_", "abs_", "square_", "add_", "mul_", "zero_"])
def test_in_place_on_every_so_many_elements(name, step, dtype):
    """NumPy's negative (2.4) reads the wrong ones where it reads and writes with some strides."""
    array = (np.arange(96) % 7 + 1).astype(dtype)
    others = (2,) if name in ("add_", "mul_") else ()
    part, whole = dg.tensor(array[::step].copy()), dg.tensor(array)
    getattr(part, name)(*others)
    getattr(whole[::step], name)(*others)
    expected = array.copy()
    expected[::step] = part.numpy()
    assert np.array_equal(whole.numpy(), expected)


def test_contiguous_is_row_major():
    turned = dg.permute_dims(dg.tensor(np.ones((3, 4))), (1, 0))
    for found in (turned.contiguous(), turned.clone(), dg.clone(turned)):
        assert found.numpy().flags.c_contiguous
