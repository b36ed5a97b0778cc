"""Programs as ONNX models: every op, branches and loops, gradients, names, and the way back."""

import numpy as np
import pytest

import staticgraph as sg
from oplibrary.values.tree import flatten

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402
from tests.staticgraph.onnx_samples import HAVE_NO_FORM, sample_calls  # noqa: E402


def reference(model, arrays):
    feeds = dict(zip([each.name for each in model.graph.input], arrays, strict=True))
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, feeds)


def test_the_reference_computes_what_the_kernels_do():
    refused = set()
    for op, operands, attrs in sample_calls():
        with np.errstate(all="ignore"):
            expected = op.kernel(*operands, **attrs)
        if isinstance(expected, tuple) or 0 in expected.shape:
            continue  # what ONNX makes of empty arrays is not said everywhere
        graph = sg.trace(lambda *xs, op=op, attrs=attrs: op(*xs, **attrs), *operands)
        try:
            model = sg.to_onnx(graph)  # which its checker has found sound
        except sg.errors.BackendError:
            refused.add(op.name)
            continue
        if attrs.get("groups", 1) > 1 and any(
            n.op_type == "ConvTranspose" for n in model.graph.node
        ):
            continue  # the reference has no groups there; ONNX Runtime's test has them
        (found,) = reference(model, operands)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), op
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5, err_msg=repr(op))
    assert refused <= HAVE_NO_FORM


def shifted(i, h):
    return h * 0.5 + sg.astype(i, "float32")


FLOWS = {
    "cond": lambda x: sg.cond(sg.sum(x) > 0, lambda: x * 2, lambda: -x),
    "switch": lambda x: sg.switch(
        sg.astype(sg.sum(x) * 0 + 1, "int64"), [lambda: x * 2, lambda: -x, lambda: x + 1]
    ),
    "scan": lambda x: sg.scan(lambda h, row: (sg.tanh(h + row), h * row), sg.zeros((3,)), x),
    "backwards": lambda x: sg.scan(
        lambda h, row: (sg.tanh(h + row), h * row), sg.zeros((3,)), x, reverse=True
    ),
    "while_loop": lambda x: sg.while_loop(lambda h: sg.max(h) > 0.1, lambda h: h * 0.5, x),
    "fori_loop": lambda x: sg.fori_loop(0, 5, shifted, x),
    "loop in a branch": lambda x: sg.cond(
        sg.sum(x) > 0, lambda: sg.fori_loop(0, 3, shifted, x), lambda: x
    ),
    "gradient of a branch": sg.grad(
        lambda x: sg.sum(sg.cond(sg.sum(x) > 0, lambda: x * x, lambda: -x))
    ),
    "gradient of a scan": sg.grad(
        lambda x: sg.sum(sg.scan(lambda h, row: (sg.tanh(h + row), h * row), sg.zeros((3,)), x)[1])
    ),
}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("sign", [1, -1])
def test_branches_loops_and_their_gradients_leave_and_come_back(name, sign):
    x = sign * np.abs(np.random.default_rng(0).normal(size=(4, 3))).astype("float32")
    function = FLOWS[name]
    expected = flatten(sg.function(function, backend="numpy")(x))[0]
    model = sg.to_onnx(sg.trace(function, x))
    for found, each in zip(reference(model, [x]), expected, strict=True):
        np.testing.assert_allclose(found, each, 1e-5, 1e-6)
    back = sg.from_onnx(model, [x])
    again = flatten(sg.function(lambda x: back.function(sg, {}, x), backend="numpy")(x))[0]
    for found, each in zip(again, expected, strict=True):
        np.testing.assert_allclose(found, each, 1e-5, 1e-6)


def halved(x, w):
    return sg.sum(sg.while_loop(lambda h: sg.max(h) > 0.1, lambda h: sg.tanh(h * w), x) ** 2)


def turned(x, w):
    """Give the first carry alone: the second has a gradient from the second step backwards on."""
    start = (x, x * 2, sg.asarray(np.int32(0)))
    ends = sg.astype(sg.sum(x) * 0.5, "int32")
    found = sg.while_loop(
        lambda c: c[2] < ends, lambda c: (c[1] * w, c[0] + sg.sin(c[1]), c[2] + 1), start
    )
    return sg.sum(found[0])


@pytest.mark.parametrize("function", [halved, turned])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_gradients_of_a_loop_leave_whatever_the_number_of_its_steps(function, steps):
    w = np.array([0.5, -0.7, 0.1], "float32")
    x = np.full((2, 3), {0: 0.1, 1: 0.5, 5: 1.7}[steps], "float32")
    graph = sg.trace(sg.value_and_grad(function, argnums=(0, 1)), x, w)
    expected = sg.compile(graph.outputs, graph.inputs, backend="numpy")(x, w)
    for found, each in zip(reference(sg.to_onnx(graph), [x, w]), expected, strict=True):
        assert found.shape == each.shape
        np.testing.assert_allclose(found, each, 1e-5, 1e-6)


