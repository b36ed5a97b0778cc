"""PyTorch's modules as programs here: outputs and gradients, in both modes."""

import re
import warnings
from functools import cache

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.values.tree import flatten

torch = pytest.importorskip("torch")

from tests.staticgraph.torch_families import FAMILIES, Calls  # noqa: E402
from tests.staticgraph.torch_models import MLP, MODELS, LanguageModel, numbers  # noqa: E402

from staticgraph.importing.pytorch.reading import REFUSED, TABLE  # noqa: E402
from staticgraph.importing.shared import checking  # noqa: E402
from staticgraph.importing.shared.checking import run_here  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@cache
def made(name):
    """Return a module, its inputs, and the module imported."""
    torch.manual_seed(0)
    module, inputs = MODELS[name]()
    return module, inputs, sg.from_torch(module, inputs)


def total(xp, imported, key):
    """Return a function of the parameters and inputs: the sum of all numbers, weighed."""

    def of(parameters, *inputs):
        results = imported.function(xp, parameters, *inputs, key=key)
        leaves = flatten(results)[0]
        leaves = [x for x in leaves if x is not None]
        parts = [xp.sum(x * (i + 1.5)) for i, x in enumerate(leaves) if x.dtype.kind == "f"]
        return sum(parts[1:], parts[0])

    return of


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_the_modules(name):
    _, _, imported = made(name)  # which compares them, and would refuse
    compared = {each.what for each in imported.differences}
    assert {f"gradient by {name}" for name in imported.parameters} <= compared
    assert "output 0" in compared
    assert all(each.error < 1e-4 for each in imported.differences)
    assert imported.source in imported.report()


@pytest.mark.parametrize("name", MODELS)
def test_both_modes_give_the_same_bits(name):
    _, inputs, imported = made(name)
    arrays = [x.numpy() for x in inputs]
    key = sg.random_key(0) if imported.keys else None
    if not imported.parameters:
        run = sg.function(total(sg, imported, key), backend="numpy")
        assert run({}, *arrays) == total(dg, imported, key)({}, *map(dg.tensor, arrays)).numpy()
        return
    step = sg.function(sg.value_and_grad(total(sg, imported, key)), backend="numpy")
    value, slopes = step(imported.parameters, *arrays)
    tensors = {name: dg.tensor(x) for name, x in imported.parameters.items()}
    again, grads = dg.value_and_grad(total(dg, imported, key))(tensors, *map(dg.tensor, arrays))
    np.testing.assert_array_equal(value, again.numpy())
    for each in slopes:
        if "loop" not in name and name not in ("lstm", "gru", "rnn", "branches"):
            np.testing.assert_array_equal(slopes[each], grads[each].numpy(), each)
        else:  # through loops they agree to rounding
            np.testing.assert_allclose(slopes[each], grads[each].numpy(), 1e-4, 1e-5)


def test_a_tensor_that_is_passed_twice_is_two_inputs():
    class Attending(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = torch.nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, query, key, value):
            return self.heads(query, key, value)[0]

    torch.manual_seed(0)
    module, x, y = Attending(), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    imported = sg.from_torch(module, (x, x, x))
    assert [each.name for each in imported.inputs] == ["query", "key", "value"]
    found = imported.function(dg, imported.parameters, *[dg.tensor(v.numpy()) for v in (x, y, y)])
    np.testing.assert_allclose(found.numpy(), module(x, y, y).detach(), atol=1e-6)


class Residual(torch.nn.Module):
    """A block of a ResNet behind its stem, in training."""

    def __init__(self):
        super().__init__()
        self.stem, self.pool = torch.nn.Conv2d(2, 4, 3), torch.nn.MaxPool2d(3, 2, 1)
        self.conv, self.norm = torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.pool(torch.relu(self.stem(x)))
        return torch.relu(self.norm(self.conv(x)) + x)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_residual_block_in_training_is_the_modules_in_float64(backend):
    torch.manual_seed(0)
    module, x = Residual().double(), torch.randn(2, 2, 9, 9, dtype=torch.float64)
    imported = sg.from_torch(module, (x,))
    loss = imported.loss_with(lambda y: sg.sum(y * y * y))
    slopes = sg.function(sg.grad(loss), backend=backend)(imported.parameters, x.numpy())
    (module(x) ** 3).sum().backward()
    largest = max(float(p.grad.abs().max()) for p in module.parameters())
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(slopes[name], parameter.grad, 0, 1e-12 * largest)


