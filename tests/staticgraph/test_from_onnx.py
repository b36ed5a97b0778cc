"""Models in the ONNX format as programs here: the table, ONNX's own cases, flow, and refusals."""

import warnings
from functools import cache

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.values.tree import flatten

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.staticgraph import onnx_cases  # noqa: E402

from staticgraph.importing.onnx_models.graphs import TABLE  # noqa: E402

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, arrays=(), opset=21, functions=(), domains=()):
    stored = [numpy_helper.from_array(np.asarray(x), name) for name, x in dict(arrays).items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, stored)
    imports = [helper.make_opsetid("", opset), *[helper.make_opsetid(d, 1) for d in domains]]
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    made.ir_version = 10
    return made


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs, outputs, name=f"the {kind}", **attributes)


def both_modes(imported, *inputs):
    """Return the results, which both modes give to the last bit."""
    run = sg.function(lambda p, *xs: imported.function(sg, p, *xs), backend="numpy")
    static = flatten(run(imported.parameters, *inputs))[0]
    tensors = {name: dg.tensor(x) for name, x in imported.parameters.items()}
    dynamic = flatten(imported.function(dg, tensors, *[dg.tensor(x) for x in inputs]))[0]
    for ours, theirs in zip(static, dynamic, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())
        assert ours.dtype == theirs.dtype
    return static


# the table ----------------------------------------------------------------------------------------


@cache
def schemas():
    found = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        name = f"{schema.domain}.{schema.name}" if schema.domain else schema.name
        found.setdefault(name, []).append(schema)
    return found


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_names_every_argument_of_every_version_it_accepts(name):
    entry = TABLE[name]
    versions = [
        each
        for each in schemas()[name]
        if each.since_version >= entry.since and not each.deprecated
    ]
    assert versions
    for schema in versions:
        arguments = {each.name for each in schema.inputs} | set(schema.attributes)
        assert arguments <= entry.names(), f"version {schema.since_version}"


# ONNX's own cases ---------------------------------------------------------------------------------

SAMPLE = """batch_normalization bitwiseand castlike clip compress concat conv cumsum dft einsum
expand gathernd gemm gru if_ loop lstm maxunpool mean nonzero onehot pad quantizelinear
rotaryembedding scan scatternd sequenceinsert slice string_concat topk where""".split()
"""The families that are tried with every change; `bench/onnx_cases.py` tries all."""


@pytest.mark.parametrize("family", SAMPLE)
def test_a_case_of_onnx_is_right_or_refused(family):
    found = [onnx_cases.outcome(case, modes=True) for case in onnx_cases.cases_of(family)]
    assert found
    assert not [each for each in found if each.what == onnx_cases.WRONG]
    refused = {"nonzero", "quantizelinear", "sequenceinsert", "string_concat"}
    right = [each for each in found if each.what != onnx_cases.REFUSED]
    assert bool(right) == (family not in refused)


# where the reference of onnx is not what ONNX says ------------------------------------------------


@pytest.mark.parametrize("opset", [9, 11])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_of_old_versions_is_of_all_axes_from_one_on(kind, axis, opset):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    how = {} if axis is None else {"axis": axis}
    shape = value("x", [3, 4, 5]), value("y", [3, 4, 5])
    (found,) = both_modes(
        sg.from_onnx(model([node(kind, ["x"], ["y"], **how)], shape[:1], shape[1:], opset=opset)), x
    )
    rows = x.reshape(int(np.prod(x.shape[: 1 if axis is None else axis])), -1).astype("float64")
    expected = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    if kind != "Softmax":
        largest = np.arange(rows.shape[1]) == rows.argmax(1)[:, None]
        expected = np.log(expected) if kind == "LogSoftmax" else largest
    np.testing.assert_allclose(found, expected.reshape(x.shape), 1e-5, 1e-6)


@pytest.mark.parametrize("opset", [7, 9, 13])
def test_a_batch_norm_of_old_versions_is_by_the_statistics_that_are_passed(opset):
    x = np.random.default_rng(0).normal(size=(3, 2, 5)).astype("float32")
    numbers = {"s": [1.0, 2], "b": [0.5, 0], "m": [1.0, -1], "v": [4.0, 9]}
    arrays = {name: np.float32(each) for name, each in numbers.items()}
    normal = node("BatchNormalization", ["x", *"sbmv"], ["y"], epsilon=0.25, momentum=0.5)
    shape = [value("x", [3, 2, 5])], [value("y", [3, 2, 5])]
    (found,) = both_modes(sg.from_onnx(model([normal], *shape, arrays, opset)), x)
    s, b, m, v = (each[:, None] for each in arrays.values())
    np.testing.assert_allclose(found, s * (x - m) / np.sqrt(v + 0.25) + b, 1e-5, 1e-6)


