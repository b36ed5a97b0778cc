"""Programs with lengths that each run chooses as ONNX models: run at several, and read back."""

import numpy as np
import pytest
from tests.staticgraph.test_dimension import PROGRAMS, B, arrays_of

import staticgraph as sg

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

N, M = sg.dim("n"), sg.dim("m")


def run_by_the_reference(model, arrays):
    feeds = dict(zip([each.name for each in model.graph.input], arrays, strict=True))
    return ReferenceEvaluator(model).run(None, feeds)


def require_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, 2e-4, 1e-5)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "while"])
def test_programs_and_their_gradients_leave_and_come_back(name):
    program, shapes = PROGRAMS[name]
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", shape) for i, shape in enumerate(shapes)]
        y = program(sg, *inputs)
        run = sg.compile([y, *sg.gradients(y, inputs)], inputs, backend="numpy")
    model = sg.to_onnx(run)
    for length in (1, 4):
        arrays = arrays_of(shapes, length)
        require_same(run_by_the_reference(model, arrays), run(*arrays))
    if 2 * B in {n for shape in shapes for n in shape}:
        with pytest.raises(sg.errors.UnsupportedOpError, match="which may not divide it"):
            sg.from_onnx(model)
        return
    back = sg.from_onnx(model)
    again = sg.function(lambda *xs: back.function(sg, back.parameters, *xs), backend="numpy")
    arrays = arrays_of(shapes, 3)
    require_same(again(*arrays), run(*arrays))


FORWARD = {
    "turned": lambda x, y: x[:, ::-1] + x[::-1],
    "parts of ranges": lambda x, y: x[1:, :-1],
    "the last ones": lambda x, y: sg.concat((x[-1], y[0, -1:]), axis=0),
    "axes of length 1": lambda x, y: sg.broadcast_to(x[:, None, :1], (N, 4, M)),
    "repeated": lambda x, y: sg.broadcast_to(sg.sum(x, axis=0, keepdims=True), x.shape),
    "in another order": lambda x, y: sg.permute_dims(
        sg.reshape(x[:, :, None] * y[:, None, :], (N, M, M, 1)), (3, 2, 0, 1)
    ),
    "merged": lambda x, y: sg.reshape(x[:, :, None] * y[:, None, :], (N * M, -1)),
    "merged with more": lambda x, y: sg.reshape(sg.concat((x, y, x), axis=1), (3 * M * N,)),
    "rolled": lambda x, y: sg.roll(x, (1, -1), axis=(0, 1)) + sg.roll(y, 1),
    "ordered": lambda x, y: sg.sort(x, axis=1, descending=True) * sg.argsort(y, axis=0),
    "running": lambda x, y: sg.cumulative_sum(x, axis=0, include_initial=True),
    "stacked": lambda x, y: sg.stack((x, y), axis=1),
    "padded": lambda x, y: sg.pad(x, ((0, 2), (1, 0)), value=3.0),
    "taken": lambda x, y: sg.take(x, sg.argmax(y, axis=1) * 0, axis=1),
    "along an axis": lambda x, y: sg.take_along_axis(x, sg.argsort(y, axis=1), axis=1),
    "counted": lambda x, y: (
        x * sg.arange(N)[:, None] + sg.arange(M, dtype="float32") + sg.full(M, np.inf)
    ),
    "of lengths": lambda x, y: (x * N + x.shape[1] * (N + M) * 0.5) / (N * M),
    "like another": lambda x, y: sg.zeros_like(x) + sg.ones((N, M)),
    "attention": lambda x, y: sg.softmax(x[:, :, None] @ y[:, None, :], axis=-1) @ y[:, :, None],
    "by a branch": lambda x, y: sg.cond(sg.sum(x) > 0, lambda: x * M, lambda: y[:, ::-1]),
    "by a loop": lambda x, y: sg.while_loop(
        lambda s: sg.max(sg.abs(s)) < 50.0, lambda s: s * 2 + sg.sum(y) * 0 + 1, x
    ),
    "by a scan": lambda x, y: sg.scan(
        lambda h, row: (h + row[0], h * sg.mean(row[1])), x[0], (x, y), reverse=True
    )[1],
    "by numbers": lambda x, y: sg.fori_loop(0, 3, lambda i, h: h + x, y),
}


@pytest.mark.parametrize("name", FORWARD)
def test_what_moves_orders_and_loops_leaves(name):
    with sg.Graph():
        inputs = [sg.placeholder(each, (N, M)) for each in "xy"]
        run = sg.compile(FORWARD[name](*inputs), inputs, backend="numpy")
    model = sg.to_onnx(run)
    rng = np.random.default_rng(0)
    for lengths in ((1, 1), (2, 5), (4, 3)):
        arrays = [rng.normal(size=lengths).astype("float32") for _ in range(2)]
        require_same(run_by_the_reference(model, arrays), [run(*arrays)])


def test_lengths_have_their_names():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (N, M))
        graph.outputs = [sg.reshape(sg.concat((x, x), axis=0), (-1,)), sg.sum(x)]
    model = sg.to_onnx(graph)
    named = [
        [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    ]
    assert named == [["n", "m"], ["2*n*m"], []]
    assert sg.from_onnx(model).inputs[0].shape == ("n", "m")


def test_lengths_are_found_of_sums_and_multiples():
    with sg.Graph() as graph:
        x = sg.placeholder("x", (2 * N + 1,))
        graph.outputs = [sg.sum(x) * N]
    (found,) = run_by_the_reference(sg.to_onnx(graph), [np.ones(7, "float32")])
    assert found == 21


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (lambda x: sg.roll(x, 2, axis=1), "roll has no form in ONNX for lengths that each run"),
        (lambda x: sg.eye(M), "created has no form in ONNX for lengths that each run chooses"),
        (lambda x: sg.sum(sg.zeros(sg.dim("beyond"))), r"dim\('beyond'\) is not that of an axis"),
    ],
)
def test_what_has_no_form_for_open_lengths_is_named(program, said):
    with sg.Graph() as graph:
        graph.outputs = [program(sg.placeholder("x", (N, M)))]
    with pytest.raises(sg.errors.BackendError, match=said):
        sg.to_onnx(graph)


def test_an_empty_length_is_one_too():
    with sg.Graph() as graph:
        rows = sg.placeholder("x", (sg.dim("rows_or_none", min=0), 3))
        graph.outputs = [sg.sum(sg.exp(rows), axis=0), sg.reshape(rows, (-1,))]
    model = sg.to_onnx(graph)
    for count in (0, 2):
        total, flat = run_by_the_reference(model, [np.zeros((count, 3), "float32")])
        assert total.tolist() == [count] * 3
        assert flat.shape == (3 * count,)
