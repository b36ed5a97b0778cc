"""Calls with one mistake, drawn at random over every public function: both modes name it alike."""

import warnings
import zlib

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import FUNCTIONS, REGISTRY
from oplibrary.core.samples import draw
from oplibrary.messages.errors import SideBySideError
from oplibrary.values.tree import flatten

BEHIND = ("basic_", "advanced_"), ("_gradient", "_select")
"""How ops begin or end that stand behind an index or a gradient; nobody calls them by name."""

IMAGE, KERNEL = np.linspace(-1, 1, 36).reshape(1, 1, 6, 6), np.ones((1, 1, 2, 2))
MATRIX, VECTOR, LABELS = np.linspace(-1, 1, 12).reshape(3, 4), np.ones(3), np.array([0, 3, 1])
POSITIVE, SIGNS = np.linspace(0.1, 0.9, 12).reshape(3, 4), np.array([1.0, -1.0, 1.0])

COMPOSITIONS = {
    "adaptive_avg_pool2d": ((IMAGE,), {"output_size": 4}),
    "adaptive_max_pool2d": ((IMAGE,), {"output_size": (2, 4)}),
    "avg_pool1d": ((IMAGE[0],), {"kernel_size": 2, "padding": 1, "count_include_pad": False}),
    "avg_pool2d": ((IMAGE,), {"kernel_size": 2, "stride": 1, "padding": 0}),
    "batch_norm": ((MATRIX,), {"training": True, "momentum": 0.1, "eps": 1e-5}),
    "binary_cross_entropy": ((POSITIVE, POSITIVE), {"reduction": "sum"}),
    "binary_cross_entropy_with_logits": ((MATRIX, MATRIX), {"reduction": "sum"}),
    "celu": ((MATRIX,), {"alpha": 1.0}),
    "concat": (([MATRIX, MATRIX],), {"axis": 0}),
    "conv1d": ((IMAGE[0], KERNEL[0]), {"stride": 1, "padding": ((1, 0),), "groups": 1}),
    "conv2d": ((IMAGE, KERNEL), {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}),
    "conv_transpose2d": ((IMAGE, KERNEL), {"stride": 2, "output_padding": 1, "groups": 1}),
    "cosine_embedding_loss": ((MATRIX, MATRIX, SIGNS), {"margin": 0.1, "reduction": "sum"}),
    "cosine_similarity": ((MATRIX, MATRIX), {"axis": 1, "eps": 1e-8}),
    "cross_entropy": ((MATRIX, LABELS), {"reduction": "mean", "axis": 1}),
    "diag": ((VECTOR,), {"offset": 0}),
    "diff": ((MATRIX,), {"axis": 0, "n": 1}),
    "dot": ((VECTOR, VECTOR), {}),
    "einsum": (("ij,i->j", MATRIX, VECTOR), {}),
    "embedding": ((MATRIX, np.array([0, 2])), {}),
    "flatten": ((IMAGE,), {"start_axis": 1, "end_axis": -1}),
    "fold": ((np.ones((1, 4, 25)),), {"output_size": 6, "kernel_size": 2, "stride": 1}),
    "gaussian_nll_loss": ((MATRIX, MATRIX, POSITIVE), {"reduction": "sum", "eps": 1e-6}),
    "gelu": ((MATRIX,), {"approximate": "none"}),
    "glu": ((MATRIX,), {"axis": 1}),
    "group_norm": ((IMAGE, 1), {"eps": 1e-5}),
    "gru_cell": ((MATRIX, VECTOR[:, None] * 1.0, np.ones((3, 4)), np.ones((3, 1))), {}),
    "hardshrink": ((MATRIX,), {"lambd": 0.5}),
    "hardsigmoid": ((MATRIX,), {}),
    "hardswish": ((MATRIX,), {}),
    "hardtanh": ((MATRIX,), {"min_val": -1.0, "max_val": 1.0}),
    "hinge_embedding_loss": ((MATRIX, MATRIX), {"margin": 1.0, "reduction": "mean"}),
    "huber_loss": ((MATRIX, MATRIX), {"reduction": "mean", "delta": 1.0}),
    "instance_norm": ((IMAGE,), {"eps": 1e-5}),
    "interpolate": ((IMAGE,), {"size": 4, "mode": "bilinear", "align_corners": False}),
    "kl_div": ((MATRIX, POSITIVE), {"reduction": "mean", "log_target": False}),
    "l1_loss": ((MATRIX, MATRIX), {"reduction": "mean"}),
    "layer_norm": ((MATRIX, 4), {"eps": 1e-5}),
    "linear": ((MATRIX, MATRIX, VECTOR), {}),
    "local_response_norm": ((IMAGE, 3), {"alpha": 0.1, "beta": 0.75, "k": 1.0}),
    "logsigmoid": ((MATRIX,), {}),
    "margin_ranking_loss": ((MATRIX, MATRIX, MATRIX), {"margin": 0.0, "reduction": "mean"}),
    "max_pool2d": ((IMAGE,), {"kernel_size": 2, "stride": 1, "padding": 0}),
    "max_pool3d": ((IMAGE[None],), {"kernel_size": (1, 2, 2), "ceil_mode": True, "dilation": 1}),
    "mish": ((MATRIX,), {}),
    "moveaxis": ((MATRIX,), {"source": 0, "destination": 1}),
    "mse_loss": ((MATRIX, MATRIX), {"reduction": "mean"}),
    "nll_loss": ((MATRIX, LABELS), {"reduction": "mean", "axis": 1}),
    "normalize": ((MATRIX,), {"p": 2.0, "axis": 1, "eps": 1e-12}),
    "one_hot": ((LABELS,), {"depth": 4}),
    "outer": ((VECTOR, VECTOR), {}),
    "pad": ((MATRIX,), {"pad_width": ((1, 1), (0, 2)), "value": 0.0}),
    "pairwise_distance": ((MATRIX, MATRIX), {"p": 2.0, "eps": 1e-6, "keepdims": False}),
    "pixel_shuffle": ((np.ones((1, 4, 2, 2)), 2), {}),
    "pixel_unshuffle": ((IMAGE, 2), {}),
    "poisson_nll_loss": ((MATRIX, POSITIVE), {"reduction": "mean", "eps": 1e-8}),
    "prelu": ((MATRIX, VECTOR[:1]), {}),
    "relu6": ((MATRIX,), {}),
    "rms_norm": ((MATRIX, 4), {"eps": 1e-5}),
    "rnn": ((IMAGE[0], np.ones((6, 2)), np.ones((2, 6)), np.ones((2, 2))), {"reverse": False}),
    "rnn_cell": ((MATRIX, MATRIX[:, :2], np.ones((2, 4)), np.ones((2, 2))), {}),
    "scaled_dot_product_attention": ((IMAGE, IMAGE, IMAGE), {"scale": 1.0, "dropout_p": 0.0}),
    "scatter_add": ((MATRIX, np.array([0, 2]), np.ones((2, 4))), {"axis": 0}),
    "selu": ((MATRIX,), {}),
    "set_item": ((MATRIX, 0, np.ones(4)), {}),
    "smooth_l1_loss": ((MATRIX, MATRIX), {"reduction": "mean", "beta": 1.0}),
    "soft_margin_loss": ((MATRIX, MATRIX), {"reduction": "mean"}),
    "softmin": ((MATRIX,), {"axis": -1}),
    "softplus": ((MATRIX,), {"beta": 1.0}),
    "softshrink": ((MATRIX,), {"lambd": 0.5}),
    "softsign": ((MATRIX,), {}),
    "split": ((MATRIX, 2), {"axis": 1}),
    "stack": (([VECTOR, VECTOR],), {"axis": 0}),
    "tanhshrink": ((MATRIX,), {}),
    "tensordot": ((MATRIX, MATRIX), {"axes": 2}),
    "threshold": ((MATRIX,), {"threshold": 0.1, "value": 20.0}),
    "topk": ((MATRIX, 2), {"axis": -1}),
    "triplet_margin_loss": ((MATRIX, MATRIX, -MATRIX), {"margin": 1.0, "p": 2.0, "eps": 1e-6}),
    "unfold": ((IMAGE,), {"kernel_size": 2, "dilation": 1, "padding": 1, "stride": 2}),
    "unstack": ((MATRIX,), {"axis": 0}),
    "vecdot": ((VECTOR, VECTOR), {"axis": -1}),
    "vector_norm": ((MATRIX,), {"axis": 0, "keepdims": False, "ord": 2}),
}


