"""TensorFlow's functions, models and graphs as programs here: outputs and gradients, both modes."""

from functools import cache

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.values.tree import flatten

tf = pytest.importorskip("tensorflow")

from tests.staticgraph.tensorflow_graphs import GRAPHS, first_version  # noqa: E402
from tests.staticgraph.tensorflow_programs import PROGRAMS, numbers  # noqa: E402

import staticgraph.importing.graphdefs.building  # noqa: E402  it fills the table
from staticgraph.importing.graphdefs.ops.table import OWN, TABLE, WRITES  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

WITHOUT_GRADIENTS = {
    "gradients of everything",
    "image sizes",
    "image colours",
}
"""Programs with an op for which TensorFlow has no gradient, which the report says."""


@cache
def made(name):
    """Return a function's inputs, and the function imported."""
    function, inputs = PROGRAMS[name]()
    return inputs, sg.from_tensorflow(function, *inputs)


@cache
def of_graph(name, definition):
    """Return the inputs of a graph, and it or its definition imported."""
    graph, inputs, fetches = GRAPHS[name]()
    program = graph.as_graph_def() if definition else graph
    return inputs, sg.from_tensorflow(program, inputs, fetches=fetches)


@pytest.mark.parametrize("name", PROGRAMS)
def test_outputs_and_gradients_are_the_functions(name):
    _, imported = made(name)  # which compares them, and would refuse
    compared = {each.what for each in imported.differences}
    assert "output 0" in compared
    assert {f"next {each}" for each in imported.signature.updated} <= compared
    assert all(each.error < 1e-5 for each in imported.differences)
    if name in WITHOUT_GRADIENTS:
        assert any("gradients are not compared" in note for note in imported.notes)
    else:
        assert {f"gradient by {each}" for each in imported.parameters} <= compared
        assert not imported.notes


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_modes_give_the_same_bits(name):
    inputs, imported = made(name)
    key = sg.random_key(0) if imported.keys else None
    leaves = [x for x in flatten(inputs)[0] if isinstance(x, (np.ndarray, np.generic))]

    def of(xp):
        def run(parameters, *inputs):
            return imported.function(xp, parameters, *inputs, key=key, buffers=imported.buffers)

        return run

    static = flatten(sg.function(of(sg), backend="numpy")(imported.parameters, *inputs))[0]
    assert len(leaves) == len(imported.inputs)
    tensors = {each: dg.tensor(x) for each, x in imported.parameters.items()}
    dynamic = flatten(of(dg)(tensors, *_tensors(inputs)))[0]
    for ours, theirs in zip(static, dynamic, strict=True):
        theirs = theirs.numpy() if hasattr(theirs, "numpy") else theirs
        np.testing.assert_array_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype


def _tensors(tree):
    if isinstance(tree, dict):
        return {key: _tensors(each) for key, each in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)([_tensors(each) for each in tree])
    return dg.tensor(np.asarray(tree))


