"""Random programs of in-place operations and views: the right gradient or an error, always."""

import numpy as np
import pytest
from tests.dyngraph.random_programs import CUTS, SMOOTH, Program, is_wild

import dyngraph as dg
from oplibrary.messages.errors import InPlaceError, SideBySideError

# what PyTorch refuses and we do right, or the other way round
RESTRICTIONS = ("single memory", "more than one element", "read-only")


def gradients(xp_grad, loss, leaves, **options):
    return [
        None if g is None else g.detach().numpy()
        for g in xp_grad(loss, leaves, allow_unused=True, **options)
    ]


@pytest.mark.filterwarnings("ignore:Use of .* on expanded tensors:UserWarning")
@pytest.mark.parametrize("block", range(8))
def test_values_gradients_and_errors_are_those_of_torch(block):
    torch = pytest.importorskip("torch")
    compared = 0
    for seed in range(block * 40, block * 40 + 40):
        program = Program(seed, 10, SMOOTH + CUTS)
        leaves, values = program.start(dg.tensor, program.leaves)
        their_leaves, theirs = program.start(torch.tensor, program.leaves)
        for step in program.steps:
            error, their_error = program.run(step, dg, values), program.run(step, torch, theirs)
            if (error is None) != (their_error is None):
                break
            for x, y in zip(values, theirs, strict=True):
                np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-9)
                assert (x.requires_grad, x.is_leaf) == (y.requires_grad, y.is_leaf), (seed, step)
        if error is not None or their_error is not None:
            text = f"{error}{their_error}"
            if (error is None) != (their_error is None):
                assert any(words in text for words in RESTRICTIONS), (seed, text)
                continue
        loss, their_loss = program.loss(values), program.loss(theirs)
        assert (loss is None) == (their_loss is None), seed
        if loss is None or is_wild(values):
            continue
        try:
            wanted = gradients(torch.autograd.grad, their_loss, their_leaves, retain_graph=True)
        except RuntimeError:
            continue  # the test below asks what the gradient is
        found = gradients(dg.grad, loss, leaves, retain_graph=True)
        for one, other in zip(found, wanted, strict=True):
            assert (one is None) == (other is None), seed
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10, err_msg=str(seed))
        loss.backward()
        their_loss.backward()
        for x, y in zip(values, theirs, strict=True):
            if x.is_leaf or (x.retains_grad and not y._is_view()):
                assert (x.grad is None) == (y.grad is None), seed
                if x.grad is not None:
                    np.testing.assert_allclose(
                        x.grad.numpy(), y.grad.numpy(), rtol=1e-7, atol=1e-10
                    )
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize("block", range(4))
def test_gradients_are_those_of_differences_or_refused(block):
    compared = 0
    for seed in range(1000 + block * 30, 1030 + block * 30):
        program = Program(seed, 12, SMOOTH)
        leaves, values = program.start(dg.tensor, program.leaves)
        for step in program.steps:
            error = program.run(step, dg, values)
            assert (
                error is None or isinstance(error, (SideBySideError, IndexError)) or not str(error)
            )
        loss = program.loss(values)
        if loss is None or is_wild(values):
            continue
        try:
            found = dg.grad(loss, leaves, unused="zero")
        except InPlaceError:
            continue
        for number, x in enumerate(program.leaves):
            for index in np.ndindex(x.shape):
                sides = []
                for distance in (1e-6, -1e-6):
                    moved = [leaf.copy() for leaf in program.leaves]
                    moved[number][index] += distance
                    sides.append(program.value(moved))
                difference = (sides[0] - sides[1]) / 2e-6
                assert found[number].numpy()[index] == pytest.approx(
                    difference, rel=1e-4, abs=1e-4
                ), seed
        compared += 1
    assert compared >= 10
