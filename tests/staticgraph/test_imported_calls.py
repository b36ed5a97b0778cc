"""How imported programs are called, and for which lengths, whatever library they come from."""

from collections import defaultdict

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

pytestmark = pytest.mark.filterwarnings("ignore")

X = np.arange(6, dtype="float32").reshape(3, 2) + 1


@pytest.fixture
def of_torch():
    """Return what imports a module of a function ``forward(self, ...)``."""
    torch = pytest.importorskip("torch")

    def imported(forward, *args, dynamic=None, **kwargs):
        module = type("Module", (torch.nn.Module,), {"forward": forward})()
        args, kwargs = torch.utils._pytree.tree_map_only(
            np.ndarray, torch.from_numpy, (args, kwargs)
        )
        return sg.from_torch(module, args, kwargs, dynamic=dynamic)

    return imported


@pytest.fixture
def of_jax():
    """Return what imports a function of JAX."""
    pytest.importorskip("jax")
    return sg.from_jax


@pytest.fixture
def of_onnx():
    """Return what imports a model that is written as a text."""
    parser = pytest.importorskip("onnx.parser")

    def imported(text, **how):
        head = '<ir_version: 8, opset_import: ["" : 21]> made '
        return sg.from_onnx(parser.parse_model(head + text), **how)

    return imported