@pytest.mark.parametrize("definition", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_of_the_first_version_are_read(name, definition):
    inputs, imported = of_graph(name, definition)
    assert all(each.error < 1e-5 for each in imported.differences)
    key = sg.random_key(0) if imported.keys else None

    def of(xp):
        return lambda parameters, inputs: imported.function(xp, parameters, inputs, key=key)

    static = sg.function(of(sg), backend="numpy")(imported.parameters, inputs)
    tensors = {each: dg.tensor(x) for each, x in imported.parameters.items()}
    dynamic = of(dg)(tensors, {name: dg.tensor(np.asarray(x)) for name, x in inputs.items()})
    for ours, theirs in zip(static, dynamic, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_branches_and_loops_stay_what_they_are():
    for name, op in (("nested", "while_loop"), ("branches", "switch"), ("loop", "while_loop")):
        _, imported = of_graph(name, True)
        assert op in {node.op.name for node in imported.graph.nodes()}, name


def test_a_step_of_training_returns_the_next_state():
    inputs, imported = of_graph("training", False)
    assert list(imported.signature.updated) == ["w", "b", "w/Momentum", "b/Momentum"]
    graph, _, _ = GRAPHS["training"]()
    state = imported.buffers
    step = sg.function(
        lambda state, x: imported.function(sg, {}, x, buffers=state), backend="numpy"
    )
    with tf.compat.v1.Session(graph=graph) as session:
        with graph.as_default():
            session.run(tf.compat.v1.global_variables_initializer())
        for _ in range(3):
            (loss,), state = step(state, inputs)
            feeds = {f"{name}:0": x for name, x in inputs.items()}
            expected, _ = session.run(["loss:0", "train"], feeds)
            np.testing.assert_allclose(loss, expected, 1e-5)
        np.testing.assert_allclose(state["w"], session.run("w:0"), 1e-5)


def test_a_batch_may_have_any_length():
    function, (x,) = PROGRAMS["mlp"]()
    imported = sg.from_tensorflow(function, x, dynamic={"x": {0: "batch"}})
    run = sg.function(lambda p, x: imported.function(sg, p, x), backend="numpy")
    for n in (1, 3, 8):
        x = numbers(n, 4)
        np.testing.assert_allclose(run(imported.parameters, x), function(x), 1e-4, 1e-5)


def test_a_saved_model_is_read_by_its_signature(tmp_path):
    x = numbers(5, 4)
    module = tf.Module()
    module.w = tf.Variable(numbers(4, 3), name="w")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
    def predict(x):
        return {"y": tf.nn.softmax(x @ module.w), "n": tf.shape(x)[0]}

    module.predict = predict
    tf.saved_model.save(module, tmp_path, {"serving_default": predict})
    loaded = tf.saved_model.load(tmp_path)
    imported = sg.from_tensorflow(loaded.signatures["serving_default"], x=x)
    assert list(imported.parameters) == ["w"]
    found = imported.function(dg, imported.parameters, x=dg.tensor(x))
    np.testing.assert_allclose(found["y"].numpy(), predict(x)["y"], 1e-5)


def test_a_model_of_keras_has_its_own_names():
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another library")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same", name="filters"),
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(3, strides=2, padding="same", name="depth"),
            layers.Reshape((4, 16)),
            layers.LSTM(3, name="cells"),
            layers.Dense(2, name="head"),
        ],
        name="net",
    )
    x = numbers(3, 8, 8, 2)
    served = sg.from_tensorflow(model, x, training=False)
    assert "net/head/kernel" in served.parameters or "head/kernel" in served.parameters
    assert len(served.buffers) == 2 and not served.signature.updated
    trained = sg.from_tensorflow(model, x, training=True)
    assert len(trained.signature.updated) == 2
    y = served.function(dg, served.parameters, dg.tensor(x)).numpy()
    np.testing.assert_allclose(y, model(x, training=False), 1e-4, 1e-5)


def test_nodes_have_the_users_lines():
    _, imported = made("mlp")
    assert imported.graph.outputs[0].source.place.startswith("tensorflow_programs.py:")
    assert "gradient by w" in imported.report()


def test_relu_and_ties_have_tensorflows_gradients():
    def kinks(x):
        return tf.nn.relu(x) + tf.maximum(x, 0.0) * 3 + tf.abs(x) + tf.clip_by_value(x, 0.0, 1.0)

    x = np.float32([0, 0, 1, -1])
    imported = sg.from_tensorflow(tf.function(kinks), x)
    assert {each.error for each in imported.differences} == {0.0}


# what is refused ----------------------------------------------------------------------------------


def by_mask(x):
    return tf.boolean_mask(x, x > 0)


def distinct(x):
    return tf.unique(x)[0]


def text(x):
    return tf.strings.as_string(x)


def shuffled(x):
    return tf.random.shuffle(x)


def growing(x):
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True)
    for i in tf.range(3):
        array = array.write(i, x[i])
    return array.stack()


def in_python(x):
    return tf.py_function(lambda x: x, [x], tf.float32)


def asks(x):
    return x * x.numpy()[0]


def looks_up(x):
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2]), -1)
    return table.lookup(tf.cast(x, tf.int32))


