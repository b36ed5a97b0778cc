"""Where PyTorch's modules meet infinities, lengths, random numbers and what they cannot be."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore")

functional = torch.nn.functional


def imported(forward, x, dynamic=None):
    """Return a module of a function ``forward(x)``, imported."""
    of = {"forward": lambda self, x: forward(x)}
    return sg.from_torch(type("Module", (torch.nn.Module,), of)(), (x,), dynamic=dynamic)


# values -------------------------------------------------------------------------------------------

AWKWARD = [np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30, 1.0, 100.0, -100.0, 3.0]


@pytest.mark.parametrize(
    "function",
    [
        torch.sign,
        torch.sgn,
        functional.silu,
        functional.mish,
        functional.hardswish,
        functional.celu,
        functional.elu,
        functional.selu,
        functional.softplus,
        functional.logsigmoid,
        lambda x: functional.celu(x, 0.5),
        lambda x: functional.softplus(x, 2.0, 3.0),
        lambda x: functional.softplus(x, 1.0, 0.0),
    ],
)
def test_awkward_numbers_give_what_they_give_in_pytorch(function):
    here = imported(function, torch.linspace(-2, 2, 10))
    x = np.array(AWKWARD, "float32")
    found = here.function(dg, {}, dg.tensor(x)).numpy()
    np.testing.assert_allclose(found, function(torch.from_numpy(x)).numpy(), 1e-6, 1e-30)
    finite = np.resize(x[np.isfinite(x)], 10)
    given = torch.from_numpy(finite).requires_grad_()
    (expected,) = torch.autograd.grad(function(given).sum(), given)
    slope = dg.grad(lambda x: dg.sum(here.function(dg, {}, x)))(dg.tensor(finite))
    np.testing.assert_allclose(slope.numpy(), expected.numpy(force=True), 1e-5, 1e-30)


@pytest.mark.parametrize("eps", [None, 1e-3, 0.1])
def test_logit_is_clipped_as_it_says(eps):
    x = torch.tensor([0.0, 0.05, 0.1, 0.5, 0.9, 0.99, 1.0])[1 if eps is None else 0 :]
    x = x[:-1] if eps is None else x
    here = imported(lambda x: torch.logit(x, eps=eps), x)  # which compares gradients, too
    assert max(each.error for each in here.differences) < 1e-5


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / x.shape[0] ** 0.5,
        lambda x: x * (x.shape[0] / 2),
        lambda x: x * (1.0 / x.shape[0]) + x.shape[0] ** 2,
    ],
)
def test_lengths_are_computed_with_as_numbers(function):
    x = torch.ones(5, 2)
    here = imported(function, torch.randn(3, 2), dynamic={"x": {0: "n"}})
    found = here.function(dg, {}, x.numpy())
    np.testing.assert_allclose(found.numpy(), function(x), 1e-6)
    (again,) = sg.compile(here.graph.outputs, backend="numpy")(x.numpy())
    np.testing.assert_array_equal(again, found.numpy())
    assert again.dtype == "float32"


@pytest.mark.parametrize(
    ("norm", "shape", "axes"),
    [
        (torch.nn.BatchNorm1d(4), (3, 4), {0: "n"}),
        (torch.nn.BatchNorm1d(4, affine=False), (3, 4, 5), {0: "n", 2: "m"}),
        (torch.nn.BatchNorm2d(3), (2, 3, 4, 4), {0: "n"}),
        (torch.nn.BatchNorm1d(4, track_running_stats=False), (3, 4), {0: "n"}),
    ],
)
def test_a_batch_norm_in_training_is_declared_for_every_batch(norm, shape, axes):
    torch.manual_seed(0)
    here = sg.from_torch(norm, (torch.randn(shape),), dynamic={"input": axes})
    assert not any("cannot be declared" in note for note in here.notes)
    updated = list(here.updates.items())
    run = sg.compile(
        [*here.graph.outputs, *[node for _, node in updated]], here.graph.inputs, backend="numpy"
    )
    x = torch.randn(7, *shape[1:])
    found, *state = run(x.numpy())
    np.testing.assert_allclose(found, norm(x).detach(), 1e-4, 1e-5)
    after = dict(norm.named_buffers())
    for (name, _), value in zip(updated, state, strict=True):
        np.testing.assert_allclose(value, after[name], 1e-5, 1e-6)


def test_numbers_are_drawn_into_a_tensor():
    here = imported(lambda x: x + torch.zeros_like(x).normal_(2.0, 0.5), torch.zeros(1000))
    assert len(here.keys) == 1
    found = here.function(dg, {}, dg.tensor(np.zeros(1000, "float32")), key=sg.random_key(0))
    assert abs(found.numpy().mean() - 2) < 0.1
    assert abs(found.numpy().std() - 0.5) < 0.1


# what is refused ----------------------------------------------------------------------------------


def drawing(x):
    return torch.cond(x.sum() > 0, lambda x: x + torch.rand_like(x), lambda x: x - 1, (x,))


def with_places(x):
    return torch.nn.functional.adaptive_max_pool2d(x[None, :, None], (1, 2), return_indices=True)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (drawing, r"aten\.rand_like\.default in a branch or a loop[\s\S]*as operands"),
        (with_places, r"adaptive_max_pool2d.default: the places of the largest[\s\S]*one size"),
    ],
)
def test_what_an_operator_does_not_do_is_named(forward, said):
    with pytest.raises(sg.errors.UnsupportedOpError, match=said):
        imported(forward, torch.randn(3, 4))


def test_a_sparse_tensor_is_named():
    module = torch.nn.Module()
    module.register_buffer("kept", torch.eye(4).to_sparse())
    type_of = type("Sparse", (torch.nn.Module,), {"forward": lambda self, x: self.kept @ x})
    module.__class__ = type_of
    with pytest.raises(sg.errors.UnsupportedOpError, match="the layout sparse_coo"):
        sg.from_torch(module, (torch.randn(4, 2),))


def test_why_a_length_does_not_change_is_said():
    with pytest.raises(sg.errors.ForeignProgramError, match="n as dynamic but your code special"):
        imported(lambda x: x.reshape(3, 4) * 2, torch.ones(3, 4), dynamic={"x": {0: "n"}})


def test_a_module_that_cannot_be_copied_is_named():
    class Holding(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)
            self.twice = self.linear.weight * 2

        def forward(self, x):
            return self.linear(x) @ self.twice

    said = r"Holding cannot be copied: it holds tensors that were computed[\s\S]*parametrizations"
    for module in (Holding(), torch.nn.utils.weight_norm(torch.nn.Linear(4, 4))):
        with pytest.raises(sg.errors.ForeignProgramError, match=said.replace("Holding", r"\w+")):
            sg.from_torch(module, (torch.randn(2, 4),))
