"""Values and gradients at the edges of what an op is defined for, alike in every execution."""

import numpy as np
import pytest
import torch

import dyngraph as dg
import staticgraph as sg

INF, NAN = np.inf, np.nan


def executions(function, *xs, gradient=True):
    """Return the result, and the gradients of its sum, of each execution by name."""

    def program(xp):
        def loss(*xs):
            y = function(xp, *xs)
            return xp.sum(y * np.arange(1.0, 1.0 + y.size).reshape(y.shape)), y

        if not gradient:
            return lambda *xs: (function(xp, *xs),)

        def both(*xs):
            (_, y), found = xp.value_and_grad(loss, tuple(range(len(xs))), has_aux=True)(*xs)
            return (y, *found)

        return both

    found = {"dynamic": [y.detach().numpy() for y in program(dg)(*map(dg.asarray, xs))]}
    for backend in ("interpret", "numpy", "native"):
        found[backend] = list(map(np.asarray, sg.function(program(sg), backend=backend)(*xs)))
    return found


def assert_all(function, xs, expected, gradient=True, rtol=1e-6):
    for name, found in executions(function, *xs, gradient=gradient).items():
        assert len(found) == len(expected)
        for got, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, right, rtol=rtol, atol=1e-12, err_msg=name)
            zeros = np.asarray(right) == 0
            signs = np.signbit(got)[zeros] == np.signbit(right)[zeros]
            assert gradient or signs.all(), name


SUMS = {
    "sum": lambda xp, x: xp.sum(x),
    "rows": lambda xp, x: xp.sum(x, axis=1),
    "columns": lambda xp, x: xp.sum(x, axis=0),
    "kept": lambda xp, x: xp.sum(x, axis=0, keepdims=True),
    "mean": lambda xp, x: xp.mean(x, axis=1),
    "product": lambda xp, x: xp.matmul(x, np.ones(x.shape[1], x.dtype)),
    "cumsum": lambda xp, x: xp.cumsum(x, axis=0),
    "of a product": lambda xp, x: xp.sum(x * np.ones(x.shape, x.dtype), axis=1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 4), (17, 33)])
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_negative_zeros(name, shape, dtype):
    x = np.full(shape, -0.0, dtype)
    expected = SUMS[name](np, x)
    assert_all(SUMS[name], [x], [expected], gradient=False)


@pytest.mark.parametrize("ord", [0.25, 0.5, 0.9, 1, 1.5, 2, 3, -0.5, -1, -2])
def test_vector_norm_at_zero_elements(ord):
    for x in (np.array([[0.0, 2.0, -3.0], [1.0, 0.0, 0.0], [0.5, -1.0, 4.0]]), np.zeros((2, 2))):
        t = torch.tensor(x, requires_grad=True)
        y = torch.linalg.vector_norm(t, ord, dim=1)
        (y * torch.arange(1.0, 1.0 + len(x))).sum().backward()
        right = np.where(x == 0, 0.0, t.grad.numpy())
        assert_all(
            lambda xp, x: xp.vector_norm(x, axis=1, ord=ord), [x], [y.detach().numpy(), right]
        )


POOLINGS = [
    {"kernel_size": 2},
    {"kernel_size": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
]


@pytest.mark.parametrize("options", POOLINGS, ids=str)
@pytest.mark.parametrize("fill", [-INF, NAN, 1.0])
@pytest.mark.parametrize("everywhere", [True, False])
def test_max_pool2d_of_windows_without_a_largest(options, fill, everywhere):
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4))
    x[:, 0] = fill
    if not everywhere:
        x[:, 0, 2:, 1:] = 0.5
    t = torch.tensor(x, requires_grad=True)
    y = torch.max_pool2d(t, **options)
    (y * torch.arange(1.0, 1.0 + y.numel()).reshape(y.shape)).sum().backward()
    expected = [y.detach().numpy()]
    if not np.isnan(fill):  # of several NaN torch takes the last, here the first counts
        expected.append(t.grad.numpy())
    found = executions(lambda xp, x: xp.max_pool2d(x, **options), x)
    for name, results in found.items():
        for got, right in zip(results, expected):
            np.testing.assert_allclose(got, right, err_msg=name)
        np.testing.assert_array_equal(results[1], found["dynamic"][1], err_msg=name)
        # each gradient goes to one element: none is lost, and none spreads
        count = expected[0].size
        assert results[1].sum() == count * (count + 1) / 2