def samples():
    """Yield the name of each public function with operands and keyword arguments that fit."""
    rng = np.random.default_rng(0)
    for name, op in REGISTRY.items():
        behind = name.startswith(BEHIND[0]) or name.endswith(BEHIND[1])
        if not behind and name not in FUNCTIONS and hasattr(dg, name):
            for number, each in enumerate(op.examples):
                operands = draw(op, each, "float32", rng)
                yield pytest.param(name, operands, dict(each.attrs), id=f"{name}-{number}")
    for name, (operands, named) in COMPOSITIONS.items():
        yield pytest.param(name, operands, named, id=name)


ANY_VALUE = ("dtype", "training")
"""Arguments for which dyngraph takes an array, or its truth value, as NumPy would."""

MOST = 40
"""Calls of each sample; all of them agree, and they are many."""

WRONG = ("bad", None, 99, -99, 1.5, (5, 5, 5), True, object())


def mistakes(name, operands, named):
    """Yield operands and keyword arguments of calls, most of them with one mistake."""
    for position, right in enumerate(operands):
        if not isinstance(right, np.ndarray):
            for wrong in ("text", None, 1.5, (5, 5, 5), np.ones((7, 5, 3), "float32")):
                yield (*operands[:position], wrong, *operands[position + 1 :]), named
            continue
        dtype, shape = right.dtype, right.shape
        for wrong in (
            "text",
            None,
            np.ones((7, 5, 3), dtype),
            np.ones((0,), dtype),
            np.ones((), dtype),
            np.ones(shape, bool),
            np.ones(shape, "int32"),
            np.ones(shape, "float32"),
            np.ones(shape, "complex64"),
        ):
            yield (*operands[:position], wrong, *operands[position + 1 :]), named
    yield operands[:-1], named
    is_op = name in REGISTRY and name not in FUNCTIONS and name not in COMPOSITIONS
    if is_op and next(iter(REGISTRY[name].attrs), "") not in ANY_VALUE:
        yield (*operands, np.ones((3, 4), "float32")), named
    yield operands, {**named, "nope": 1}
    for name in named:
        for wrong in WRONG:
            yield operands, {**named, name: wrong}
        if name not in ANY_VALUE:
            yield operands, {**named, name: np.ones((3, 4), "float32")}
        yield operands, {k: v for k, v in named.items() if k != name}


