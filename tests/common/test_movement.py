"""Movement, slicing, repetition, joining, diagonals and creation, against NumPy and torch."""

import math

import numpy as np
import pytest
import torch

from oplibrary.core.op import Kind
from oplibrary.core.registry import CREATION, FUNCTIONS, REGISTRY, namespace
from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    IndexingError,
    OutOfMemoryError,
    ShapeError,
    SideBySideError,
)
from oplibrary.values.types import TensorType, type_of

NAMES = {**namespace(), "sum_to": REGISTRY["sum_to"]}
RNG = np.random.default_rng(0)


def run(name, *args, **kwargs):
    return NAMES[name](*args, **kwargs)


def draw(*shape, dtype="float64"):
    return RNG.uniform(-2, 2, shape).astype(dtype)


def gradients(op, operands, **attrs):
    """Return the result, a cotangent, and the gradient of each operand."""
    operands, attrs = op.bind(operands, attrs)
    out = np.asarray(op.kernel(*operands, **attrs))
    g = draw(*out.shape)
    found = []
    for position, x in enumerate(operands):
        rule = op.operand_rule(position)
        needs = rule.needs(position, len(operands))
        saved = tuple(
            {"value": o, "type": type_of(o), "": None}[need]
            for o, need in zip(operands, needs, strict=True)
        )
        seen = {"value": out, "type": type_of(out), "": None}[rule.out]
        found.append(pull_back(op, position, g, seen, saved, attrs, type_of(x)))
    return out, g, found


def agrees(op, reference, *operands, **attrs):
    """Compare value and gradients with those of a torch function."""
    op = REGISTRY[op]
    out, g, found = gradients(op, operands, **attrs)
    leaves = [torch.tensor(x, requires_grad=True) for x in operands]
    expected = reference(*leaves)
    np.testing.assert_array_equal(out, expected.detach().numpy())
    expected.backward(torch.tensor(g))
    for x, grad, leaf in zip(operands, found, leaves, strict=True):
        assert grad.dtype == x.dtype
        np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-13, atol=1e-13)


