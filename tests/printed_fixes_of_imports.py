# ruff: noqa: E501  a case is a line
"""Programs from and to other libraries that are refused, and the fix that the message prints put in.

Each needs the library, and is left out where that is not installed.
"""

from __future__ import annotations

from tests.printed_fixes import Printed

ONNX = (
    "import onnx, onnx.parser, onnx.version_converter\n"
    "def made(text, opset=21):\n"
    "    return onnx.parser.parse_model('<ir_version: 8, opset_import: [\"\" : %d]> made %s' % (opset, text))\n"
)
TORCH = "import torch\n"
JAX = "import jax, jax.numpy as jnp\n"
TENSORFLOW = "import tensorflow as tf\n"
GRAPH = (
    "graph = tf.Graph()\nwith graph.as_default():\n"
    "    x = tf.compat.v1.placeholder(tf.float32, [3], name='x')\n"
)


def onnx(program: str, broken: str, pasted: str, result: str, more: str = "{}") -> Printed:
    """Return a case that needs onnx, and has ``made(text, opset)``, the model of a text."""
    return Printed(ONNX + program, broken, pasted, result, more, "onnx")


def torch(program: str, broken: str, pasted: str, result: str, more: str = "{}") -> Printed:
    """Return a case that needs PyTorch: a program with the body of ``forward``, or of its own."""
    return Printed(TORCH + program, broken, pasted, result, more, "torch")


def jax(program: str, broken: str, pasted: str, result: str, more: str = "{}") -> Printed:
    """Return a case that needs JAX."""
    return Printed(JAX + program, broken, pasted, result, more, "jax")


def tensorflow(program: str, broken: str, pasted: str, result: str, more: str = "{}") -> Printed:
    """Return a case that needs TensorFlow."""
    return Printed(TENSORFLOW + program, broken, pasted, result, more, "tensorflow")


