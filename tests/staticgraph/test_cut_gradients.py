"""Modules of PyTorch that cut, change or draw: compared with the module itself, drawn or not."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.view_as(x)

    @staticmethod
    def backward(context, slope):
        return -slope


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.sign()

    @staticmethod
    def backward(context, slope):
        return slope


class Layers(torch.nn.Module):
    """Two layers and a function of them, behind a dropout if it `draws`."""

    def __init__(self, function, draws):
        super().__init__()
        torch.manual_seed(0)
        self.student, self.teacher = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.function, self.draws = function, draws

    def forward(self, x):
        return self.function(self, F.dropout(x, 0.5, self.draws))


def hooked(layers, x):
    y = layers.student(x)
    if y.requires_grad:
        y.register_hook(lambda slope: 2 * slope)
    return y


def imported_of(function, draws):
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    return sg.from_torch(Layers(function, draws), (x,)), x


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda layers, x: Reversed.apply(layers.student(x)),
        lambda layers, x: Straight.apply(layers.student(x)),
        hooked,
    ],
)
def test_a_gradient_that_export_loses_is_refused(function, draws):
    with pytest.raises(sg.errors.ImportCheckError, match=r"gradient by student"):
        imported_of(function, draws)


def without_gradients(layers, x):
    with torch.no_grad():
        known = layers.teacher(x)
        more = known.exp()
    return layers.student(x) * known + more


def set_and_reset(layers, x):
    torch.set_grad_enabled(False)
    known = layers.teacher(x)
    torch.set_grad_enabled(True)
    return layers.student(x) * known


@torch.no_grad()
def taught(layers, x):
    return layers.teacher(x)


def alone(layers, x):
    with torch.no_grad():
        known = layers.teacher(x)
    return layers.student(x), known


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        without_gradients,
        set_and_reset,
        alone,
        lambda layers, x: layers.student(x) * taught(layers, x),
        lambda layers, x: layers.student(x) * layers.teacher(x).detach(),
        lambda layers, x: layers.student(x) * layers.teacher(x).detach().requires_grad_(False),
    ],
)
def test_what_is_computed_without_gradients_has_none_here(function, draws):
    imported, x = imported_of(function, draws)
    compared = {each.what: each.error for each in imported.differences}
    assert compared["gradient by teacher.weight"] == 0
    loss = imported.loss_with(lambda y: sg.sum(y[0] * y[0] if isinstance(y, tuple) else y * y))
    given = {"key": sg.random_key(0)} if draws else {}
    slope = sg.grad(lambda parameters, x: loss(parameters, x, **given))
    found = sg.function(slope, backend="numpy")(imported.parameters, x.numpy())
    assert not found["teacher.weight"].any()
    assert found["student.weight"].any()


@pytest.mark.parametrize(
    "normed",
    [torch.nn.utils.parametrizations.spectral_norm, torch.nn.utils.spectral_norm],
)
@pytest.mark.parametrize("draws", [False, True])
def test_spectral_norms_in_training_come_in(normed, draws):
    torch.manual_seed(0)
    module = torch.nn.Sequential(normed(torch.nn.Linear(3, 3)), torch.nn.Dropout(0.5 * draws))
    imported = sg.from_torch(module, (torch.randn(2, 3),))
    assert len(imported.signature.updated) == 2


DRAWS = {
    "dropout": F.dropout,
    "dropout of all": lambda x: F.dropout(x, 1.0),
    "alpha dropout": lambda x: F.alpha_dropout(x, 0.5, True),
    "channels": lambda x: F.dropout2d(x[None, None], 0.5, True),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.5),
    "likes": lambda x: x + torch.rand_like(x) + torch.randn_like(x) + torch.randint_like(x, 5),
    "made": lambda x: x + torch.rand(3) + torch.randn(3) + torch.randint(0, 5, (3,)),
    "order": lambda x: x[torch.randperm(4)],
    "in place": lambda x: x + torch.zeros(4, 3).uniform_(1, 2) + torch.zeros(3).exponential_(2.0),
    "of values": lambda x: torch.bernoulli(torch.sigmoid(x)) + torch.normal(x, 1.0),
    "choice": F.gumbel_softmax,
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_are_those_that_the_module_itself_drew(name):
    imported, _ = imported_of(lambda layers, x: DRAWS[name](layers.student(x)), False)
    assert imported.keys
    assert max(each.error for each in imported.differences) < 1e-5


def test_random_numbers_that_nothing_reads_are_refused():
    def function(layers, x):
        F.dropout(x)
        return F.dropout(layers.student(x))

    with pytest.raises(sg.errors.UnsupportedOpError, match=r"draws 2 arrays[\s\S]*gives 1"):
        imported_of(function, False)


class Averaging(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        now = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        if self.how == "replaced":
            self.mean = now
        elif self.how == "behind its back":
            self._buffers["mean"] = now
        else:
            self.mean.copy_(now)
        return x - self.mean


@pytest.mark.parametrize("how", ["replaced", "written"])
def test_a_buffer_may_be_replaced_as_well_as_written(how):
    x = torch.arange(6.0).reshape(2, 3)
    imported = sg.from_torch(Averaging(how), (x,))
    _, state = imported.function(dg, {}, dg.tensor(x.numpy()), buffers=imported.buffers)
    np.testing.assert_allclose(state["mean"].numpy(), 0.1 * x.mean(0))


def test_a_change_that_export_does_not_see_is_refused():
    with pytest.raises(
        sg.errors.UnsupportedOpError, match=r"changes mean[\s\S]*self\.mean = value"
    ):
        sg.from_torch(Averaging("behind its back"), (torch.arange(6.0).reshape(2, 3),))