TORCH_CASES = [
    ("reshape", (3, 4), {"shape": (2, 6)}, lambda x: x.reshape(2, 6)),
    ("reshape", (3, 4), {"shape": (-1, 2)}, lambda x: x.reshape(-1, 2)),
    ("reshape", (), {"shape": (1, 1)}, lambda x: x.reshape(1, 1)),
    ("reshape", (2, 3), {"shape": 6}, lambda x: x.reshape(6)),
    ("reshape", (0, 3), {"shape": (-1, 3)}, lambda x: x.reshape(-1, 3)),
    ("expand_dims", (3, 4), {"axis": 1}, lambda x: x.unsqueeze(1)),
    ("expand_dims", (3, 4), {"axis": -1}, lambda x: x.unsqueeze(-1)),
    ("expand_dims", (3,), {"axis": (0, -1)}, lambda x: x[None, :, None]),
    ("squeeze", (1, 3, 1), {}, lambda x: x.squeeze()),
    ("squeeze", (1, 3, 1), {"axis": -1}, lambda x: x.squeeze(-1)),
    ("squeeze", (1, 3, 1), {"axis": (0, 2)}, lambda x: x.squeeze((0, 2))),
    ("permute_dims", (2, 3, 4), {"axes": (2, 0, 1)}, lambda x: x.permute(2, 0, 1)),
    ("permute_dims", (2, 3, 4), {"axes": (-1, 0, 1)}, lambda x: x.permute(-1, 0, 1)),
    ("permute_dims", (2, 3, 4), {}, lambda x: x.permute(2, 1, 0)),
    ("swapaxes", (2, 3, 4), {"axis0": 0, "axis1": -1}, lambda x: x.transpose(0, -1)),
    ("matrix_transpose", (2, 3, 4), {}, lambda x: x.mT),
    ("broadcast_to", (3, 1), {"shape": (2, 3, 4)}, lambda x: x.broadcast_to((2, 3, 4))),
    ("broadcast_to", (), {"shape": 3}, lambda x: x.broadcast_to((3,))),
    ("broadcast_to", (2, 3), {"shape": (2, 3)}, lambda x: x.broadcast_to((2, 3))),
    ("broadcast_to", (1, 3), {"shape": (0, 3)}, lambda x: x.broadcast_to((0, 3))),
    ("slice_axis", (5, 3), {"start": 1, "stop": 4}, lambda x: x[1:4]),
    ("slice_axis", (2, 5), {"start": 2, "stop": 2, "axis": -1}, lambda x: x[:, 2:2]),
    ("index_axis", (3, 4), {"index": -1, "axis": 1}, lambda x: x[:, -1]),
    ("index_axis", (3,), {"index": 0}, lambda x: x[0]),
    ("flip", (3, 4), {}, lambda x: x.flip((0, 1))),
    ("flip", (3, 4), {"axis": -1}, lambda x: x.flip(-1)),
    ("roll", (3, 4), {"shift": 1}, lambda x: x.roll(1)),
    ("roll", (3, 4), {"shift": -5, "axis": 1}, lambda x: x.roll(-5, 1)),
    ("roll", (3, 4), {"shift": (1, 2), "axis": (0, 1)}, lambda x: x.roll((1, 2), (0, 1))),
    ("roll", (3, 4), {"shift": (1, 2), "axis": (0, 0)}, lambda x: x.roll((1, 2), (0, 0))),
    ("tile", (2, 3), {"repetitions": (2, 1)}, lambda x: x.tile((2, 1))),
    ("tile", (2, 3), {"repetitions": 2}, lambda x: x.tile((2,))),
    ("tile", (3,), {"repetitions": (2, 2)}, lambda x: x.tile((2, 2))),
    ("tile", (), {"repetitions": (2,)}, lambda x: x.tile((2,))),
    ("repeat", (2, 3), {"repeats": 2}, lambda x: x.repeat_interleave(2)),
    ("repeat", (2, 3), {"repeats": 3, "axis": 0}, lambda x: x.repeat_interleave(3, 0)),
    ("repeat", (2, 3), {"repeats": 0, "axis": 1}, lambda x: x.repeat_interleave(0, 1)),
    ("diagonal", (3, 4), {"offset": 1}, lambda x: x.diagonal(1)),
    ("diagonal", (2, 4, 3), {"offset": -2}, lambda x: x.diagonal(-2, -2, -1)),
    ("diagonal", (2, 2), {"offset": 7}, lambda x: torch.linalg.diagonal(x, offset=2)),
    ("diagonal_embed", (3,), {"shape": (4, 4), "offset": 1}, lambda x: torch.diag(x, 1)),
    ("tril", (2, 4, 3), {"k": -1}, lambda x: x.tril(-1)),
    ("triu", (3, 4), {"k": 1}, lambda x: x.triu(1)),
    (
        "pad",
        (2, 3),
        {"pad_width": ((1, 0), (0, 2)), "value": 1.5},
        lambda x: torch.nn.functional.pad(x, (0, 2, 1, 0), value=1.5),
    ),
]


@pytest.mark.parametrize(("op", "shape", "attrs", "reference"), TORCH_CASES)
def test_value_and_gradient_are_those_of_torch(op, shape, attrs, reference):
    agrees(op, reference, draw(*shape), **attrs)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_concat_is_that_of_torch(axis):
    shapes = [(2, 3), (2, 3), (2, 3)]
    join = (lambda *xs: torch.cat([x.reshape(-1) for x in xs])) if axis is None else None
    agrees(
        "concat", join or (lambda *xs: torch.cat(xs, axis)), *(draw(*s) for s in shapes), axis=axis
    )