@pytest.mark.parametrize("nested", [False, True])
def test_a_loop_without_a_condition_runs_as_often_as_it_says(nested):
    inner = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Add", ["a", "a"], ["e"])],
        "body",
        [value("i", [], INT64), value("c", [], BOOL), value("a", [2])],
        [value("d", [], BOOL), value("e", [2])],
    )
    loop = node("Loop", ["count", "", "x"], ["y"], body=inner)
    if nested:
        loop.output[0] = "p"
        taken = helper.make_graph([loop], "taken", [], [value("p", [2])])
        other = helper.make_graph([node("Neg", ["x"], ["q"])], "other", [], [value("q", [2])])
        loop = node("If", ["yes"], ["y"], then_branch=taken, else_branch=other)
    arrays = {"count": np.array(3), "yes": np.array(True)}
    arrays = arrays if nested else {"count": arrays["count"]}
    x = np.float32([1, 2])
    imported = sg.from_onnx(model([loop], [value("x", [2])], [value("y", [2])], arrays))
    assert both_modes(imported, x)[0].tolist() == [8, 16]


# flow ---------------------------------------------------------------------------------------------

W = np.random.default_rng(0).normal(0, 0.5, (3, 3)).astype("float32")
X = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")


def branches():
    then = helper.make_graph([node("MatMul", ["x", "w"], ["a"])], "then", [], [value("a", None)])
    other = helper.make_graph([node("Neg", ["x"], ["b"])], "other", [], [value("b", None)])
    nodes = [
        node("ReduceSum", ["x"], ["total"], keepdims=0),
        node("Greater", ["total", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], then_branch=then, else_branch=other),
    ]
    arrays = {"w": W, "zero": np.float32(0)}
    return model(nodes, [value("x", (4, 3))], [value("y", (4, 3))], arrays)


def counted_loop():
    pytest.importorskip(
        "onnxruntime"
    )  # the reference joins what each step gives, and stacks nothing
    body = helper.make_graph(
        [
            node("MatMul", ["h", "w"], ["hw"]),
            node("Tanh", ["hw"], ["next"]),
            node("Cast", ["i"], ["step"], to=FLOAT),
            node("Add", ["next", "step"], ["seen"]),
            node("Identity", ["go"], ["again"]),
        ],
        "body",
        [value("i", (), INT64), value("go", (), BOOL), value("h", (4, 3))],
        [value("again", (), BOOL), value("next", (4, 3)), value("seen", (4, 3))],
    )
    nodes = [node("Loop", ["count", "always", "x"], ["last", "all"], body=body)]
    arrays = {"w": W, "count": np.int64(5), "always": np.array(True)}
    outputs = [value("last", (4, 3)), value("all", (5, 4, 3))]
    return model(nodes, [value("x", (4, 3))], outputs, arrays)


def searching_loop():
    body = helper.make_graph(
        [
            node("Mul", ["h", "half"], ["next"]),
            node("ReduceMax", ["next"], ["largest"], keepdims=0),
            node("Greater", ["largest", "bound"], ["again"]),
        ],
        "body",
        [value("i", (), INT64), value("go", (), BOOL), value("h", (4, 3))],
        [value("again", (), BOOL), value("next", (4, 3))],
    )
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Greater", ["most", "bound"], ["start"]),
        node("Loop", ["", "start", "x"], ["y"], body=body),
    ]
    arrays = {"half": np.float32(0.5), "bound": np.float32(0.1)}
    return model(nodes, [value("x", (4, 3))], [value("y", (4, 3))], arrays)


def scanned(shape=(4, 3), **attributes):
    body = helper.make_graph(
        [
            node("MatMul", ["row", "w"], ["rw"]),
            node("Add", ["h", "rw"], ["sum"]),
            node("Tanh", ["sum"], ["next"]),
            node("Identity", ["next"], ["seen"]),
        ],
        "body",
        [value("h", (3,)), value("row", (3,))],
        [value("next", (3,)), value("seen", (3,))],
    )
    nodes = [
        node(
            "Scan",
            ["start", "x"],
            ["last", "all"],
            body=body,
            num_scan_inputs=1,
            **attributes,
        )
    ]
    arrays = {"w": W, "start": np.zeros(3, "float32")}
    return model(nodes, [value("x", (4, 3))], [value("last", (3,)), value("all", shape)], arrays)


def scanned_backwards():
    pytest.importorskip("onnxruntime")  # the reference goes forward only
    return scanned((3, 4), scan_input_directions=[1], scan_output_axes=[1])