def test_a_loop_with_a_largest_number_of_steps_is_refused_by_name():
    def bounded(x):
        return sg.while_loop(lambda h: sg.max(h) > 0.1, lambda h: h * 0.5, x, max_steps=9)

    with pytest.raises(sg.errors.BackendError, match="while_loop with max_steps has no form"):
        sg.to_onnx(sg.trace(bounded, np.ones(3, "float32")))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint64", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_order_is_that_of_the_library_nan_and_equal_elements_included(dtype, descending):
    numbers = [1, np.nan, -np.inf, np.inf, 1, np.nan, 0, np.inf, -0.0, 5]
    x = np.array([numbers, numbers[::-1]])
    if np.dtype(dtype).kind != "f":
        x = np.nan_to_num(x, nan=3, posinf=9, neginf=0)
    x = x.astype(dtype)
    graph = sg.trace(
        lambda x: (sg.sort(x, descending=descending), sg.argsort(x, axis=0), sg.argsort(x)), x
    )
    expected = sg.compile(graph.outputs, backend="numpy")(x)
    for found, each in zip(reference(sg.to_onnx(graph), [x]), expected, strict=True):
        assert found.dtype == each.dtype
        np.testing.assert_array_equal(found, each)


def test_arrays_of_one_number_are_not_stored():
    grad = sg.grad(lambda x: sg.sum(sg.take(x, np.array([0, 2, 2]), axis=0) ** 2))
    x = np.ones((4000, 3), "float32")
    model = sg.to_onnx(sg.trace(grad, x))
    assert model.ByteSize() < 5000
    (found,) = reference(model, [x])
    assert found[:3].tolist() == [[2] * 3, [0] * 3, [4] * 3]


def test_variables_are_arrays_under_their_names(tmp_path):
    with sg.Graph() as graph:
        x = sg.placeholder("x", (2, 3))
        w = sg.variable(np.ones((3, 2), "float32"), name="weights")
        graph.outputs = [sg.relu(x @ w)]
    path = tmp_path / "layer.onnx"
    sg.to_onnx(graph, path)
    back = sg.from_onnx(path)
    assert list(back.parameters) == ["weights"]
    assert [each.name for each in back.inputs] == ["x"]
    run = sg.compile(graph.outputs[0])
    assert sg.to_onnx(run) == sg.to_onnx(graph) == sg.to_onnx(graph.outputs)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (lambda x: sg.linalg.svdvals(x), "svd"),
        (lambda x: sg.assert_(x > 0, "all are"), "assert_ has no form"),
    ],
)
def test_what_onnx_cannot_say_is_named(program, said):
    graph = sg.trace(program, np.ones((2, 2), "float32"))
    with pytest.raises(sg.errors.BackendError, match=said):
        sg.to_onnx(graph)


@pytest.mark.parametrize("bounds", [(-300, 300), (-(2**70), 99), (None, 2**70)])
def test_bounds_beyond_the_dtype_bound_nothing(bounds):
    x = np.array([100, 1, 127], "int8")
    back = sg.from_onnx(sg.to_onnx(sg.trace(lambda x: sg.clip(x, *bounds), x)))
    run = sg.compile(back.graph.outputs[0])
    np.testing.assert_array_equal(run(x), np.minimum(x, min(bounds[1], 127)).astype("int8"))


def test_what_is_too_large_for_a_file_is_named(monkeypatch):
    monkeypatch.setattr(sg.exporting, "_MOST_BYTES", 100)
    graph = sg.trace(lambda x: x + np.ones(50, "float32"), np.ones(50, "float32"))
    with pytest.raises(sg.errors.BackendError, match="arrays of the program have 200 bytes"):
        sg.to_onnx(graph)


def test_wrong_calls_are_named(tmp_path):
    with pytest.raises(sg.errors.ArgumentError, match="a function was passed"):
        sg.to_onnx(lambda x: x)
    plain = sg.trace(lambda x: x * 2, np.ones(2, "float32"))
    with pytest.raises(sg.errors.OutputError, match="to_onnx: cannot write"):
        sg.to_onnx(plain, tmp_path / "no" / "model.onnx")
    with pytest.raises(sg.errors.ArgumentError, match="the path is a int"):
        sg.to_onnx(plain, 3)
    with pytest.raises(sg.errors.ArgumentError, match="beside a program"):
        sg.to_onnx(sg.compile(plain.outputs), inputs=plain.inputs)
