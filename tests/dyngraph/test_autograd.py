"""Leaves, accumulation, retained gradients and graphs, hooks, modes: PyTorch's semantics."""

import copy
import gc
import pickle
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import dyngraph as dg
from oplibrary.messages.errors import (
    ArgumentError,
    FreedGraphError,
    NoGraphError,
    NonLeafGradWarning,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
    SideBySideError,
    UnusedInputError,
)


def leaf(*values, dtype="float64"):
    return dg.tensor(list(values), dtype=dtype, requires_grad=True)


def test_gradients_accumulate_until_they_are_reset():
    x = leaf(3.0)
    (x * x).backward()
    (x * x).backward()
    assert x.grad.tolist() == [12.0]
    x.grad = None
    (x * x).backward()
    assert x.grad.tolist() == [6.0]


def test_the_stored_gradient_shares_no_memory():
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    cotangent = np.ones(2)
    (x + y).backward(cotangent)
    x.grad.mul_(10.0)
    assert y.grad.tolist() == [1.0, 1.0]
    assert cotangent.tolist() == [1.0, 1.0]
    z = leaf(1.0, 2.0)
    z.reshape(2, 1).sum().backward()
    z.grad.mul_(3.0)
    assert z.grad.tolist() == [3.0, 3.0]


def test_one_value_used_many_times():
    x = leaf(2.0)
    y = x * x
    (y * y + y).backward()
    assert x.grad.tolist() == [4 * 8.0 + 4.0]


def test_broadcast_operands_get_gradients_of_their_own_shape():
    x = dg.tensor(np.ones((3, 4)), requires_grad=True)
    b = dg.tensor(np.ones(4), requires_grad=True)
    c = dg.tensor(np.ones((3, 1)), requires_grad=True)
    (x * b + c).sum().backward()
    assert b.grad.tolist() == [3.0] * 4
    assert c.grad.tolist() == [[4.0]] * 3
    assert x.grad.shape == (3, 4)


def test_mixed_dtypes_give_each_operand_its_own():
    x = leaf(2.0, dtype="float32")
    y = leaf(3.0, dtype="float64")
    (x * y).backward()
    assert x.grad.dtype == np.float32
    assert y.grad.dtype == np.float64


def test_non_leaf_gradient_needs_retain_grad():
    x = leaf(2.0)
    y = x * x
    z = y * 3
    y.retain_grad()
    z.backward()
    assert y.grad.tolist() == [3.0]
    assert y.retains_grad
    with pytest.warns(NonLeafGradWarning, match="retain_grad"):
        assert z.grad is None


def test_second_backward_names_the_line_that_freed():
    x = leaf(2.0)
    y = x * x
    y.backward()  # the line that freed
    with pytest.raises(FreedGraphError) as caught:
        y.backward()
    text = str(caught.value)
    assert "# the line that freed" in text
    assert "retain_graph=True" in text
    assert "multiply" in text


def test_retain_graph_allows_a_second_backward():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8.0]


def test_create_graph_gives_higher_derivatives():
    x = leaf(2.0)
    y = x * x * x
    (dx,) = dg.grad(y, x, create_graph=True)
    (ddx,) = dg.grad(dx, x, create_graph=True)
    (dddx,) = dg.grad(ddx, x)
    assert (dx.item(), ddx.item(), dddx.item()) == (12.0, 12.0, 6.0)


def test_non_scalar_root_needs_a_cotangent():
    x = leaf(1.0, 2.0)
    with pytest.raises(NonScalarError, match=r"shape \(2,\)") as caught:
        (x * 2).backward()
    assert "sum()" in str(caught.value)
    assert "gradient=" in str(caught.value)
    (x * 2).backward(gradient=dg.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]
    with pytest.raises(ShapeError, match="cotangent"):
        (x * 2).backward(gradient=np.ones(3))


def test_no_graph_names_the_cut():
    x = leaf(1.0)
    with pytest.raises(NoGraphError, match="does not require"):
        dg.tensor([1.0]).backward()
    y = (x * 2).detach()
    with pytest.raises(NoGraphError) as caught:
        y.backward()
    assert "detach()" in str(caught.value)
    assert "y = (x * 2).detach()" in str(caught.value)
    with dg.no_grad(), pytest.raises(NoGraphError, match="switched off"):
        (x * 2).backward()
    with pytest.raises(NotDifferentiableError, match="int64"):
        dg.tensor([1]).backward()


def test_integers_cannot_require_a_gradient():
    with pytest.raises(NotDifferentiableError, match="int64"):
        dg.tensor([1, 2], requires_grad=True)


def test_grad_leaves_the_leaves_alone_and_reaches_intermediate_values():
    x = leaf(3.0)
    y = x * x
    z = y * y
    dy, dx = dg.grad(z, [y, x])
    assert (dy.item(), dx.item()) == (18.0, 108.0)
    assert x.grad is None