@pytest.mark.parametrize("draws", [False, True])
def test_what_rounding_moves_over_a_kink_is_compared_in_float64(monkeypatch, draws):
    calls = []

    def with_a_kink(imported, examples, *rest):
        found = run_here(imported, examples, *rest)
        calls.append(examples[0].dtype)
        if examples[0].dtype in wrong:
            found.gradients["linear.weight"] = found.gradients["linear.weight"] + 0.5
        return found

    class Kinked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x):
            if draws:  # the same numbers in float64
                x = torch.dropout(x, 0.5, True) + torch.randn_like(x)
            return torch.relu(self.linear(x))

    torch.manual_seed(0)
    monkeypatch.setattr(checking, "run_here", with_a_kink)
    wrong = {np.dtype("float32")}
    imported = sg.from_torch(Kinked(), (torch.ones(2, 3),))
    assert calls == [np.dtype("float32"), np.dtype("float64")]
    assert re.search(r"linear.weight is \S+ from the source by rounding", imported.report())
    wrong.add(np.dtype("float64"))
    with pytest.raises(sg.errors.ImportCheckError, match=r"gradient by linear\.weight"):
        sg.from_torch(Kinked(), (torch.ones(2, 3),))


@pytest.mark.parametrize("name", ["mlp", "cnn", "language model", "gru", "graph convolution"])
def test_machine_code_gives_the_same(name):
    pytest.importorskip("llvmlite")
    _, inputs, imported = made(name)
    arrays = [x.numpy() for x in inputs]
    of = total(sg, imported, None)
    expected = sg.function(sg.value_and_grad(of), backend="numpy")(imported.parameters, *arrays)
    found = sg.function(sg.value_and_grad(of), backend="native")(imported.parameters, *arrays)
    np.testing.assert_allclose(found[0], expected[0], 1e-4)
    for each, slope in expected[1].items():
        np.testing.assert_allclose(found[1][each], slope, 1e-3, 1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_operators_give_what_pytorchs_give_with_their_gradients(name):
    function, inputs = FAMILIES[name]
    imported = sg.from_torch(Calls(function), inputs)  # which compares, and would refuse
    assert sum(each.what.startswith("output") for each in imported.differences) > 3
    assert any(each.what.startswith("gradient") for each in imported.differences)


class Halves(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.filters = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.GroupNorm(2, 8)
        self.head = torch.nn.Linear(8, 4)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x):
        x = torch.nn.functional.gelu(self.norm(self.filters(x)))
        x = self.head(x.mean((2, 3))) * self.scale
        return torch.softmax(x, -1), torch.nan_to_num(x), x.sort(-1)[0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_modules_of_half_floats(dtype):
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    x = numbers(3, 3, 6, 6).to(kind)
    imported = sg.from_torch(Halves().to(kind), (x,))
    assert {str(each.dtype) for each in imported.parameters.values()} == {dtype}
    assert str(imported.inputs[0].dtype) == dtype
    compared = {each.what for each in imported.differences}
    assert {f"gradient by {each}" for each in (*imported.parameters, "x")} <= compared
    assert max(each.error for each in imported.differences) < 0.05  # some units in the last place
    assert {str(node.dtype) for node in imported.graph.outputs} == {dtype}


# what is handed over ------------------------------------------------------------------------------


def test_parameters_have_the_modules_names_and_tied_ones_stand_once():
    module, _, imported = made("language model")
    assert imported.parameters.keys() == dict(module.named_parameters()).keys()
    assert imported.tied == {"head.weight": "embedding.weight"}
    assert "head.weight is embedding.weight" in imported.report()
    np.testing.assert_array_equal(
        imported.parameters["embedding.weight"], module.head.weight.detach().numpy()
    )


def test_the_next_state_is_explicit():
    module, (x,), imported = made("cnn")
    assert set(imported.signature.updated) == {
        name for name, _ in module.named_buffers() if name.startswith("features")
    }
    results, state = imported.function(
        dg, imported.parameters, dg.tensor(x.numpy()), buffers=imported.buffers
    )
    before = {name: value.clone() for name, value in module.named_buffers()}
    expected = module(x)
    after = dict(module.named_buffers())
    np.testing.assert_allclose(results.numpy(), expected.detach().numpy(), 1e-4, 1e-5)
    for name, value in state.items():
        np.testing.assert_allclose(value.numpy(), after[name].numpy(), 1e-5)
        assert not torch.equal(before[name], after[name])
        after[name].copy_(before[name])


def test_the_graph_has_variables_and_a_run_can_leave_the_next_state_in_them():
    _, (x,), imported = made("cnn")
    graph = imported.graph
    assert imported.outputs == (sg.TensorType((3, 5), "float32"),)
    names = {node.name for node in graph.nodes}
    assert {"head.weight", "features.1.running_mean", "x"} <= names
    session = sg.Session(graph)
    session.run(list(imported.updates.values()), {graph.inputs[0]: x.numpy()})
    count = next(n for n in graph.nodes if n.name == "features.1.num_batches_tracked")
    assert count.value == 1
    lines = {node.source.filename.rpartition("/")[2] for node in graph.outputs}
    assert lines == {"torch_models.py"}


@pytest.mark.parametrize("seed", [15, 16, 98])
def test_a_gradient_of_zero_may_be_off_by_the_rounding_of_others(seed):
    """A bias before a batch norm changes nothing; these seeds make PyTorch's gradient 0 itself."""
    torch.manual_seed(seed)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    imported = sg.from_torch(module, (torch.randn(4, 3),))
    assert max(each.error for each in imported.differences) < 1e-5


def test_a_loss_is_differentiated_and_trains():
    torch.manual_seed(1)
    module, x = MLP(), numbers(16, 4)
    labels = np.arange(16) % 3
    imported = sg.from_torch(module, (x,))
    loss = imported.loss_with(lambda y, labels: sg.nll_loss(y, labels))
    step = sg.function(sg.value_and_grad(loss), backend="numpy")
    value, slopes = step(imported.parameters, x.numpy(), labels)
    expected = torch.nn.functional.nll_loss(module(x), torch.from_numpy(labels))
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), 1e-5)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(slopes[name], parameter.grad.numpy(), 1e-3, 1e-6)