def test_concat_joins_unequal_lengths():
    agrees("concat", lambda *xs: torch.cat(xs, 1), draw(2, 3), draw(2, 0), draw(2, 1), axis=1)
    agrees("concat", lambda x: torch.cat([x]), draw(2, 3))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_stack_is_that_of_torch(axis):
    agrees("stack", lambda *xs: torch.stack(xs, axis), *(draw(2, 3) for _ in range(3)), axis=axis)


def test_stack_of_scalars_and_of_empty_arrays():
    agrees("stack", lambda *xs: torch.stack(xs), draw(), draw())
    assert run("stack", [draw(0, 2), draw(0, 2)], axis=1).shape == (0, 2, 2)


def test_joining_promotes_dtypes_and_casts_gradients_back():
    x, y = draw(2, dtype="float32"), draw(2)
    out, _, (gx, gy) = gradients(REGISTRY["concat"], (x, y))
    assert (out.dtype, gx.dtype, gy.dtype) == ("float64", "float32", "float64")
    assert run("stack", (np.ones(2, "int32"), x)).dtype == np.result_type("int32", "float32")


# compositions -------------------------------------------------------------------------------------


def test_joins_accept_any_sequence_and_spelling():
    parts = [draw(2, 3), draw(1, 3)]
    expected = np.concatenate(parts)
    for name in ("concat", "cat", "concatenate"):
        np.testing.assert_array_equal(run(name, parts), expected)
    np.testing.assert_array_equal(run("concat", iter(parts), axis=-2), expected)
    np.testing.assert_array_equal(run("stack", draw(2, 3)[None].repeat(2, 0)).shape, (2, 2, 3))


def test_split_by_number_and_by_lengths():
    x = draw(6, 2)
    for got, expected in zip(run("split", x, 3), np.split(x, 3), strict=True):
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(
        run("split", x, [1, 0, 5]), torch.tensor(x).split([1, 0, 5]), strict=True
    ):
        np.testing.assert_array_equal(got, expected.numpy())
    assert [p.shape for p in run("split", x, 2, axis=-1)] == [(6, 1), (6, 1)]
    assert [p.shape for p in run("split", np.zeros((0, 2)), 2)] == [(0, 2), (0, 2)]


def test_unstack_undoes_stack():
    x = draw(2, 3, 4)
    for axis in (0, 1, -1):
        parts = run("unstack", x, axis=axis)
        assert len(parts) == x.shape[axis]
        np.testing.assert_array_equal(run("stack", parts, axis=axis), x)
    assert run("unbind", np.zeros((0, 3))) == ()


def test_flatten():
    x = draw(2, 3, 4)
    assert run("flatten", x).shape == (24,)
    assert run("flatten", x, 1).shape == (2, 12)
    assert run("flatten", x, 0, 1).shape == (6, 4)
    assert run("flatten", x, -2, -2).shape == (2, 3, 4)
    assert run("flatten", np.array(1.0)).shape == (1,)
    assert run("flatten", np.zeros((2, 0, 3)), 1).shape == (2, 0)
    with pytest.raises(ShapeError, match="start_axis 2 comes after end_axis 0"):
        run("flatten", x, 2, 0)


@pytest.mark.parametrize(("source", "destination"), [(0, -1), (-1, 0), ((0, 1), (-1, 0)), ((), ())])
def test_moveaxis_is_that_of_numpy(source, destination):
    x = draw(2, 3, 4)
    np.testing.assert_array_equal(
        run("moveaxis", x, source, destination), np.moveaxis(x, source, destination)
    )


def test_diag_and_trace():
    x = draw(3, 4)
    for offset in (-4, -1, 0, 2, 5):
        np.testing.assert_array_equal(run("diag", x, offset), np.diag(x, offset))
        np.testing.assert_array_equal(run("diag", x[0], offset), np.diag(x[0], offset))
        np.testing.assert_allclose(run("trace", x, offset), np.trace(x, offset), rtol=1e-15)
    stacked = draw(2, 3, 3)
    np.testing.assert_allclose(run("trace", stacked), np.trace(stacked, 0, -2, -1), rtol=1e-15)
    with pytest.raises(ShapeError, match="use diagonal for a stack"):
        run("diag", stacked)


