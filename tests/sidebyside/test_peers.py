"""The other libraries run the builtin programs and give the same results; skipped where absent.

They raise warnings of their own, about each other's versions among others, which are no concern of
ours.
"""

import numpy as np
import pytest
from tests.staticgraph.onnx_samples import HAVE_NO_FORM, sample_calls

import dyngraph
import sidebyside as sbs
import staticgraph as sg
from oplibrary.messages.errors import BackendError, SymbolicBoolError
from sidebyside.measuring.agreement import check_agreement
from sidebyside.modes import find_mode, is_installed, registry
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load
from sidebyside.workloads.workload import Workload
from staticgraph.declare.lower import lower

pytestmark = pytest.mark.filterwarnings("ignore")

QUICK_TO_BUILD = (
    "torch",
    "jax",
    "jax.jit",
    "tensorflow",
    "tf.function",
    "autograd",
    "onnxruntime",
    "openvino",
)
SLOW_TO_BUILD = ("torch.compile", "tf.function:xla", "pytensor", "iree")
PEERS = (*QUICK_TO_BUILD, *SLOW_TO_BUILD)
TAKE_LONG = {
    ("jax", "cnn_digits"),
    ("jax", "lstm_text"),
    ("jax", "attention"),
    ("jax.jit", "lstm_text"),
    ("tf.function", "lstm_text"),
    ("openvino", "lstm_text"),
}


def peer(name):
    """Return the mode of a peer, or skip where it is not installed."""
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    return find_mode(name)


def results(mode, workload, inputs):
    prepared = mode.prepare(workload, inputs)
    prepared.run()
    return prepared.arrays(prepared.run())  # a second call gives the same


def check(mode, workload, size=None):
    inputs = workload.make_inputs(workload.sizes[0] if size is None else size)
    found, expected = (results(each, workload, inputs) for each in (mode, find_mode("dynamic")))
    check_agreement(found, expected, pair=f"{mode.name} and dynamic", tolerance=workload.tolerance)


def program(function, *inputs, **options):
    return Workload(function, lambda rng, size: inputs, name="program", **options)


def ramp(*shape, dtype="float32"):
    return np.linspace(-1, 1.3, int(np.prod(shape)), dtype=dtype).reshape(shape)


@pytest.mark.parametrize("name", BUILTIN)
@pytest.mark.parametrize("mode", QUICK_TO_BUILD)
def test_peers_give_the_results_of_the_builtin_programs(mode, name):
    if name == "control_flow" and mode in ("jax.jit", "onnxruntime", "openvino"):
        pytest.skip("refused, see below")
    if (mode, name) in TAKE_LONG:
        pytest.skip("takes a quarter of a minute and shows nothing that the others do not")
    check(peer(mode), load(name))


@pytest.mark.parametrize("name", ["seed", "chain"])
@pytest.mark.parametrize("mode", SLOW_TO_BUILD)
def test_peers_that_build_slowly_give_the_results_of_small_programs(mode, name):
    check(peer(mode), load(name))


@pytest.mark.parametrize("mode", [mode for mode in PEERS if mode not in ("torch.compile", "iree")])
def test_peers_have_convolutions_and_pooling(mode):
    def network(xp, w, x):
        hidden = xp.relu(xp.conv2d(x, w, stride=2, padding=1))
        return xp.sum(xp.tanh(xp.max_pool2d(hidden, 2)))

    images, weights = ramp(2, 2, 8, 6), ramp(3, 2, 3, 3)[:, ::-1].copy()
    check(peer(mode), program(network, weights, images, wrt=(0, 1)))


@pytest.mark.parametrize(
    "mode", [*(mode for mode in PEERS if mode not in ("openvino", "iree")), "casadi"]
)
def test_peers_keep_doubles_and_give_zeros_for_what_is_not_used(mode):
    def half(xp, x, w):
        return xp.sum(xp.tanh(x * 0.1)) * 0.5, x + 1

    x, w = ramp(3, 4, dtype="float64"), ramp(2, dtype="float64")
    found = results(peer(mode), program(half, x, w, wrt=(0, 1)), (x, w))
    assert [each.dtype for each in found] == [np.float64] * 4
    np.testing.assert_allclose(found[0], np.tanh(x * 0.1).sum() * 0.5, rtol=1e-12)
    np.testing.assert_array_equal(found[1], x + 1)
    np.testing.assert_allclose(found[2], 0.05 / np.cosh(x * 0.1) ** 2, rtol=1e-12)
    np.testing.assert_array_equal(found[3], np.zeros(2))