def test_lengths_that_change():
    torch.manual_seed(0)
    module = LanguageModel()
    ids = torch.randint(0, 11, (3, 4))
    imported = sg.from_torch(module, (ids,), dynamic={"ids": {0: "batch"}})
    assert imported.inputs[0].shape == ("batch", 4)
    assert imported.graph.inputs[0].type.shape != (3, 4)
    run = sg.compile(imported.graph.outputs, backend="numpy")
    for batch in (1, 2, 7):
        ids = torch.randint(0, 11, (batch, 4))
        (found,) = run(ids.numpy())
        np.testing.assert_allclose(found, module(ids).detach().numpy(), 1e-4, 1e-5)


def test_random_numbers_come_from_a_key():
    _, (x, labels), imported = made("classifier")
    assert len(imported.keys) == 1
    run = sg.function(lambda p, *a: imported.function(sg, p, *a[:2], key=a[2]), backend="numpy")
    losses = [
        float(run(imported.parameters, x.numpy(), labels.numpy(), sg.random_key(seed)))
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]
    with pytest.raises(sg.errors.ArgumentError, match="draws random numbers"):
        imported.function(dg, imported.parameters, dg.tensor(x.numpy()), dg.tensor(labels.numpy()))


# what is refused ----------------------------------------------------------------------------------