@pytest.mark.parametrize("width", [1, (1, 2), ((1, 2), (0, 3)), [[1, 2], [0, 3]], ((1, 0),) * 2])
def test_pad_is_that_of_numpy(width):
    x = draw(2, 3)
    np.testing.assert_array_equal(run("pad", x, width), np.pad(x, width))
    np.testing.assert_array_equal(run("pad", x, width, 7), np.pad(x, width, constant_values=7))


def test_pad_keeps_the_sign_of_zero_and_the_dtype():
    padded = run("pad", np.ones(1, "float32"), 1, value=-0.0)
    assert padded.dtype == "float32" and np.signbit(padded[0])
    assert run("pad", np.array([True]), 1).dtype == bool
    assert run("pad", np.array(3.0), ()).shape == ()


def test_triangles_do_not_keep_nan():
    x = np.full((3, 3), np.nan)
    assert np.isnan(run("tril", x)).sum() == 6
    np.testing.assert_array_equal(run("triu", x, 3), np.zeros((3, 3)))


# kernels ------------------------------------------------------------------------------------------

LAYOUTS = [
    lambda x: x,
    np.asfortranarray,
    lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    lambda x: x[::-1],
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter(layout):
    base = draw(2, 1, 4)
    x = layout(base)
    plain = np.ascontiguousarray(x)
    for name, attrs in [
        ("broadcast_to", {"shape": (3, 2, 5, 4)}),
        ("sum_to", {"shape": (4,)}),
        ("sum_to", {"shape": (2, 1, 1)}),
        ("reshape", {"shape": (8,)}),
        ("roll", {"shift": 3}),
        ("tile", {"repetitions": (2, 3, 1)}),
        ("repeat", {"repeats": 2, "axis": 1}),
        ("pad", {"pad_width": ((1, 0), (0, 0), (2, 1))}),
        ("expand_dims", {"axis": 1}),
    ]:
        op = REGISTRY[name]
        expected = op.kernel(plain, **attrs)
        np.testing.assert_array_equal(op.kernel(x, **attrs), expected)
        if op.takes_out:
            out = np.empty(expected.shape[::-1], expected.dtype).T
            assert op.kernel(x, out, **attrs) is out
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("reshape", {"shape": (6,)}),
        ("expand_dims", {"axis": 0}),
        ("squeeze", {"axis": None}),
        ("permute_dims", {"axes": (1, 0)}),
        ("swapaxes", {"axis0": 0, "axis1": 1}),
        ("matrix_transpose", {}),
        ("broadcast_to", {"shape": (2, 2, 3)}),
        ("slice_axis", {"start": 0, "stop": 1, "axis": 0}),
        ("index_axis", {"index": 1, "axis": 0}),
        ("flip", {"axis": None}),
        ("diagonal", {"offset": 0}),
    ],
)
def test_views_share_memory_and_say_so(name, attrs):
    op = REGISTRY[name]
    x = draw(2, 3)
    assert op.view
    assert np.shares_memory(op.kernel(x, **attrs), x)


def test_an_operand_of_one_axis_is_still_viewed_when_indexed():
    x = draw(3)
    first = REGISTRY["index_axis"].kernel(x, index=0)
    assert isinstance(first, np.ndarray) and np.shares_memory(first, x)


def test_ops_that_are_no_views_share_nothing():
    x = draw(2, 3)
    for name, attrs in [
        ("sum_to", {"shape": (2, 3)}),
        ("roll", {"shift": 0}),
        ("pad", {"pad_width": ((0, 0), (0, 0))}),
        ("tile", {"repetitions": (1,)}),
        ("repeat", {"repeats": 1, "axis": 0}),
        ("tril", {"k": 5}),
    ]:
        op = REGISTRY[name]
        assert not op.view
        assert not np.shares_memory(op.kernel(x, **attrs), x)