def test_openvino_refuses_doubles_which_it_would_round():
    with pytest.raises(BackendError, match="OpenVINO has no float64"):
        doubles = (ramp(3, dtype="float64"),)
        peer("openvino").prepare(program(lambda xp, x: x * 2, *doubles), doubles)


@pytest.mark.parametrize("mode", [mode for mode in PEERS if mode != "iree"])
def test_peers_learn_and_take_rows(mode):
    def loss(xp, p, rows):
        chosen = p["table"][rows]
        return xp.mean(chosen * chosen * p["scale"])

    parameters = {"table": ramp(4, 3), "scale": np.float32([2.0, 1.0, 0.5])}
    rows = np.array([3, 0, 3])
    check(peer(mode), program(loss, parameters, rows, wrt=(0,), learning_rate=0.1))


@pytest.mark.parametrize(
    ("mode", "error", "text"),
    [
        ("jax.jit", TypeError, "Attempted boolean conversion of traced array"),
        ("pytensor", TypeError, "has no truth value while the program is declared"),
        ("onnxruntime", SymbolicBoolError, "was asked by `while`"),
        ("openvino", SymbolicBoolError, "was asked by `while`"),
        ("iree", SymbolicBoolError, "was asked by `while`"),
        ("casadi", SymbolicBoolError, "was asked by `while`"),
        ("tf.function:xla", Exception, "XLA compilation requires a fixed tensor list size"),
    ],
)
def test_what_a_peer_cannot_run_is_refused_in_its_own_words(mode, error, text):
    adapter, workload = peer(mode), load("control_flow")
    with pytest.raises(error, match=text):
        adapter.prepare(workload, workload.make_inputs(1000)).run()


@pytest.mark.parametrize("name", ["seed", "chain", "layernorm_softmax", "mlp_digits", "attention"])
@pytest.mark.parametrize("mode", ["casadi", "casadi:buffer"])
def test_casadi_gives_the_results_of_what_it_can_express(mode, name):
    check(peer(mode), load(name), {"layernorm_softmax": (8, 9), "attention": (6, 16)}.get(name))


MATRIX, BATCH = ramp(3, 4), ramp(2, 3, 4)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda xp, x: xp.max(x, axis=0) - xp.min(x, axis=1, keepdims=True), (BATCH,)),
        (lambda xp, x, y: xp.matmul(x, y), (BATCH, ramp(4, 5))),
        (lambda xp, x, y: xp.einsum("bij,bkj->kbi", x, y), (BATCH, ramp(2, 5, 4))),
        (lambda xp, x: xp.concat((x[::-1, 1:], x[:, :3] * 2), axis=0), (MATRIX,)),
        (lambda xp, x: xp.where((x > 0) & (x < 1), xp.floor(x * 3), xp.log1p(x * x)), (MATRIX,)),
        (lambda xp, x: xp.sum(xp.astype(x > 0, "float32"), axis=(0, 2)), (BATCH,)),
        (lambda xp, x: xp.astype(x * 4, "int32") + 1, (MATRIX,)),
        (lambda xp, x: xp.any(x > 1, axis=1), (MATRIX,)),
    ],
)
def test_operations_in_casadi(function, inputs):
    check(peer("casadi"), program(function, *inputs))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.take(x, xp.astype(xp.sum(x) * 0, "int64"), axis=0), "take"),
        (lambda xp, x: xp.fori_loop(0, 3, lambda i, v: v * 2, x), "while_loop|scan|fori"),
        (lambda xp, x: xp.linalg.inv(x[:3, :3]), "inv"),
        (lambda xp, x: xp.abs(xp.astype(x, "complex64")), "complex|cast|abs"),
    ],
)
def test_what_casadi_cannot_express_is_refused_by_name(function, what):
    with pytest.raises(BackendError, match=f"({what}).* has no form in CasADi"):
        peer("casadi").prepare(program(function, MATRIX), (MATRIX,))


