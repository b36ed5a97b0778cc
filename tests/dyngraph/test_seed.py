"""The program that the project grew from runs unchanged."""

import pytest

import dyngraph as torch
from oplibrary.messages.errors import NonLeafGradWarning


def test_the_seed_program():
    w = torch.tensor([1.0], requires_grad=True)
    x = torch.tensor([2.0], requires_grad=True)
    a = torch.add(w, x)
    a.retain_grad()
    b = torch.add(w, 1)
    y = torch.mul(a, b)
    y.backward()
    assert repr(w.grad) == "tensor([5.])"
    assert [t.is_leaf for t in (w, x, a, b, y)] == [True, True, False, False, False]
    # the tutorial prints tensor([3.]) for b.grad, although only a.retain_grad() was called
    with pytest.warns(NonLeafGradWarning):  # as in PyTorch, for b and y
        gradients = [repr(t.grad) for t in (w, x, a, b, y)]
    assert gradients == [
        "tensor([5.])",
        "tensor([2.])",
        "tensor([2.])",
        "None",
        "None",
    ]
    assert w.grad_fn is None
    assert x.grad_fn is None
    assert repr(a.grad_fn).startswith("<AddBackward0 object at 0x")
    assert repr(b.grad_fn).startswith("<AddBackward0 object at 0x")
    assert repr(y.grad_fn).startswith("<MulBackward0 object at 0x")
    assert repr(y) == "tensor([6.], grad_fn=<MulBackward0>)"


def test_the_tape_is_the_graph_of_the_seeds_drawing():
    w = torch.tensor([1.0], requires_grad=True)
    x = torch.tensor([2.0], requires_grad=True)
    y = (x + w) * (w + 1)
    a, b = (node for node, _ in y.grad_fn.next_functions)
    assert (a.name(), b.name()) == ("AddBackward0", "AddBackward0")
    leaf_x, leaf_w = (node for node, _ in a.next_functions)
    assert leaf_w is b.next_functions[0][0]
    assert leaf_x.name() == "AccumulateGrad"
    assert b.next_functions[1][0] is None