def test_a_broadcast_cannot_be_written():
    for x in (np.ones(1), np.ones((2, 4))[:, ::4]):
        with pytest.raises(ValueError, match="read-only"):
            run("broadcast_to", x, shape=(2, 3))[0, 0] = 2.0


def test_sum_to_keeps_the_dtype():
    for dtype in ("int32", "float32", "float64"):
        x = np.ones((2, 3), dtype)
        assert run("sum_to", x, shape=(1, 3)).dtype == dtype


# refusals -----------------------------------------------------------------------------------------

X = np.arange(6.0).reshape(2, 3)

REFUSED = [
    ("reshape", (X, (4, 2)), ShapeError, "cannot reshape (2, 3) to (4, 2)"),
    ("reshape", (X, (-1, 4)), ShapeError, "holds a multiple of 4"),
    ("reshape", (X, (-1, -1)), ShapeError, "at most one length"),
    ("reshape", (X, (-2, 3)), ShapeError, "at most one length"),
    ("reshape", (np.zeros((0, 3)), (-1, 0)), ShapeError, "any number would do"),
    ("reshape", (X, None), ArgumentError, "shape must be an int or a tuple of ints"),
    ("reshape", (X, (2.0, 3)), ArgumentError, "shape must be an int or a tuple of ints"),
    ("reshape", (X, "6"), ArgumentError, "shape must be"),
    ("expand_dims", (X, 3), AxisError, "axis 3 is out of range for 3 axes"),
    ("expand_dims", (X, (0, 0)), ShapeError, "names an axis twice"),
    ("expand_dims", (X, None), ArgumentError, "axis must be"),
    ("squeeze", (X, 0), ShapeError, "its length is 2"),
    ("squeeze", (X, 2), AxisError, "out of range"),
    ("permute_dims", (X, (0, 0)), ShapeError, "each of the axes 0, 1 must be named once"),
    ("permute_dims", (X, (0,)), ShapeError, "do not permute the 2 axes"),
    ("permute_dims", (X, (0, 2)), AxisError, "out of range"),
    ("transpose", (X, 0, 2), AxisError, "axis1 2 is out of range"),
    ("transpose", (X, 0.0, 1), ArgumentError, "axis0 must be an int"),
    ("swapaxes", (X,), ArgumentError, "argument 'axis0' is missing"),
    ("matrix_transpose", (X[0],), ShapeError, "fewer than two axes"),
    ("moveaxis", (X, (0, 1), (0,)), ShapeError, "differ in length"),
    ("moveaxis", (X, (0, 0), (0, 1)), ShapeError, "names an axis twice"),
    ("moveaxis", (X, 5, 0), AxisError, "out of range"),
    ("broadcast_to", (X, (3, 3)), ShapeError, "do not broadcast together"),
    ("broadcast_to", (X, (3,)), ShapeError, "does not broadcast to (3,)"),
    ("broadcast_to", (X, (-1, 3)), ArgumentError, "negative length"),
    ("broadcast_to", (X, (2.0, 3)), ArgumentError, "shape must be"),
    ("sum_to", (X, (4,)), ShapeError, "broadcast"),
    ("slice_axis", (X, 1, 5), IndexingError, "0 <= start <= stop <= 2"),
    ("slice_axis", (X, -1, 2), IndexingError, "count from the left"),
    ("slice_axis", (X, 0.0, 2), ArgumentError, "start must be an int"),
    ("slice_axis", (X, 0, 1, 2), AxisError, "out of range"),
    ("index_axis", (X, 2), IndexingError, "index 2 is out of range for axis 0 of (2, 3)"),
    ("index_axis", (X, 0.5), ArgumentError, "index must be an int"),
    ("index_axis", (np.array(1.0), 0), AxisError, "a scalar has no axes"),
    ("flip", (X, 2), AxisError, "out of range"),
    ("flip", (X, (0, -2)), ShapeError, "names an axis twice"),
    ("roll", (X, (1, 2), 0), ArgumentError, "differ in length"),
    ("roll", (X, 1, 4), AxisError, "out of range"),
    ("roll", (X, 1.5, 0), ArgumentError, "shift must be"),
    ("pad", (X, ((1, 1),)), ShapeError, "has 1 pairs for 2 axes"),
    ("pad", (X, -1), ArgumentError, "negative width"),
    ("pad", (X, ((1.5, 0), (0, 0))), ArgumentError, "pairs of ints"),
    ("pad", (X, None), ArgumentError, "pairs of ints"),
    ("pad", (X, 1, np.ones(2)), ArgumentError, "value must be a number"),
    ("pad", (np.ones(2, "int64"), 1, 2.5), ArgumentError, "does not fit into int64"),
    ("pad", (np.ones(2, "uint8"), 1, 300), ArgumentError, "does not fit into uint8"),
    ("pad", ([1, 2], 1), DTypeError, "the operand is a list"),
    ("tile", (X, -1), ArgumentError, "is negative"),
    ("tile", (X, (1.5,)), ArgumentError, "repetitions must be"),
    ("repeat", (X, (1, 2, 3), 0), ShapeError, "3 numbers for 2 elements"),
    ("repeat", (X, (1, 2.5), 0), ArgumentError, "repeats must be an int"),
    ("repeat", (X, -1), ArgumentError, "is negative"),
    ("repeat", (X, 2, 2), AxisError, "out of range"),
    ("concat", ([],), ArgumentError, "needs a sequence of one array or more"),
    ("concat", (3.0,), ArgumentError, "pass the arrays as one tuple"),
    ("concat", ((X, X[:, :2]),), ShapeError, "shapes (2, 3) and (2, 2) of operands 0 and 1"),
    ("concat", ((X, X[0]),), ShapeError, "do not fit along axis 0"),
    ("concat", ((X, X), 2), AxisError, "out of range"),
    ("concat", ((np.array(1.0),),), ShapeError, "use stack"),
    ("concat", ((X, object()),), DTypeError, "operand 1 is a object"),
    ("stack", ((X, X[:1]),), ShapeError, "shapes (2, 3) and (1, 3)"),
    ("stack", ((np.ones(1), np.ones(3)),), ShapeError, "differ"),
    ("stack", ((X, X), 3), AxisError, "out of range"),
    ("stack", ((),), ArgumentError, "nothing to join"),
    ("split", (X, 2, 1), ShapeError, "3 is not a multiple of 2"),
    ("split", (X, 0), ShapeError, "one part or more"),
    ("split", (X, (1, 2)), ShapeError, "the parts sum to 3"),
    ("split", (X, (3, -1)), ShapeError, "do not make up axis 0"),
    ("split", (X, 1.5), ArgumentError, "sections must be"),
    ("unstack", (X, 2), AxisError, "out of range"),
    ("diagonal", (X[0],), ShapeError, "fewer than two axes"),
    ("diagonal", (X, 0.5), ArgumentError, "offset must be an int"),
    ("diagonal_embed", (X[0], (2, 2)), ShapeError, "is not a diagonal of (2, 2)"),
    ("diagonal_embed", (np.ones(1), (3, 3)), ShapeError, "has shape (3,)"),
    ("tril", (X[0],), ShapeError, "fewer than two axes"),
    ("tril", (X, 0.5), ArgumentError, "k must be an int"),
    ("trace", (X[0],), ShapeError, "fewer than two axes"),
]