def test_a_gradient_that_is_nan_stays_in_its_window():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    for options in POOLINGS:
        t = torch.tensor(x, requires_grad=True)
        y = torch.max_pool2d(t, **options)
        weight = np.ones(y.shape)
        weight[0, 0, 0, 0] = NAN
        (y * torch.tensor(weight)).sum().backward()
        for name, found in executions(
            lambda xp, x, options=options, weight=weight: xp.max_pool2d(x, **options) * weight, x
        ).items():
            assert (np.isnan(found[1]) == np.isnan(t.grad.numpy())).all(), name


@pytest.mark.parametrize("kind", ["truth", "numbers", "known"])
def test_attention_of_a_query_that_sees_nothing(kind):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 3, 4)) for _ in range(3))
    seen = np.array([[True, False, True], [False, False, False], [True, True, True]])
    mask = np.where(seen, 0.0, -INF) if kind == "numbers" else seen
    ts = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
    y = torch.nn.functional.scaled_dot_product_attention(*ts, attn_mask=torch.tensor(mask))
    weights = torch.arange(1.0, 1.0 + y.numel()).reshape(y.shape)
    (y * weights).sum().backward()
    expected = [y.detach().numpy(), *(t.grad.numpy() for t in ts)]
    assert not expected[0][:, 1].any()

    def attend(xp, q, k, v):
        given = mask if kind == "known" else xp.asarray(mask)
        return xp.scaled_dot_product_attention(q, k, v, given)

    assert_all(attend, [q, k, v], expected, rtol=1e-6)


def test_roots_written_as_powers():
    x = np.array([-0.0, -INF, 0.0, INF, -1.0, NAN, 4.0])
    with np.errstate(invalid="ignore"):
        expected = [np.sqrt(x)]
        assert_all(lambda xp, x: x**0.5, [x], expected, gradient=False)


def test_dtypes_are_asked_about_as_they_are():
    for xp in (dg, sg):
        assert xp.finfo(xp.float32).bits == xp.finfo("float32").bits == 32
        assert xp.iinfo(xp.int8).max == 127
        assert xp.isdtype(xp.float64, "real floating")
        assert xp.isdtype(np.dtype("int8"), xp.int8)
        assert not xp.isdtype(xp.float64, (xp.int8, "bool"))
        assert xp.result_type(xp.int8, xp.float32) == xp.float32
        assert xp.can_cast(xp.float32, xp.float64)
    assert dg.isdtype(dg.ones(2).dtype, "real floating")
    assert dg.finfo(dg.ones(2)).bits == 32


def test_stop_gradient_has_one_name_in_both_modes():
    x = np.array([1.0, 2.0])

    def loss(xp):
        return lambda x: xp.sum(x * xp.stop_gradient(x * x))

    expected = [1.0, 4.0]
    assert dg.grad(loss(dg))(dg.asarray(x)).tolist() == expected
    assert sg.function(sg.grad(loss(sg)))(x).tolist() == expected


# what mistakes say --------------------------------------------------------------------------------


def test_lengths_that_are_not_one_tuple():
    for xp in (dg, sg):
        with sg.Graph(), pytest.raises(xp.errors.DTypeError, match="lengths as one tuple"):
            xp.zeros(2, 3)


def test_values_of_other_libraries_are_named():
    with pytest.raises(dg.errors.DTypeError, match=r"torch\.Tensor"):
        dg.multiply(dg.ones(2), torch.ones(2))
    with sg.Graph(), pytest.raises(sg.errors.DTypeError, match=r"torch\.Tensor"):
        sg.multiply(sg.placeholder("x", (2,)), torch.ones(2))


def test_item_of_a_place():
    with pytest.raises(dg.errors.ArgumentError, match=r"x\[0\]\.item\(\)"):
        dg.ones(2).item(0)
    assert dg.ones(1).item() == 1.0


def test_methods_of_other_libraries_say_how_they_are_written():
    x = dg.ones(2)
    with pytest.raises(AttributeError, match=r"did you mean .*cpu|leave it out|did you mean"):
        x.cuda()
    assert not hasattr(x, "cuda") and not hasattr(dg.Tensor, "cuda")
    assert x.copy().tolist() == [1, 1]


@pytest.mark.parametrize("axes", [(0,), 1.5, ((0, 1), 0), "ab"])
def test_axes_of_tensordot_that_are_none(axes):
    x = np.ones((2, 2))
    with pytest.raises(dg.errors.SideBySideError):
        dg.tensordot(dg.asarray(x), dg.asarray(x), axes=axes)