@pytest.fixture
def of_tensorflow():
    """Return what imports a function of TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    return lambda function, *args, **how: sg.from_tensorflow(tf.function(function), *args, **how)


# what belongs to the program ----------------------------------------------------------------------


def chosen(self, x, mask=None, flag=True, n=2, how="sum"):
    x = x * n if flag else -x
    x = x if mask is None else x * mask
    return x.sum(0) if how == "sum" else x


OTHERS = [("mask", X), ("flag", False), ("flag", 1), ("n", 3), ("n", 2.0), ("how", "mean")]


@pytest.mark.parametrize(("name", "value"), OTHERS)
def test_another_value_of_what_is_no_tensor_is_refused(of_torch, name, value):
    given = {"mask": None, "flag": True, "n": 2, "how": "sum"}
    by_name = of_torch(chosen, X, **given)
    in_order = of_torch(chosen, X, *given.values())
    expected = (2 * X).sum(0)
    np.testing.assert_array_equal(by_name.function(dg, {}, X, **given).numpy(), expected)
    np.testing.assert_array_equal(in_order.function(dg, {}, X, *given.values()).numpy(), expected)
    given[name] = value
    said = rf"the argument {name} is [\s\S]*imported with {name}=[\s\S]*pass .* there, or import"
    with pytest.raises(sg.errors.ArgumentError, match=said):
        by_name.function(dg, {}, X, **given)
    with pytest.raises(sg.errors.ArgumentError, match=said):
        in_order.function(dg, {}, X, *given.values())


@pytest.mark.parametrize(("name", "value"), [("flag", False), ("n", 3), ("how", "mean")])
def test_another_value_of_what_tensorflow_traced_is_refused(of_tensorflow, name, value):
    def function(x, y, flag=True, n=2, how="sum"):
        return chosen(None, x, y, flag, n, how) if how != "sum" else x * y * n

    given = {"flag": True, "n": 2, "how": "sum"}
    by_name = of_tensorflow(function, X, X, **given)
    in_order = of_tensorflow(function, X, X, *given.values())
    for imported in (by_name, in_order):
        for found in (
            imported.function(dg, {}, X, X, **given),
            imported.function(dg, {}, X, X, *given.values()),
            imported.function(dg, {}, X, flag=True, y=X),
            imported.function(dg, {}, X, X),  # what is no array may be left out
        ):
            np.testing.assert_array_equal(found.numpy(), 2 * X * X)
        with pytest.raises(sg.errors.ArgumentError, match=f"the argument {name} is"):
            imported.function(dg, {}, X, X, **{**given, name: value})
        with pytest.raises(sg.errors.ArgumentError, match="values were passed: x, flag"):
            imported.function(dg, {}, X, flag=True)
        with pytest.raises(sg.errors.ShapeError, match=r"input y has shape \(\)"):
            imported.function(dg, {}, X, True)


def test_what_jax_has_no_arrays_for_is_refused(of_jax):
    imported = of_jax(lambda x, mask: x if mask is None else x * mask, X, None)
    assert imported.function(dg, {}, X, None).tolist() == X.tolist()
    with pytest.raises(sg.errors.ArgumentError, match="inputs are arranged"):
        imported.function(dg, {}, X, X)
    with pytest.raises(sg.errors.ArgumentError, match="argument 1 is 'sum', which is no array"):
        of_jax(lambda x, how: x, X, "sum")


def test_inputs_of_a_model_that_are_always_the_same_are_none(of_onnx):
    text = "(float[3,2] x, float[2] scale) => (float[3,2] y) { y = Mul(x, scale) }"
    imported = of_onnx(text, constants={"scale": X[0]})
    assert imported.function(dg, {}, X).tolist() == (X * X[0]).tolist()
    for call in (
        lambda: imported.function(dg, {}, X, X[1]),
        lambda: imported.function(dg, {}, X, scale=X[1]),
    ):
        with pytest.raises(sg.errors.ArgumentError, match="the inputs are x"):
            call()


def test_an_example_has_the_shape_that_the_model_declares(of_onnx):
    text = "(float[3,N] x) => (float[3,N] y) { y = Sin(x) }"
    assert of_onnx(text, inputs=[X[:, :1]]).inputs[0].shape == (3, "N")
    for wrong in (X[:2], X[0]):
        with pytest.raises(sg.errors.ArgumentError, match=r"the model takes \(3, N\)"):
            of_onnx(text, inputs=[wrong])


# losses -------------------------------------------------------------------------------------------


def weighed(results, weights):
    """Return a loss of results in a dict."""
    return dg.sum(results["y"] * weights)


def summed(xs, scale):
    """Return a dict, of a tree and an array."""
    return {"y": xs["a"] * scale + xs["b"][0]}


XS, EXPECTED = {"a": X, "b": [X]}, (X * X[0] + X).sum()


@pytest.mark.parametrize("name", ["of_torch", "of_jax", "of_tensorflow"])
def test_a_loss_is_told_from_arguments_in_trees(request, name):
    of = request.getfixturevalue(name)
    function = (lambda self, xs, scale: summed(xs, scale)) if name == "of_torch" else summed
    loss = of(function, XS, X[0]).loss_with(weighed, dg)
    assert loss({}, XS, X[0], dg.tensor(X * 0 + 1)).item() == EXPECTED


@pytest.mark.parametrize("name", ["of_torch", "of_tensorflow"])
def test_a_loss_is_told_from_arguments_by_name_and_from_what_is_no_tensor(request, name):
    of = request.getfixturevalue(name)

    def function(xs, flag, scale):
        return summed(xs, scale) if flag else xs

    function = (lambda self, xs, flag, scale: summed(xs, scale)) if name == "of_torch" else function
    loss = of(function, XS, True, scale=X[0]).loss_with(weighed, dg)
    assert loss({}, XS, True, dg.tensor(X * 0 + 1), scale=X[0]).item() == EXPECTED
    with pytest.raises(sg.errors.ArgumentError, match="argument flag is"):
        loss({}, XS, dg.tensor(X * 0 + 1), scale=X[0])


def test_results_in_a_dict_with_defaults_keep_their_names(of_torch):
    def forward(self, x):
        found = defaultdict(list)
        found["twice"], found["less"] = 2 * x, [x - 1, x - 2]
        return found

    found = of_torch(forward, X).function(dg, {}, X)
    assert found["twice"].tolist() == (2 * X).tolist()
    assert [x.tolist() for x in found["less"]] == [(X - 1).tolist(), (X - 2).tolist()]


# lengths ------------------------------------------------------------------------------------------


LIBRARIES = ["of_torch", "of_jax", "of_onnx", "of_tensorflow"]


@pytest.fixture(params=LIBRARIES)
def opened(request):
    """Return what imports a function of ``x`` with some of its lengths open, and for which."""
    of = request.getfixturevalue(request.param)
    if request.param == "of_onnx":
        text = "(float[3,2] x) => (float[3,2] y) { y = Add(x, x) }"
        return request.param, lambda dynamic: of(text, dynamic=dynamic)
    function = (lambda self, x: x + x) if request.param == "of_torch" else (lambda x: x + x)
    return request.param, lambda dynamic: of(function, X, dynamic=dynamic)


def test_axes_count_from_the_right(opened):
    imported = opened[1]({"x": {-2: "n"}})
    assert imported.inputs[0].shape == ("n", 2)
    run = sg.compile(imported.graph.outputs, backend="numpy")
    assert run(X[:1])[0].tolist() == (X[:1] * 2).tolist()


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({2: "n"}, r"axis 2 of x[\s\S]*it has shape \(3, 2\)"),
        ({-3: "n"}, "axis -3 of x"),
        ({True: "n"}, "axis True of x"),
        ({0: "n", -2: "m"}, r"axis -2 of x twice[\s\S]*called n and m"),
        ({0: "n", 1: "n"}, r"n for axis 1 of x[\s\S]*it is 2 in the example, and 3 elsewhere"),
        ({0: "a b"}, r"the length 'a b'"),
        (["n"], r"\['n'\] for x"),
    ],
)
def test_what_dynamic_says_wrong_is_named(opened, axes, said):
    name, of = opened
    if name == "of_onnx" and axes in ({0: "n", 1: "n"}, {0: "a b"}):
        assert of({"x": axes}).inputs  # a model's names are any text, of any lengths
        return
    with pytest.raises(sg.errors.ArgumentError, match=said):
        of({"x": axes})


@pytest.mark.parametrize("argument", ["flag", "xs"])
@pytest.mark.parametrize("name", ["of_torch", "of_tensorflow"])
def test_dynamic_names_arrays(request, name, argument):
    of = request.getfixturevalue(name)

    def function(xs, flag):
        return xs[0] * 2

    function = (lambda self, xs, flag: xs[0] * 2) if name == "of_torch" else function
    with pytest.raises(sg.errors.ArgumentError, match=f"names '{argument}', which is no"):
        of(function, [X], True, dynamic={argument: {0: "n"}})


def test_a_length_that_tensorflow_traced_is_not_opened():
    tf = pytest.importorskip("tensorflow")
    function = tf.function(lambda x: x * x.shape[0])
    concrete = function.get_concrete_function(tf.TensorSpec([3, 2]))
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [3, 2], name="x")
        tf.identity(x * x.shape[0], name="y")
    for call in (
        lambda: sg.from_tensorflow(concrete, X, dynamic={"x0": {0: "n"}}),
        lambda: sg.from_tensorflow(graph, {"x": X}, fetches=["y"], dynamic={"x": {0: "n"}}),
    ):
        with pytest.raises(sg.errors.ArgumentError, match=r"axis 0 of x0? has length 3"):
            call()
    with pytest.raises(sg.errors.ArgumentError, match="'z' is no placeholder"):
        sg.from_tensorflow(graph, {"x": X}, fetches=["y"], dynamic={"z": {0: "n"}})


def centred(self, x):
    return x - x.mean(0) if x.shape[0] > 1 else x


def alone(self, x):
    return x if x.shape[0] == 1 else x + 1


def of_both(self, x, y):
    return x + (y if y.shape[1] > 1 else 3 * y)


def test_what_a_module_does_for_a_length_of_1_is_not_dropped(of_torch):
    for forward in (centred, alone):
        with pytest.raises(sg.errors.ImportCheckError, match=r"output 0, where n is 1, differs"):
            of_torch(forward, X, dynamic={"x": {0: "n"}})
    with pytest.raises(sg.errors.ImportCheckError, match=r"where m is 1, differs"):
        of_torch(of_both, X[:1], X, dynamic={"y": {0: "n", 1: "m"}, "x": {1: "m"}})
    imported = of_torch(lambda self, x: x - x.mean(0), X, dynamic={"x": {0: "n"}})
    assert "output 0 where n is 1" in {each.what for each in imported.differences}
    assert not imported.notes


def test_random_numbers_are_compared_for_a_length_of_1_too(of_torch):
    torch = pytest.importorskip("torch")

    def forward(self, x):
        return torch.dropout(x, 0.5, True) + torch.rand_like(x)

    imported = of_torch(forward, X, dynamic={"x": {0: "n"}})
    assert "output 0 where n is 1" in {each.what for each in imported.differences}


def test_what_a_module_refuses_for_a_length_of_1_is_noted(of_torch):
    def forward(self, x):
        if x.shape[0] == 1:
            raise ValueError("one is none")
        return x * 2

    imported = of_torch(forward, X, dynamic={"x": {0: "n"}})
    assert imported.notes == ["nothing is compared where n is 1: the source says one is none"]


def test_a_graph_that_cannot_be_declared_for_all_lengths_is_announced(of_torch):
    torch = pytest.importorskip("torch")
    imported = of_torch(lambda self, x: torch.kthvalue(x, 2, 0)[0], X, dynamic={"x": {0: "n"}})
    noted = "every length, and imported.graph cannot be declared for all: aten.kthvalue"
    assert noted in imported.report()
    assert imported.function(dg, {}, X[:2]).tolist() == X[1].tolist()
    with pytest.raises(sg.errors.SideBySideError):
        _ = imported.graph