@pytest.mark.parametrize(("name", "args", "kind", "text"), REFUSED)
def test_bad_arguments_are_refused(name, args, kind, text):
    with pytest.raises(SideBySideError) as caught:
        run(name, *args)
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert caught.value.fix and caught.value.cause
    assert "test_movement.py" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "args", "kind"),
    [case[:3] for case in REFUSED if case[0] in REGISTRY and case[0] not in FUNCTIONS],
)
def test_infer_refuses_what_the_kernel_refuses(name, args, kind):
    op = REGISTRY[name]
    try:
        operands, attrs = op.bind(args, {})
    except ArgumentError:
        return
    with pytest.raises(kind):
        op.infer(*map(type_of, operands), **attrs)


def test_refusals_do_not_depend_on_what_ran_before():
    """Geometry is cached by arguments, and 2.0 == 2."""
    assert run("broadcast_to", X, (2, 3)).shape == (2, 3)
    assert run("slice_axis", X, 1, 2).shape == (1, 3)
    for name, args in [("broadcast_to", ((2.0, 3),)), ("slice_axis", (1.0, 2))]:
        with pytest.raises(ArgumentError):
            run(name, X, *args)


# creation -----------------------------------------------------------------------------------------


def test_creation_takes_shapes_and_defaults_to_float32():
    for name, value in [("zeros", 0), ("ones", 1)]:
        for shape in [(), 3, (2, 3), [2, 0], np.int64(2)]:
            made = CREATION[name](shape)
            np.testing.assert_array_equal(made, np.full(shape, value, "float32"), strict=True)
        assert CREATION[name](2, dtype="int16").dtype == np.int16
    assert CREATION["empty"]((2, 3), "complex64").dtype == np.complex64
    assert not set(CREATION) & set(REGISTRY)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2, "int64"), (2.5, "float32"), (True, "bool"), (1j, "complex64"), (np.float64(1), "float64")],
)
def test_full_has_the_dtype_of_its_value(value, dtype):
    assert CREATION["full"](2, value).dtype == dtype
    assert CREATION["full"](2, value, "complex128").dtype == "complex128"