def test_unused_inputs_have_one_policy():
    x, y = leaf(1.0), leaf(2.0)
    z = x * 2
    with pytest.raises(UnusedInputError, match="input 1"):
        dg.grad(z, [x, y], retain_graph=True)
    assert dg.grad(z, [x, y], unused="none", retain_graph=True)[1] is None
    assert dg.grad(z, [x, y], allow_unused=True, retain_graph=True)[1] is None
    assert dg.grad(z, [x, y], unused="zero", retain_graph=True)[1].tolist() == [0.0]
    with pytest.raises(ArgumentError, match="unused"):
        dg.grad(z, [x], unused="maybe")


def test_backward_into_chosen_inputs_only():
    x, y = leaf(2.0), leaf(3.0)
    (x * y).backward(inputs=[x])
    assert x.grad.tolist() == [3.0]
    assert y.grad is None


def test_hooks_see_and_change_the_gradient():
    seen = []
    x = leaf(2.0)
    y = x * 3
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    (y * 1).backward(retain_graph=True)
    assert seen == [[1.0]]
    assert x.grad.tolist() == [30.0]
    handle.remove()
    (y * 1).backward()
    assert seen == [[1.0]]
    w = leaf(1.0)
    w.register_hook(lambda g: -g)
    (w * 5).backward()
    assert w.grad.tolist() == [-5.0]


def test_a_hook_must_keep_the_shape():
    x = leaf(2.0)
    x.register_hook(lambda g: dg.tensor([1.0, 2.0]))
    with pytest.raises(ArgumentError, match="hook"):
        (x * 2).backward()


def test_no_grad_enable_grad_and_decorators():
    x = leaf(2.0)
    with dg.no_grad():
        assert not (x * 2).requires_grad
        with dg.enable_grad():
            assert (x * 2).requires_grad
        assert not dg.is_grad_enabled()
    assert (x * 2).requires_grad
    with dg.inference_mode():
        assert not dg.exp(x).requires_grad
    with dg.set_grad_enabled(False):
        assert not (x * 2).requires_grad

    @dg.no_grad()
    def evaluate(x):
        return x * 2

    assert not evaluate(x).requires_grad


def test_grad_mode_belongs_to_the_thread():
    x = leaf(2.0)
    results = []
    with dg.no_grad():
        thread = threading.Thread(target=lambda: results.append((x * 2).requires_grad))
        thread.start()
        thread.join()
        assert not (x * 2).requires_grad
    assert results == [True]


def test_detach_shares_the_elements():
    x = leaf(1.0, 2.0)
    y = (x * 2).detach()
    assert not y.requires_grad
    z = x.detach()
    assert np.shares_memory(z.numpy(), x.detach().numpy())
    y.requires_grad_()
    assert y.is_leaf


def test_numpy_functions_stay_on_the_graph():
    x = leaf(1.0, 2.0)
    y = np.sum(np.tanh(x) * np.float64(2.0))
    assert isinstance(y, dg.Tensor)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * (1 - np.tanh([1.0, 2.0]) ** 2))
    assert isinstance(np.ones(2) * x, dg.Tensor)


def test_numpy_of_a_tracked_tensor_is_refused():
    with pytest.raises(NotDifferentiableError, match="NumPy") as caught:
        np.asarray(leaf(1.0))
    assert "detach().numpy()" in str(caught.value)


def test_a_dropped_tape_is_freed_with_the_collector_off():
    gc.disable()
    try:
        x = leaf(1.0)
        y = dg.exp(x * 2)
        node = weakref.ref(y.grad_fn)
        z = y.sum()
        del y, z
        assert node() is None
    finally:
        gc.enable()


