"""Hooks on nodes, on leaves that accumulate, and on what nodes save."""

import gc
import weakref

import numpy as np
import pytest

import dyngraph as dg
from dyngraph.errors import ArgumentError, NotDifferentiableError


def shown(gradients):
    return tuple(None if g is None else np.asarray(g.detach()).tolist() for g in gradients)


def program(lib, seen):
    """Return what hooks of every kind saw, and the gradients, of the same program in `lib`."""
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    b = lib.tensor([3.0, 4.0])
    product = a * b
    result = product.sum()
    node = product.grad_fn
    before = node.register_prehook(
        lambda outs: seen.append(("before", shown(outs))) or (outs[0] * 2,)
    )
    node.register_hook(lambda ins, outs: seen.append(("after", shown(ins), shown(outs))))
    node.register_hook(lambda ins, outs: (ins[0] + 1, None))
    product.register_hook(lambda g: seen.append(("tensor", shown([g]))))
    result.grad_fn.register_hook(lambda ins, outs: seen.append(("sum", shown(ins), shown(outs))))
    leaf = node.next_functions[0][0]
    leaf.register_prehook(lambda outs: seen.append(("leaf before", shown(outs))) or (outs[0] * 10,))
    leaf.register_hook(lambda ins, outs: seen.append(("leaf", shown(ins), shown(outs))))
    a.register_hook(lambda g: seen.append(("leaf tensor", shown([g]))))
    a.register_post_accumulate_grad_hook(lambda x: seen.append(("added", shown([x.grad]))))
    result.backward(retain_graph=True)
    before.remove()
    result.backward()
    return a.grad.tolist()


def test_hooks_run_when_pytorch_runs_them():
    torch = pytest.importorskip("torch")
    ours, theirs = [], []
    assert program(dg, ours) == program(torch, theirs)
    # PyTorch counts a call of a leaf's own hook before the gradient is added, too
    assert sorted(map(repr, ours)) == sorted(map(repr, theirs))
    assert [each[0] for each in ours][:4] == ["sum", "tensor", "before", "after"]


def test_a_hook_runs_for_higher_derivatives_and_is_differentiated():
    x = dg.tensor([2.0], requires_grad=True)
    y = x * x * x
    y.grad_fn.register_hook(lambda ins, outs: tuple(g if g is None else g * 3 for g in ins))
    (first,) = dg.grad(y, x, create_graph=True)
    assert first.tolist() == [36.0]
    assert dg.grad(first, x)[0].tolist() == [36.0]


def test_node_of_a_function_of_the_users_has_all_gradients():
    class Pair(dg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            return g * 2 + h * 3

    x = dg.tensor([1.0], requires_grad=True)
    one, other = Pair.apply(x)
    node = one.grad_fn.next_functions[0][0]
    seen = []
    node.register_prehook(lambda outs: seen.append(shown(outs)) or (outs[0], outs[1] * 10))
    node.register_hook(lambda ins, outs: seen.append((shown(ins), shown(outs))))
    (one + other).backward()
    assert seen == [([1.0], [1.0]), (([32.0],), ([1.0], [10.0]))]
    assert x.grad.tolist() == [32.0]


def test_leaf_is_updated_while_the_backward_pass_runs():
    w = dg.tensor([1.0, 2.0], requires_grad=True)

    def step(leaf):
        leaf -= 0.1 * leaf.grad
        leaf.grad = None

    handle = w.register_post_accumulate_grad_hook(step)
    dg.sum(w * w).backward()
    assert w.grad is None
    assert np.allclose(w.detach().numpy(), [0.8, 1.6])
    handle.remove()
    dg.backward([dg.sum(w * w)], inputs=[w])
    assert np.allclose(w.grad.numpy(), [1.6, 3.2])


def test_post_accumulate_hook_keeps_no_leaf_alive():
    w = dg.tensor([1.0], requires_grad=True)
    w.register_post_accumulate_grad_hook(lambda leaf: None)
    gone = weakref.ref(w)
    gc.disable()
    try:
        del w
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "change",
    [lambda x: x.exp(), lambda x: x * x, lambda x: dg.softmax(x, axis=0), lambda x: dg.tanh(x) @ x],
)
def test_saved_values_are_packed_and_unpacked(change):
    packed, unpacked = [], []

    def pack(value):
        assert isinstance(value, dg.Tensor) and not value.requires_grad
        packed.append(value.shape)
        return value.numpy().copy()

    def unpack(kept):
        unpacked.append(kept.shape)
        return dg.from_numpy(kept)

    def gradient(hooked):
        x = dg.tensor([0.5, 1.0, 2.0], requires_grad=True)
        if hooked:
            with dg.saved_tensors_hooks(pack, unpack):
                y = dg.sum(change(x))
        else:
            y = dg.sum(change(x))
        return dg.grad(y, x, create_graph=True)[0]

    assert gradient(True).tolist() == gradient(False).tolist()
    assert packed and packed == unpacked


def test_saved_value_of_a_function_of_the_users_is_packed():
    class Square(dg.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x = dg.tensor([3.0], requires_grad=True)
    with dg.saved_tensors_hooks(lambda t: t.item(), lambda n: dg.tensor([n])):
        y = Square.apply(x)
    y.backward()
    assert x.grad.tolist() == [6.0]


def test_only_the_innermost_saved_hooks_run():
    seen = []
    with dg.saved_tensors_hooks(lambda t: seen.append("outer") or t, lambda t: t):
        with dg.saved_tensors_hooks(lambda t: seen.append("inner") or t, lambda t: t):
            dg.exp(dg.tensor(1.0, requires_grad=True))
        dg.exp(dg.tensor(1.0, requires_grad=True))
    assert seen == ["inner", "outer"]


def leaf():
    return dg.tensor([1.0, 2.0], requires_grad=True)


def node_of(hook):
    x = leaf()
    y = x * 2
    y.grad_fn.register_hook(hook)
    y.backward(dg.ones(2))


@pytest.mark.parametrize(
    ("call", "kind", "part"),
    [
        (lambda: (leaf() * 2).grad_fn.register_hook(3), ArgumentError, "given a int"),
        (lambda: (leaf() * 2).grad_fn.register_prehook(3), ArgumentError, "given a int"),
        (lambda: leaf().register_post_accumulate_grad_hook(3), ArgumentError, "given a int"),
        (lambda: dg.saved_tensors_hooks(3, print), ArgumentError, "given a int"),
        (
            lambda: (leaf() * 2).register_post_accumulate_grad_hook(print),
            NotDifferentiableError,
            "no leaf",
        ),
        (
            lambda: dg.ones(2).register_post_accumulate_grad_hook(print),
            NotDifferentiableError,
            "does not require a gradient",
        ),
        (lambda: node_of(lambda ins, outs: dg.ones(3)), ArgumentError, r"float32\[2\]"),
        (lambda: node_of(lambda ins, outs: (ins[0], ins[0])), ArgumentError, r"register_hook"),
        (lambda: node_of(lambda ins, outs: "two"), ArgumentError, "(str)"),
    ],
)
def test_bad_hooks_are_refused(call, kind, part):
    with pytest.raises(kind, match=part):
        call()


def test_unpacking_something_else_is_refused():
    x = leaf()
    with dg.saved_tensors_hooks(lambda t: t, lambda t: t[0]):
        y = dg.sum(dg.exp(x))
    with pytest.raises(ArgumentError, match="unpack returned"):
        y.backward()