def sparse(x):
    return tf.sparse.sparse_dense_matmul(tf.sparse.from_dense(x[None]), x[:, None])


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (by_mask, "UnsupportedOpError", r"Where[\s\S]*tf\.boolean_mask[\s\S]*tf\.where\(mask"),
        (distinct, "UnsupportedOpError", r"Unique[\s\S]*tf\.unique\(x\)[\s\S]*as an argument"),
        (text, "UnsupportedOpError", r"AsString[\s\S]*tf\.strings\.as_string"),
        (shuffled, "UnsupportedOpError", r"RandomShuffle[\s\S]*draw the order outside"),
        (growing, "UnsupportedOpError", r"TensorListSetItem[\s\S]*resize_if_index"),
        (in_python, "UnsupportedOpError", r"EagerPyFunc"),
        (looks_up, "UnsupportedOpError", r"LookupTableFindV2"),
        (sparse, "UnsupportedOpError", r"tf\.sparse\.from_dense|Where|SparseTensorDenseMatMul"),
        (asks, "ForeignProgramError", r"tf\.function refuses asks[\s\S]*x\.numpy\(\)"),
    ],
)
def test_what_cannot_be_imported_is_named(function, error, said):
    with pytest.raises(getattr(sg.errors, error), match=said):
        sg.from_tensorflow(tf.function(function), numbers(3))


def test_a_gradient_of_ones_own_is_not_replaced_in_silence():
    @tf.custom_gradient
    def clipped(x):
        return x * 2, lambda g: tf.clip_by_value(g, -0.01, 0.01)

    with pytest.raises(sg.errors.ImportCheckError, match="gradient by x"):
        sg.from_tensorflow(tf.function(lambda x: clipped(x)), numbers(3))


def test_two_uses_of_a_variable_in_no_order_are_refused():
    with first_version() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (), name="x")
        w = tf.compat.v1.get_variable("w", initializer=1.0, use_resource=False)
        tf.compat.v1.assign(w, x, name="set")
        tf.multiply(w, 2.0, name="y")
    with pytest.raises(sg.errors.UnsupportedOpError, match="use the variable w in no order"):
        sg.from_tensorflow(graph, {"x": np.float32(2)}, fetches=["y", "set"])


def test_wrong_calls_are_named():
    (x,), imported = made("mlp")
    graph, inputs, _ = GRAPHS["tutorial"]()
    wrong = [
        (lambda: sg.from_tensorflow(3, x), "is no program of TensorFlow"),
        (lambda: sg.from_tensorflow(graph, inputs), "what of the graph is wanted"),
        (lambda: sg.from_tensorflow(graph, inputs, fetches=["q"]), "has no 'q'"),
        (lambda: sg.from_tensorflow(graph, x, fetches=["y"]), "inputs of a graph are named"),
        (
            lambda: sg.from_tensorflow(graph, {**inputs, "q": x}, fetches=["y"]),
            "'q' is no placeholder",
        ),
        (lambda: imported.function(dg, imported.parameters, [x, x]), "2 values were passed"),
    ]
    for call, said in wrong:
        with pytest.raises(sg.errors.ArgumentError, match=said):
            call()
    with pytest.raises(sg.errors.UnsupportedOpError, match="placeholder x has no value"):
        sg.from_tensorflow(graph, {}, fetches=["y"])


# the table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_names_every_input_and_attribute_of_the_definition(name):
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(name)
    inputs = {arg.name for arg in definition.input_arg}
    attributes = {attribute.name for attribute in definition.attr}
    assert TABLE[name].names() - OWN == inputs | attributes
    given = {a.name: a.default_value for a in definition.attr if a.HasField("default_value")}
    for attribute, value in TABLE[name].fixed.items():
        if attribute in given:  # what is refused is what is not the default
            default = given[attribute]
            kind = default.WhichOneof("value")
            found = getattr(default, kind)
            found = tuple(found.i) if kind == "list" else found
            assert (found.decode() if kind == "s" else found) == value
    assert set(WRITES.get(name, ())) <= inputs