class Selecting(torch.nn.Module):
    def forward(self, x):
        return torch.nonzero(x > 0).sum()


class Fractions(torch.nn.Module):
    def forward(self, x):
        return torch.special.bessel_y0(x)


class Asking(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Overwriting(torch.nn.Module):
    def forward(self, x):
        return torch.vander(x)


@pytest.mark.parametrize(
    ("module", "error", "said"),
    [
        (Overwriting(), "ForeignProgramError", "gradients cannot be taken"),
        (torch.nn.LSTM(3, 4, proj_size=2), "UnsupportedOpError", "a projection of the state"),
        (Selecting(), "UnsupportedOpError", r"nonzero[\s\S]*torch\.nonzero\(x > 0\)[\s\S]*where"),
        (Fractions(), "UnsupportedOpError", r"special_bessel_y0[\s\S]*bessel_y0\(x\)"),
        (Asking(), "ForeignProgramError", r"torch\.export refuses Asking[\s\S]*x\.sum\(\) > 0"),
    ],
)
def test_what_cannot_be_imported_is_named(module, error, said):
    example = numbers(3, 3) if isinstance(module, torch.nn.LSTM) else numbers(3)
    with pytest.raises(getattr(sg.errors, error), match=said):
        sg.from_torch(module, (example,))


def test_wrong_calls_are_named():
    _, (x,), imported = made("mlp")
    array, given = x.numpy(), imported.parameters
    with pytest.raises(sg.errors.ArgumentError, match=r"not a torch\.nn\.Module"):
        sg.from_torch(lambda x: x, (x,))
    with pytest.raises(sg.errors.ArgumentError, match="dynamic names 'y'"):
        sg.from_torch(MLP(), (x,), dynamic={"y": {0: "batch"}})
    with pytest.raises(sg.errors.ForeignProgramError, match="MLP"):
        sg.from_torch(MLP(), (numbers(2, 3),))
    with pytest.raises(sg.errors.ArgumentError, match="inputs are arranged"):
        imported.function(dg, given, dg.tensor(array), dg.tensor(array))
    with pytest.raises(sg.errors.ShapeError, match=r"the input x has shape \(2, 4\)"):
        imported.function(dg, given, dg.tensor(array[:2]))
    with pytest.raises(sg.errors.ArgumentError, match=r"layers\.0\.weight is missing"):
        imported.function(dg, {"w": given["layers.0.weight"]}, dg.tensor(array))


# the table ----------------------------------------------------------------------------------------


def schema_of(label):
    namespace, name, overload = label.split(".")
    packet = getattr(getattr(torch.ops, namespace), name)
    return getattr(packet, overload)._schema


SCHEMAS = [label for label in TABLE if re.match(r"(aten|prims)\.", label)]


@pytest.mark.parametrize("label", SCHEMAS)
def test_an_entry_names_every_argument_of_the_operators_schema(label):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schema_of(label)
    entry = TABLE[label]
    arguments = {argument.name: argument for argument in schema.arguments}
    assert not arguments.keys() - entry.names(), "arguments that the entry does not name"
    for name, value in entry.fixed.items():
        assert name in arguments
        default = arguments[name].default_value
        assert value == default or name in ("half_to_float",), name


def test_every_core_operator_is_read_or_refused_with_its_reason():
    decomposed = {str(op) for op in torch.export.default_decompositions()}
    core = set()
    for name in dir(torch.ops.aten):
        packet = getattr(torch.ops.aten, name)
        for overload in packet.overloads() if hasattr(packet, "overloads") else ():
            op = getattr(packet, overload)
            if torch.Tag.core in op.tags:
                core.add(str(op))
    assert len(core) > 150
    assert sorted(core - TABLE.keys() - decomposed - REFUSED.keys()) == []
    assert sorted(TABLE.keys() & REFUSED.keys()) == []
    for label, (cause, fix) in REFUSED.items():
        assert schema_of(label)
        assert cause
        assert fix