def test_bound_modes_give_the_same_and_take_other_inputs():
    workload = load("mlp")
    inputs = workload.make_inputs(8)
    mode = find_mode("static:native:bound")
    check(mode, workload, 8)
    prepared = mode.prepare(workload, inputs)
    first = [x.copy() for x in prepared.arrays(prepared.run())]
    others = prepared.with_inputs(workload.make_inputs(8, 1))
    assert any((a != b).any() for a, b in zip(first, others.arrays(others.run()), strict=True))


def test_a_part_of_a_library_that_is_not_there_is_not_installed():
    assert not is_installed("iree") or peer("iree")
    assert registry._is_there("numpy.linalg")
    assert not registry._is_there("no_such_library.compiler")


def test_whatever_has_gradients_trains():
    peer("jax.jit")
    trained = sbs.compare_training(load("mlp_digits"), ("dynamic", "jax.jit"))
    assert trained.reached
    assert trained.differences[1].relative < 1e-2
    assert trained.records[1].losses[0] > 2 > 0.5 > trained.records[1].losses[-1]


def test_a_comparison_reports_what_a_peer_refuses():
    peer("autograd")
    workload = program(lambda xp, x: xp.sum(xp.logaddexp2(x, x)), ramp(3), wrt=(0,))
    with pytest.raises(AttributeError):
        sbs.compare([workload], ("dynamic",), budget=0.02)
    only = program(lambda xp, x: xp.sum(xp.gelu(x)), ramp(3), wrt=(0,))
    row = sbs.compare([only], ("dynamic", "autograd"), budget=0.02).rows[0]
    assert row.cell("autograd").failure.kind == "AttributeError"
    assert "gelu" in row.cell("autograd").failure.text
    assert row.cell("dynamic").steady is not None


# ONNX ---------------------------------------------------------------------------------------------


def onnx_results(graph, arrays):
    onnxruntime = pytest.importorskip("onnxruntime")
    from staticgraph.exporting.model import onnx_model

    model = onnx_model(lower(graph, graph.outputs, graph.inputs))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    wanted = {each.name for each in session.get_inputs()}
    feeds = {
        each.name: array
        for each, array in zip(model.graph.input, arrays, strict=True)
        if each.name in wanted
    }
    return session.run(None, feeds)


def test_onnx_runtime_computes_what_the_kernels_do():
    refused = set()
    for op, operands, attrs in sample_calls():
        with np.errstate(all="ignore"):
            expected = op.kernel(*operands, **attrs)
        if isinstance(expected, tuple) or 0 in expected.shape:
            continue  # ONNX Runtime reshapes empty arrays in its own way
        try:
            graph = sg.trace(lambda *xs, op=op, attrs=attrs: op(*xs, **attrs), *operands)
            (found,) = onnx_results(graph, operands)
        except BackendError:
            refused.add(op.name)
            continue
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), op
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5, err_msg=repr(op))
    assert refused <= HAVE_NO_FORM


def test_programs_with_state_have_no_form_in_onnx():
    pytest.importorskip("onnx")
    from staticgraph.exporting.model import onnx_model

    graph = sg.Graph()
    with graph:
        held = sg.variable(np.ones(2, "float32"))
        result = sg.assign(held, held * 2)
    with pytest.raises(BackendError, match="assigns to variables has no form"):
        onnx_model(lower(graph, [result], []))


def test_the_numbers_of_an_onnx_model_are_those_of_the_library():
    pytest.importorskip("onnx")

    x = ramp(3, 4)
    graph = sg.trace(lambda x: (sg.softmax(x), sg.clip(x, -0.5, 0.5), x), x)
    found = onnx_results(graph, [x])
    expected = [dyngraph.softmax(dyngraph.tensor(x)).numpy(), np.clip(x, -0.5, 0.5), x]
    for each, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, other, rtol=1e-6)