def with_function():
    inner = helper.make_function(
        "own",
        "twice",
        ["a"],
        ["b"],
        [node("Add", ["a", "a"], ["s"]), node("LeakyRelu", ["s"], ["b"])],
        [helper.make_opsetid("", 21)],
    )
    call = helper.make_node("twice", ["x"], ["y"], domain="own", name="call")
    return model(
        [call], [value("x", (4, 3))], [value("y", (4, 3))], functions=[inner], domains=["own"]
    )


MODELS = [branches, counted_loop, searching_loop, scanned, scanned_backwards, with_function]


@pytest.mark.parametrize("made", MODELS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("sign", [1, -1])
def test_branches_loops_and_functions_are_what_they_were(made, sign):
    x = sign * np.abs(X)
    imported = sg.from_onnx(made(), [x])  # which compares them
    both_modes(imported, x)
    if made is searching_loop:
        return  # how often it goes round has no gradient that steps could show
    loss = imported.loss_with(lambda y: sum(sg.sum(each * each) for each in flatten(y)[0]))
    slope = sg.function(sg.grad(lambda x: loss(imported.parameters, x)), backend="numpy")(x)
    run = sg.function(lambda x: loss(imported.parameters, x), backend="numpy")
    direction = np.random.default_rng(2).normal(size=x.shape).astype("float32")
    h = np.float32(1e-2)
    ahead, behind = float(run(x + h * direction)), float(run(x - h * direction))
    np.testing.assert_allclose(np.sum(slope * direction), (ahead - behind) / (2 * h), 2e-2, 1e-2)


# lengths, names, parameters -----------------------------------------------------------------------


def flattening():
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["n"]),
        node("Concat", ["n", "rest"], ["wanted"], axis=0),
        node("Reshape", ["x", "wanted"], ["flat"]),
        node("MatMul", ["flat", "w"], ["y"]),
    ]
    arrays = {
        "w": np.ones((6, 2), "float32"),
        "first": np.array([0]),
        "rest": np.array([-1]),
    }
    return model(nodes, [value("x", ("batch size", 2, 3))], [value("y", (None, 2))], arrays)


def test_lengths_stay_open_and_arrays_keep_their_names():
    imported = sg.from_onnx(flattening())
    assert [(each.name, each.shape) for each in imported.inputs] == [("x", ("batch_size", 2, 3))]
    assert list(imported.parameters) == ["w"]  # and none that a shape depends on
    run = sg.compile(imported.graph.outputs[0], backend="numpy")
    for n in (1, 4):
        assert run(np.ones((n, 2, 3), "float32")).tolist() == [[6, 6]] * n
    fixed = sg.from_onnx(flattening(), [np.ones((4, 2, 3), "float32")], dynamic={})
    assert fixed.inputs[0].shape == (4, 2, 3)
    named = sg.from_onnx(flattening(), dynamic={"x": {0: "rows"}})
    assert named.inputs[0].shape == ("rows", 2, 3)


def test_a_length_is_a_value_too():
    nodes = [
        node("Shape", ["x"], ["shape"], end=1),
        node("Cast", ["shape"], ["n"], to=FLOAT),
        node("ReduceSum", ["x"], ["total"], keepdims=0),
        node("Div", ["total", "n"], ["y"]),
    ]
    made = model(nodes, [value("x", ("n",))], [value("y", (1,))])
    imported = sg.from_onnx(made)
    run = sg.compile(imported.graph.outputs[0], backend="numpy")
    assert [run(np.arange(n, dtype="float32")).tolist() for n in (2, 5)] == [[0.5], [2.0]]


def test_an_input_that_decides_shapes_is_asked_for():
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    made = model(nodes, [value("x", (6,)), value("shape", (2,), INT64)], [value("y", [None, None])])
    with pytest.raises(sg.errors.UnsupportedOpError, match='constants={"shape": array}'):
        sg.from_onnx(made)
    imported = sg.from_onnx(made, constants={"shape": [2, 3]})
    assert both_modes(imported, np.zeros(6, "float32"))[0].shape == (2, 3)


def test_a_model_is_called_in_order_or_by_names():
    made = model(
        [node("Sub", ["a", "b"], ["y"])], [value("a", (2,)), value("b", (2,))], [value("y", (2,))]
    )
    imported = sg.from_onnx(made)
    a, b = np.float32([3, 4]), np.float32([1, 2])
    assert imported.function(dg, {}, dg.tensor(a), b=dg.tensor(b)).tolist() == [2, 2]
    with pytest.raises(sg.errors.ArgumentError, match="the inputs are a, b"):
        imported.function(dg, {}, dg.tensor(a))