def test_eye_is_that_of_numpy():
    for args in [(3,), (2, 4), (3, 2, -1), (3, 3, 7), (0,)]:
        np.testing.assert_array_equal(
            CREATION["eye"](*args), np.eye(*args, dtype="float32"), strict=True
        )


@pytest.mark.parametrize(
    "args", [(5,), (2, 8), (2, 9, 3), (5, 0, -2), (3, 3), (0.5, 2.0, 0.25), (2.5,), (0, 1, 0.1)]
)
def test_arange_is_that_of_torch(args):
    made, expected = CREATION["arange"](*args), torch.arange(*args).numpy()
    assert made.dtype == expected.dtype
    np.testing.assert_allclose(made, expected, rtol=1e-7)
    assert CREATION["arange"](3, dtype="float64").dtype == np.float64
    assert CREATION["arange"](2.0, 5.0, dtype="int32").tolist() == [2, 3, 4]


def test_linspace_is_that_of_numpy():
    for args in [(0, 1, 5), (1, -1, 3), (2, 2, 1), (0, 1, 0)]:
        made = CREATION["linspace"](*args)
        np.testing.assert_array_equal(made, np.linspace(*args, dtype="float32"), strict=True)
    assert CREATION["linspace"](0, 1, 4, endpoint=False, dtype="float64")[-1] == 0.75


def test_like_ops_read_only_the_type():
    x = np.full((2, 3), np.nan, "float32")
    for name, attrs, expected in [
        ("zeros_like", {}, 0),
        ("ones_like", {}, 1),
        ("full_like", {"fill_value": 2.5}, 2.5),
        ("empty_like", {}, 0),
    ]:
        op = NAMES[name]
        assert op.kind is Kind.CREATION and not op.differentiable
        made = op(x, **attrs)
        np.testing.assert_array_equal(made, np.full((2, 3), expected, "float32"), strict=True)
        assert op(x, dtype="float64", **attrs).dtype == np.float64
        assert op.infer(TensorType((2, 3), "float32"), **attrs) == type_of(made)
    assert np.signbit(run("full_like", x, -0.0)).all()