def test_a_million_operations_neither_recurse_nor_crash():
    x = leaf(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad.tolist() == [1_000_001.0]
    del y


def test_a_hundred_thousand_operations_freed_without_backward():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * x
    del y


def test_copies_and_pickles():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    again = copy.deepcopy(x)
    assert again.grad.tolist() == x.grad.tolist()
    assert again.requires_grad
    restored = pickle.loads(pickle.dumps(x))
    assert restored.tolist() == [1.0, 2.0]
    assert restored.requires_grad
    with pytest.raises(NotDifferentiableError):
        pickle.dumps(x * 2)


def test_kernel_failures_show_the_users_line_and_types():
    x = dg.tensor(np.ones((2, 3)))
    with pytest.raises(ShapeError) as caught:
        x + dg.tensor(np.ones(4))
    text = str(caught.value)
    assert "add" in text
    assert "(2, 3) and (4,)" in text
    assert "x + dg.tensor(np.ones(4))" in text


def test_strangers_are_refused_by_name():
    with pytest.raises(SideBySideError, match="str"):
        dg.tensor([1.0]) + "one"
    with pytest.raises(SideBySideError):
        dg.tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(SideBySideError, match="dtype"):
        dg.tensor(["a", "b"])


def test_truth_and_conversion():
    assert bool(dg.tensor(1.0) > 0)
    assert int(dg.tensor(3)) == 3
    assert float(dg.tensor([2.5])) == 2.5
    assert [0, 1, 2][dg.tensor(1)] == 1
    with pytest.raises(NonScalarError, match="ambiguous"):
        bool(dg.tensor([1.0, 2.0]))
    with pytest.raises(NonScalarError):
        dg.tensor([1.0, 2.0]).item()
    assert 2.0 in dg.tensor([1.0, 2.0])
    assert [row.tolist() for row in dg.tensor([[1.0], [2.0]])] == [[1.0], [2.0]]


def test_scalars_are_weak_and_signed_zero_survives():
    x = dg.tensor([1.0, 2.0])
    assert (x + 1.5).dtype == np.float32
    assert (2 - x).tolist() == [1.0, 0.0]
    assert np.signbit((dg.tensor([-0.0]) + -0.0).numpy()).all()
    assert not np.signbit((dg.tensor([-0.0]) + 0.0).numpy()).any()
    assert (dg.tensor([1], dtype="int8") + 1).dtype == np.int8
    assert (dg.tensor([1]) + 1.5).dtype == np.float64


def test_a_complex_value_has_a_gradient_where_a_cotangent_is_given():
    z = dg.tensor([1 + 2j], requires_grad=True)
    y = z * z
    assert y.tolist() == [-3 + 4j]
    with pytest.raises(NotDifferentiableError, match="complex"):
        y.backward()
    y.backward(dg.tensor([1j]))
    assert z.grad.tolist() == [1j * (2 - 4j)]


def test_plain_numbers_become_tensors():
    assert repr(dg.tanh(0.0)) == "tensor(0.)"
    assert dg.add(3.0, 2.0).item() == 5.0
    assert dg.add(2.0, dg.tensor([1.0])).tolist() == [3.0]
    assert dg.exp(np.zeros(2, "float32")).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_tensor_with_a_graph_is_neither_pickled_nor_copied(take):
    x = leaf(1.0, 2.0)
    for y in (x * 2, x[:1], x.reshape(2, 1)):
        with pytest.raises(NotDifferentiableError, match=r"tensor\.detach\(\)"):
            take(y)
        take(y.detach())


def test_tensors_that_are_one_stay_one():
    x = leaf(1.0, 2.0)
    for a, b in (pickle.loads(pickle.dumps([x, x])), copy.deepcopy([x, x])):
        assert a is b and a is not x and a.requires_grad
    again = copy.deepcopy(x)
    with dg.no_grad():
        again.add_(1.0)
    assert x.tolist() == [1.0, 2.0]


def test_sums_of_gradients_in_place_change_nothing_that_others_see():
    """Large contributions are added up in place; what a user or the tape holds stays."""
    rng = np.random.default_rng(0)
    shape = (64, 128)
    x, y = (dg.tensor(rng.standard_normal(shape, np.float32), requires_grad=True) for _ in "xy")
    seen = []
    total = x + y  # its rule hands the same array on to both operands
    total.retain_grad()
    total.register_hook(lambda g: seen.append((g, g.numpy().copy())))
    cotangent = rng.standard_normal(shape).astype(np.float32)
    before = cotangent.copy()
    result = total * 2.0 + total.T.T + x + (x + x) * y
    result.backward(cotangent)
    np.testing.assert_array_equal(cotangent, before)
    ((g, held),) = seen
    np.testing.assert_array_equal(g.numpy(), held)
    np.testing.assert_allclose(total.grad.numpy(), 3 * before, rtol=1e-6)
    np.testing.assert_allclose(
        x.grad.numpy(), 4 * before + 2 * before * y.detach().numpy(), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        y.grad.numpy(), 3 * before + 2 * before * x.detach().numpy(), rtol=1e-5, atol=1e-5
    )


def test_large_gradients_of_many_uses_are_added_up_in_place():
    """The sum of many large gradients takes no array a contribution."""
    x = dg.tensor(np.ones((256, 256), np.float32), requires_grad=True)
    y = sum((x * float(i) for i in range(1, 21)), start=x * 0.0)
    cotangent = np.ones(x.shape, np.float32)
    tracemalloc.start()
    try:
        y.backward(cotangent)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert x.grad.numpy()[0, 0] == sum(range(1, 21))
    assert peak < 3.5 * cotangent.nbytes  # the cotangent is shared: the sum and a contribution