OF_IMPORTS: list[Printed] = [
    onnx(
        "import os, tempfile\nf = lambda x: x * 2\n{}\nmodel = sg.to_onnx(graph, os.path.join(tempfile.mkdtemp(), 'model.onnx'))",
        "graph = f",
        'graph = sg.trace(f, sg.TensorType((3,), "float32"))',
        "graph is not None",
    ),
    onnx(
        "model = made('(float[N] x, float[N] z) => (float[M] y) { s = Shape(x) two = Constant<value = int64[1] {2}>() n = Div(s, two) r = Constant<value = float {1.0}>() y = Expand(r, n) }')\n"
        "f = sg.from_onnx(model, inputs=[np.ones(4, 'float32'), np.ones(4, 'float32')]{})",
        "",
        "dynamic={}",
        "f is not None",
        ", {}",
    ),
    onnx(
        "model = made('(float[N] x, float[M] z) => (float[N] y) { n = Shape(x) m = Shape(z) e = Equal(n, m) c = Squeeze(e) y = If<then_branch = a () => (float[N] p) { p = Sin(x) }, else_branch = b () => (float[N] q) { q = Cos(x) }>(c) }')\n"
        "f = sg.from_onnx(model, inputs=[np.ones(4, 'float32'), np.ones(4, 'float32')]{})",
        "",
        "dynamic={}",
        "f is not None",
        ", {}",
    ),
    onnx(
        "import os, tempfile\n"
        "os.chdir(tempfile.mkdtemp())\n"
        "onnx.save(made('(float[2] x) => (float[2] y) { y = Sin(x) }'), 'model.onnx')\n"
        "f = {}",
        "sg.from_onnx(3)",
        'sg.from_onnx("model.onnx")',
        "f is not None",
    ),
    onnx(
        "array = np.ones(2)\nf = sg.from_onnx(made('(float[2] x) => (float[2] y) { y = Sin(x) }'), [{}])",
        "array",
        'array.astype("float32")',
        "f is not None",
    ),
    onnx(
        "array = np.ones(2, 'float32')\npath = made('(float[N] x) => (float[N] y) { y = Sin(x) }')\nf = sg.from_onnx(path, dynamic=dict(){})",
        "",
        'inputs={"x": array}',
        "f is not None",
        ", {}",
    ),
    onnx(
        "array = np.array([2, 3])\npath = made('(float[6] x, int64[2] shape) => (float[A,B] y) { y = Reshape(x, shape) }')\nf = {}",
        "sg.from_onnx(path)",
        'sg.from_onnx(path, constants={"shape": array})',
        "f is not None",
    ),
    onnx(
        "def model(stash_type):\n"
        "    return made('(float[1,2,2] x, float[2] s) => (float[1,2,2] y) { y = GroupNormalization<num_groups=2, stash_type=%d>(x, s, s) }' % stash_type)\n"
        "f = sg.from_onnx(model({}))",
        "stash_type=11",
        "stash_type=1",
        "f is not None",
    ),
    *[
        onnx(
            "def model(mode='avg', sampling_ratio=2):\n"
            "    return made('(float[1,1,4,4] x, float[1,4] r, int64[1] b) => (float[1,1,2,2] y) { y = RoiAlign<output_height=2, output_width=2, mode=\"%s\", sampling_ratio=%d>(x, r, b) }' % (mode, sampling_ratio))\n"
            "f = sg.from_onnx(model({}), [np.ones((1, 1, 4, 4), 'float32'), np.array([[0, 0, 2, 2]], 'float32'), np.array([0])])",
            broken,
            pasted,
            "f is not None",
        )
        for broken, pasted in (
            ("mode='max'", "mode='avg'"),
            ("sampling_ratio=0", "sampling_ratio=2"),
        )
    ],
    onnx(
        "path = made('(float[1,1,N,4] x) => (float[A,B,C,D] y) { s = Constant<value = float[4] {1.0, 1.0, 2.0, 2.0}>() y = Resize(x, , s) }')\n"
        "f = sg.from_onnx(path, [np.ones((1, 1, 4, 4), 'float32')]{})",
        "",
        "dynamic={}",
        "f is not None",
        ", {}",
    ),
    onnx(
        "path = made('(float[3] x, int64[1] k) => (float[1] y) { y = Gather(x, k) }')\nx, k = np.ones(3, 'float32'), np.array([{}])\n"
        "f = sg.from_onnx(path, inputs=[x, k])",
        "7",
        "pass inputs that it takes: sg.from_onnx(path, inputs=[...])",
        "f is not None",
        "2",
    ),
    onnx(
        "path = made('(float[4] x, float k) => (float[4] y) { z = Mul(x, x) c = Cast<to=7>(k) a = Unsqueeze(c, c) y = Softmax(z) }')\n"
        "f = sg.from_onnx(path{})",
        "",
        "constants=",
        "f is not None",
        ", {}dict(k=np.float32(0))",
    ),
    # PyTorch
    torch(
        "class Model(torch.nn.Module):\n    def forward(self, x):\n        mask, values, y = x > 0, torch.ones(()), torch.zeros(3)\n        return {}\n"
        "f = sg.from_torch(Model(), torch.ones(3))",
        "torch.index_put(y, (mask,), values, accumulate=True)",
        "torch.where(mask, values, 0)",
        "f is not None",
        "y + {}",
    ),
    torch(
        "class Model(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.register_buffer('scale', torch.ones(2).to(torch.float8_e4m3fn))\n"
        "    def forward(self, x):\n        return x * self.scale.float()\n"
        "module = Model()\nf = sg.from_torch({}, torch.ones(2))",
        "module",
        "module.float()",
        "f is not None",
    ),
    torch(
        "f = sg.from_torch(torch.nn.ReLU(), torch.ones(3, 2), dynamic={})",
        "dict(x={0: 'batch'})",
        '{"input": {0: "batch"}}',
        "f is not None",
    ),
    torch(
        "f = sg.from_torch(torch.nn.Dropout().train(), torch.ones(3, 2))\ny = f.function(dg, dict(), np.ones((3, 2), 'float32'){})",
        "",
        "key=sg.random_key(0)",
        "y is not None",
        ", {}",
    ),
    torch(
        "f = sg.from_torch(torch.nn.ReLU(), torch.ones(3, 2){})\ny = f.function(dg, dict(), np.ones((5, 2), 'float32'))",
        "",
        'dynamic={"input": {0: "batch"}}',
        "y is not None",
        ", {}",
    ),
    # JAX
    *[
        jax(
            "f = sg.from_jax(lambda x: x * 2, np.ones(3, 'float32'), dynamic={})",
            broken,
            '{"x": {0: "batch"}}',
            "f is not None",
        )
        for broken in ("3", "dict(y={0: 'batch'})")
    ],
    jax(
        "import functools\n"
        "function = lambda x, name: x * 2 if name == 'twice' else x\n"
        "value = 'twice'\n"
        "f = {}",
        "sg.from_jax(function, jnp.ones(3), value)",
        "functools.partial(function, name=value)",
        "f is not None",
        "sg.from_jax({}, jnp.ones(3))",
    ),
    jax(
        "f = sg.from_jax(lambda x, i: x.at[i].apply(jnp.sin{}), jnp.ones(3), np.array([0, 1]))",
        "",
        "unique_indices=True",
        "f is not None",
        ", {}",
    ),
    # TensorFlow
    tensorflow(
        "f = sg.from_tensorflow(tf.function(lambda x: x * 2), np.ones(3, 'float32'), dynamic={})",
        "dict(y={0: 'batch'})",
        '{"x": {0: "batch"}}',
        "f is not None",
    ),
    tensorflow(
        GRAPH
        + "    y = tf.sin(x, name='y')\nf = sg.from_tensorflow(graph, dict(x=np.ones(3, 'float32')){})",
        "",
        'fetches=["y"]',
        "f is not None",
        ", {}",
    ),
    tensorflow(
        GRAPH
        + "    y = tf.sin(x, name='y')\nf = sg.from_tensorflow(graph, dict(x=np.ones(3, 'float32')), fetches={})",
        "['z']",
        "[op.name for op in graph.get_operations()]",
        "f is not None",
        "{}[-1:]",
    ),
    tensorflow(
        GRAPH
        + "    v = tf.compat.v1.get_variable('v', [3], tf.float32, use_resource=True)\n    other = v.assign(x)\n    {}\n"
        "f = sg.from_tensorflow(graph, dict(x=np.ones(3, 'float32')), fetches=[y.name, other.name])",
        "y = v.read_value() * 2",
        "tf.control_dependencies([other])",
        "f is not None",
        "with {}: y = v.read_value() * 2",
    ),
    tensorflow(
        GRAPH
        + "    v = tf.raw_ops.VarHandleOp(shape=[3], dtype=tf.float32, shared_name='v', name='v')\n    y = x + tf.raw_ops.ReadVariableOp(resource=v, dtype=tf.float32)\n"
        "value = np.ones(3, 'float32')\nf = sg.from_tensorflow(graph, dict(x=value), fetches=[y.name]{})",
        "",
        'variables={"v": value}',
        "f is not None",
        ", {}",
    ),
    tensorflow(
        GRAPH
        + "    w = tf.raw_ops.VarHandleOp(shape=[3], dtype=tf.float32, shared_name='w', name='w')\n"
        "    v = tf.raw_ops.VarHandleOp(shape=[3], dtype=tf.float32, shared_name='v', name='v')\n"
        "    tf.raw_ops.AssignVariableOp(resource=v, value=tf.raw_ops.ReadVariableOp(resource=w, dtype=tf.float32), name='v/Assign')\n"
        "    y = x + tf.raw_ops.ReadVariableOp(resource=v, dtype=tf.float32)\n"
        "value = np.ones(3, 'float32')\nf = sg.from_tensorflow(graph, dict(x=value), fetches=[y.name]{})",
        "",
        'variables={"v": value}',
        "f is not None",
        ", {}",
    ),
    tensorflow(
        "@tf.function\ndef f(x):\n    dtype, size = tf.float32, 2\n    kept = {}\n    return kept.write(0, x).write(1, x).stack()\n"
        "g = sg.from_tensorflow(f, np.ones((2, 3), 'float32'), dynamic=dict(x={0: 'n'}))",
        "tf.TensorArray(dtype, size, element_shape=None)",
        "tf.TensorArray(dtype, size, element_shape=(2, 3))",
        "g is not None",
    ),
    tensorflow(
        "def f(x, depth=3):\n    axis = 1\n    return {}\ng = sg.from_tensorflow(tf.function(lambda x: f(x)), np.array([[0, 1], [2, 2]], 'int32'))",
        "tf.math.bincount(x, minlength=3, maxlength=3, axis=-1)",
        "sum tf.one_hot(x, depth) along the axis",
        "g is not None",
        "tf.reduce_sum(tf.one_hot(x, depth), axis)",
    ),
    tensorflow(
        "def f(x, mask):\n    return {}\ng = sg.from_tensorflow(tf.function(f), np.ones(3, 'float32'), np.ones(3, bool))",
        "tf.zeros(tf.cast(tf.reduce_sum(x), tf.int32))",
        "tf.where(mask, x, 0)",
        "g is not None",
    ),
]