HUGE = (1 << 40, 1 << 12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CREATION["zeros"](HUGE),
        lambda: CREATION["ones"](HUGE),
        lambda: CREATION["empty"](HUGE),
        lambda: CREATION["full"](HUGE, 1),
        lambda: CREATION["eye"](1 << 40),
        lambda: CREATION["zeros"]((1 << 70, 1 << 70)),
        lambda: CREATION["arange"](10**18),
        lambda: CREATION["arange"](1e30),
        lambda: CREATION["linspace"](0, 1, 10**18),
        lambda: run("ones_like", np.broadcast_to(np.float32(0), HUGE)),
    ],
)
def test_a_size_beyond_memory_is_refused(make):
    with pytest.raises(OutOfMemoryError) as caught:
        make()
    text = str(caught.value)
    assert "GiB" in text and "dtype" in text and "shape (" in text
    assert isinstance(caught.value, MemoryError)


@pytest.mark.parametrize(
    ("name", "args", "kind", "text"),
    [
        ("zeros", ((-1, 2),), ArgumentError, "negative length"),
        ("zeros", (2.5,), ArgumentError, "shape must be"),
        ("zeros", ((2, None),), ArgumentError, "shape must be"),
        ("zeros", ((1,) * 65,), ArgumentError, "NumPy refused it"),
        ("zeros", (2, "floaty"), DTypeError, "'floaty' is not a dtype"),
        ("zeros", (2, "U3"), DTypeError, "is not a dtype"),
        ("full", (2, "a"), ArgumentError, "value must be a number, not str 'a'"),
        ("full", (2, np.ones(2)), ArgumentError, "item()"),
        ("full", (2, 2.5, "int64"), ArgumentError, "2.5 does not fit into int64"),
        ("full", (2, 300, "uint8"), ArgumentError, "does not fit into uint8"),
        ("full", (2, 10**30), ArgumentError, "does not fit into int64"),
        ("full", (2, 1e300), ArgumentError, "does not fit into float32"),
        ("full", (2, 1j, "float32"), ArgumentError, "does not fit into float32"),
        ("eye", (2.0,), ArgumentError, "rows must be an int"),
        ("eye", (2, -1), ArgumentError, "negative length"),
        ("arange", (0, 5, 0), ArgumentError, "step is 0"),
        ("arange", (math.inf,), ArgumentError, "stop must be a finite real number"),
        ("arange", (math.nan, 2), ArgumentError, "start must be a finite real number"),
        ("arange", (10**30, 10**30 + 2), ArgumentError, "of 64 bits"),
        ("linspace", (10**400, 1, 3), ArgumentError, "of 64 bits"),
        ("arange", ("3",), ArgumentError, "stop must be a finite real number"),
        ("arange", (3, None, 1, "complex64"), DTypeError, "not defined for complex64"),
        ("arange", (0, 300, 100, "int8"), ArgumentError, "last 200 does not fit into int8"),
        ("arange", (0, 3, 0.5, "int32"), ArgumentError, "step 0.5 is not a whole number"),
        ("linspace", (0, math.inf, 3), ArgumentError, "stop must be a finite"),
        ("linspace", (0, 1, -3), ArgumentError, "negative length"),
        ("linspace", (0, 1, 2.5), ArgumentError, "num must be an int"),
    ],
)
def test_bad_creations_are_refused(name, args, kind, text):
    with pytest.raises(kind) as caught:
        CREATION[name](*args)
    assert text in str(caught.value)


def test_a_static_value_explains_itself_where_a_number_is_needed():
    class Symbolic:
        ndim = 0

        def __index__(self):
            raise DTypeError("n is symbolic")

    for call in [
        lambda n: CREATION["zeros"]((n, 2)),
        lambda n: CREATION["zeros"](n),
        lambda n: CREATION["arange"](n),
        lambda n: CREATION["eye"](n),
        lambda n: run("reshape", X, (n,)),
        lambda n: run("repeat", X, n),
    ]:
        with pytest.raises(DTypeError, match="n is symbolic"):
            call(Symbolic())