def dynamic(name, operands, named):
    convert = lambda x: dg.tensor(x) if isinstance(x, np.ndarray) else x  # noqa: E731
    return getattr(dg, name)(
        *[list(map(convert, x)) if isinstance(x, list) else convert(x) for x in operands],
        **{key: convert(value) for key, value in named.items()},
    )


def static(name, operands, named):
    """Declare the call, and run it if it can be declared."""
    fed = []

    def convert(x):
        if not isinstance(x, np.ndarray):
            return x
        fed.append((sg.placeholder(f"x{len(fed)}", x.shape, x.dtype.name), x))
        return fed[-1][0]

    with sg.Graph():
        result = getattr(sg, name)(
            *[list(map(convert, x)) if isinstance(x, list) else convert(x) for x in operands],
            **{key: convert(value) for key, value in named.items()},
        )
        leaves = [y for y in flatten(result)[0] if isinstance(y, sg.Node)]
    if leaves:
        inputs = [x for x, _ in fed]
        sg.compile(leaves, inputs, backend="interpret")(*[x for _, x in fed])


def outcome(mode, *call):
    """Return the id of the error that a call ends with; its class if it has none; or ``"ok"``."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            mode(*call)
        except SideBySideError as error:
            return error.id
        except Exception as error:
            return type(error).__name__
    return "ok"


@pytest.mark.parametrize(("name", "operands", "named"), list(samples()))
def test_a_mistake_has_the_same_id_in_both_modes(name, operands, named, capsys):
    """Seeded by the name, so that a failure comes back."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    calls = list(mistakes(name, operands, named))
    for number in rng.permutation(len(calls))[:MOST]:
        call = name, *calls[number]
        eager, declared = outcome(dynamic, *call), outcome(static, *call)
        assert eager == declared, call
        assert eager == "ok" or eager.startswith("SBS-1"), call


KEYS = {
    "text": "a",
    "a float": 1.5,
    "an object": object(),
    "too many": (0, 0, 0),
    "two ellipses": (..., ...),
    "outside": 9,
    "outside from the end": (0, -5),
    "a step of zero": slice(None, None, 0),
    "a text in a slice": slice("a", None),
    "a float in a slice": (slice(None), slice(0.5, 2)),
    "floats": np.ones(2),
    "complex numbers": np.ones(2, "complex64"),
    "outside in an array": np.array([0, 7]),
    "a list outside": [[0, 1], [2, 9]],
    "arrays of other lengths": (np.array([0, 1]), np.array([0, 1, 2])),
    "an array beside too many": (np.array([0]), 0, 0),
    "a ragged list": [[0], [1, 2]],
    "a mask of another shape": np.ones((3, 3), bool),
    "a mask of another length": np.ones(2, bool),
    "a mask behind": (slice(None), np.ones(3, bool)),
    "texts": ["a", "b"],
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("given", ["itself", "as a value"])
def test_a_wrong_key_has_the_same_id_in_both_modes(key, given):
    x = np.ones((3, 4), "float32")

    def made(k, make):
        if isinstance(k, tuple):
            return tuple([made(each, make) for each in k])
        return make(k) if isinstance(k, np.ndarray) and given == "as a value" else k

    def call(xp, operation):
        if xp is dg:
            operation(xp, dg.tensor(x), made(key, dg.tensor))
            return
        with sg.Graph():
            node = sg.placeholder("x", x.shape)
            result = operation(xp, node, made(key, sg.constant))
        sg.compile(result, [node], backend="interpret")(x)

    for operation in (
        lambda _, value, k: value[k],
        lambda xp, value, k: xp.set_item(value, k, 0.0),
    ):
        found = [outcome(call, xp, operation) for xp in (dg, sg)]
        assert found[0] == found[1]
        assert found[0].startswith("SBS-1")