# refusals -----------------------------------------------------------------------------------------


def one_node(kind, inputs=("x",), **attributes):
    made = node(kind, list(inputs), ["y"], **attributes)
    return model([made], [value(name, (4,)) for name in inputs], [value("y", [None])])


def with_domain():
    made = helper.make_node("Special", ["x"], ["y"], domain="com.example", name="mine")
    return model([made], [value("x", (2,))], [value("y", (2,))], domains=["com.example"])


def texts():
    made = helper.make_node("Identity", ["x"], ["y"])
    return model(
        [made], [value("x", (2,), TensorProto.STRING)], [value("y", (2,), TensorProto.STRING)]
    )


def newest():
    made = one_node("Relu")
    made.opset_import[0].version = 10_000
    return made


def other_format():
    made = one_node("Relu")
    made.ir_version = 10_000
    return made


def reading_nothing():
    return model([node("Relu", ["z"], ["y"])], [value("x", (2,))], [value("y", (2,))])


@pytest.mark.parametrize(
    ("made", "error", "said"),
    [
        (lambda: one_node("NonZero"), "UnsupportedOpError", r"NonZero \(node the NonZero\)"),
        (lambda: one_node("QuantizeLinear", ("x", "s")), "UnsupportedOpError", "quantised"),
        (lambda: one_node("SequenceConstruct"), "UnsupportedOpError", "SequenceConstruct"),
        (lambda: one_node("RandomNormalLike"), "UnsupportedOpError", "which numbers it draws"),
        (with_domain, "UnsupportedOpError", r"com\.example\.Special \(node mine\)"),
        (texts, "UnsupportedOpError", "string"),
        (newest, "ForeignProgramError", "version 10000 of the operators"),
        (other_format, "ForeignProgramError", "onnx refuses made"),
        (reading_nothing, "ForeignProgramError", "onnx refuses made"),
        (lambda: one_node("Relu").SerializeToString()[:-9], "ForeignProgramError", "the bytes"),
        (lambda: b"not a model", "ForeignProgramError", "onnx refuses"),
        (lambda: b"", "ForeignProgramError", "no graph"),
        (lambda: 3, "ArgumentError", "a int is no model"),
    ],
)
def test_what_cannot_be_imported_is_named(made, error, said):
    with pytest.raises(getattr(sg.errors, error), match=said):
        sg.from_onnx(made())


def test_every_damaged_byte_is_noticed_or_harmless():
    text = flattening().SerializeToString()
    rng = np.random.default_rng(0)
    for _ in range(60):
        place, bits = int(rng.integers(len(text))), int(rng.integers(1, 256))
        damaged = bytearray(text)
        damaged[place] ^= bits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                imported = sg.from_onnx(bytes(damaged))
            except sg.errors.SideBySideError:
                continue
        assert imported.differences  # it was compared with its source


def test_data_beside_the_file_are_read_and_missed(tmp_path):
    path = tmp_path / "model.onnx"
    made = model(
        [node("Add", ["x", "w"], ["y"])],
        [value("x", (2000,))],
        [value("y", (2000,))],
        {"w": np.ones(2000, "float32")},
    )
    onnx.save(made, path, save_as_external_data=True, location="weights")
    imported = sg.from_onnx(path)
    assert imported.source == "ONNX: model.onnx"
    assert imported.parameters["w"].sum() == 2000
    (tmp_path / "weights").unlink()
    with pytest.raises(sg.errors.ForeignProgramError, match=r"onnx refuses model\.onnx"):
        sg.from_onnx(path)
    with pytest.raises(sg.errors.ArgumentError, match="there is no file"):
        sg.from_onnx(tmp_path / "none.onnx")


def test_wrong_names_and_examples_are_named():
    for given in ({"dynamic": {"z": {0: "n"}}}, {"constants": {"z": 1}}, {"parameters": ["z"]}):
        with pytest.raises(sg.errors.ArgumentError, match="names 'z'"):
            sg.from_onnx(flattening(), **given)
    with pytest.raises(sg.errors.ArgumentError, match="is float64, and the model takes float32"):
        sg.from_onnx(flattening(), [np.ones((1, 2, 3))])
    with pytest.raises(sg.errors.ArgumentError, match="2 example inputs"):
        sg.from_onnx(flattening(), [1, 2])
    with pytest.raises(
        sg.errors.ArgumentError, match=r"has shape \(1, 2, 4\), and the model takes"
    ):
        sg.from_onnx(flattening(), [np.ones((1, 2, 4), "float32")], dynamic={})
