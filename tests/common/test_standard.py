"""What the array API standard asks of a namespace besides operations."""

from importlib.util import find_spec

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary import errors
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError

BACKENDS = ("interpret", "numpy", *(("native",) if find_spec("llvmlite") else ()))


@pytest.mark.parametrize("xp", [dg, sg])
def test_questions_about_dtypes(xp):
    assert xp.result_type("int8", "uint8") == np.int16
    assert xp.result_type("float32", 2.0) == np.float32
    assert xp.result_type(2.0) == np.float32
    assert xp.can_cast("int32", "float64")
    assert not xp.can_cast("float64", "int32")
    assert xp.isdtype("float32", ("integral", "real floating"))
    assert not xp.isdtype("int8", "bool")
    assert xp.finfo("float32").max == np.finfo(np.float32).max
    assert xp.iinfo("uint8").max == 255
    for wrong in (lambda: xp.result_type("x"), lambda: xp.finfo("int8"), lambda: xp.iinfo("f4")):
        with pytest.raises(DTypeError):
            wrong()
    for wrong in (lambda: xp.isdtype("int8", "whole"), lambda: xp.result_type()):
        with pytest.raises(ArgumentError):
            wrong()


def test_dtypes_of_tensors():
    x = dg.tensor([1, 2], dtype="int8")
    assert dg.result_type(x, 1.5) == np.float64
    assert dg.can_cast(x, "int16")
    assert dg.iinfo(x).max == 127


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("lengths", [(3,), (3, 2), (2, 3, 4), (2, 0)])
def test_meshgrid_is_numpys(indexing, lengths):
    arrays = [np.arange(n) * 1.5 for n in lengths]
    wanted = np.meshgrid(*arrays, indexing=indexing)
    found = dg.meshgrid(*map(dg.tensor, arrays), indexing=indexing)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_diff_is_numpys(axis, n):
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(
        dg.diff(dg.tensor(x), axis=axis, n=n).numpy(), np.diff(x, n, axis)
    )


def test_gradients_flow():
    x = dg.tensor(np.array([1.0, 2.0, 4.0]), requires_grad=True)
    y = dg.tensor(np.array([[3.0], [5.0]]), requires_grad=True)
    assert dg.gradcheck(lambda x: dg.diff(x * x), x)
    assert dg.gradcheck(lambda x, y: dg.meshgrid(x, y[:, 0])[1] * x, (x, y))
    assert dg.gradcheck(lambda x, y: dg.broadcast_arrays(x, y), (x, y))


def test_a_graph_declares_them():
    def f(xp, x, y):
        a, b = xp.meshgrid(x, y)
        c, d = xp.broadcast_arrays(a, xp.diff(x)[0])
        return a * b + c * d

    x, y = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0])
    run = sg.function(lambda x, y: f(sg, x, y))
    np.testing.assert_array_equal(run(x, y), f(dg, dg.tensor(x), dg.tensor(y)).numpy())


def test_mistakes():
    with pytest.raises(ShapeError, match="array 1"):
        dg.meshgrid(np.ones(2), np.ones((2, 2)))
    with pytest.raises(ArgumentError, match="indexing"):
        dg.meshgrid(np.ones(2), indexing="yx")
    with pytest.raises(ArgumentError, match="n is -1"):
        dg.diff(np.ones(2), n=-1)
    with pytest.raises(ShapeError, match="broadcast"):
        dg.broadcast_arrays(np.ones(2), np.ones(3))


def test_arrays_of_other_libraries_share_memory():
    torch = pytest.importorskip("torch")
    theirs = torch.ones(3)
    ours = dg.from_dlpack(theirs)
    theirs[0] = 5
    assert ours.tolist() == [5.0, 1.0, 1.0]
    assert torch.from_dlpack(ours * 2).tolist() == [10.0, 2.0, 2.0]
    with pytest.raises(ArgumentError, match="DLPack"):
        dg.from_dlpack([1.0])


# the arguments of the standard --------------------------------------------------------------------


def in_a_graph(f, *arrays):
    """Return what `f` of the static namespace makes of arrays that a run is fed."""
    return sg.function(lambda *nodes: f(sg, *nodes), backend="numpy")(*arrays)


def in_both_modes(f, *arrays):
    """Return what both modes make, after seeing that it is the same."""
    found = f(dg, *map(dg.tensor, arrays)).numpy()
    np.testing.assert_array_equal(in_a_graph(f, *arrays), found, strict=True)
    return found


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float64", "complex64"])
@pytest.mark.parametrize("given", ["bool", "int8", "int64", "float32"])
def test_what_is_accumulated_has_the_dtype_asked_for(name, dtype, given):
    x = np.array([1, 3, 100, 2], given)
    found = in_both_modes(lambda xp, x: getattr(xp, name)(x, axis=0, dtype=dtype), x)
    numpys = {"cumulative_sum": "cumsum", "cumulative_prod": "cumprod"}.get(name, name)
    np.testing.assert_array_equal(found, getattr(np, numpys)(x, dtype=dtype), strict=True)
    by_method = getattr(dg.tensor(x), name if name in ("sum", "prod") else numpys)
    np.testing.assert_array_equal(by_method(0, dtype=dtype).numpy(), found, strict=True)


def test_the_gradient_goes_through_the_dtype_of_a_sum():
    x = dg.tensor(np.array([1.0, 2.0], "float32"), requires_grad=True)
    total = dg.sum(x * x, dtype="float64")
    assert total.dtype == np.float64
    total.backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("ends", [(None, 1.0), (0, None), (0.5, 2), ((1.0, 4.0), None)])
def test_diff_with_ends_is_numpys(n, ends):
    x = np.array([1.0, 3.0, 6.0])
    given = {
        name: np.array(end) if isinstance(end, tuple) else end
        for name, end in zip(("prepend", "append"), ends)
        if end is not None
    }
    found = in_both_modes(lambda xp, x: xp.diff(x, n=n, **given), x)
    np.testing.assert_array_equal(found, np.diff(x, n, **given))


@pytest.mark.parametrize("among", [[], [2], [3, 1, 3], [0.5, 2.0], [np.nan, 1.0], [True]])
@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", "complex64", "bool"])
def test_isin_is_numpys(among, dtype):
    x = np.array([[0, 1], [2, 3]], dtype)
    for invert in (False, True):
        found = in_both_modes(lambda xp, x: xp.isin(x, np.array(among), invert=invert), x)  # noqa: B023
        np.testing.assert_array_equal(found, np.isin(x, among, invert=invert))


def test_isin_of_numbers():
    x = dg.tensor([1, 2], dtype="int8")
    assert dg.isin(x, 300).tolist() == [False, False]
    assert dg.isin(2, x).item() is True
    assert dg.isin(x, [2.0, 7.5]).tolist() == [False, True]


@pytest.mark.parametrize("repeats", [2, [1, 0, 3], [2], np.array([1, 2, 0], "uint8"), np.int8(3)])
@pytest.mark.parametrize("axis", [0, -2])
def test_each_element_has_its_own_number_of_repeats(repeats, axis):
    x = np.arange(6.0).reshape(3, 2)
    found = in_both_modes(lambda xp, x: xp.repeat(x, repeats, axis=axis), x)
    np.testing.assert_array_equal(found, np.repeat(x, repeats, axis))
    repeats = dg.tensor(repeats)
    np.testing.assert_array_equal(dg.repeat(dg.tensor(x), repeats, axis=axis).numpy(), found)
    assert dg.gradcheck(
        lambda x: dg.repeat(x, repeats, axis=axis), dg.tensor(x, requires_grad=True)
    )


def test_repeats_that_only_a_run_knows_are_refused():
    with pytest.raises(errors.SymbolicValueError):
        in_a_graph(lambda xp, x, n: xp.repeat(x, n), np.ones(3), np.array([1, 0, 2]))


def test_copies_are_made_where_they_are_asked_for():
    x = dg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for copied in (dg.asarray(x, copy=True), x.reshape(4, copy=True), x.astype("float32")):
        assert not np.shares_memory(copied.detach().numpy(), x.detach().numpy())
        (g,) = dg.grad(dg.sum(copied * copied), [x])
        assert g.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    for kept in (dg.asarray(x, copy=False), dg.astype(x, "float32", copy=False)):
        assert kept is x
    in_a_graph(lambda xp, x: xp.reshape(x, (4,), copy=False), np.ones((2, 2)))
    flat = x.reshape(4, copy=False)
    assert np.shares_memory(flat.detach().numpy(), x.detach().numpy())
    array = np.ones(2)
    assert np.shares_memory(dg.asarray(array, copy=False).numpy(), array)
    for refused in (
        lambda: x.T.reshape(4, copy=False),
        lambda: dg.asarray([1.0], copy=False),
        lambda: dg.asarray(array, "int8", copy=False),
        lambda: dg.asarray(x, "float64", copy=False),
    ):
        with pytest.raises(ArgumentError, match="copy=False"):
            refused()


def test_a_copy_in_a_graph_may_be_written_to():
    given = np.zeros(3)

    def f(xp, x):
        kept, copied = xp.asarray(x), xp.asarray(x, copy=True)
        constant = xp.asarray(given, copy=True)
        constant[1] = 5.0
        copied[0] = 7.0
        return kept + constant + 10 * copied

    found = in_a_graph(f, np.ones(3))
    np.testing.assert_array_equal(found, [71.0, 16.0, 11.0])
    np.testing.assert_array_equal(f(dg, dg.ones(3, dtype="float64")).numpy(), found)
    assert not given.any()


@pytest.mark.parametrize("xp", [dg, sg])
def test_there_is_one_device(xp):
    with sg.Graph():
        x = xp.ones((2, 3), device="cpu")
        made = [
            xp.zeros(2, device="cpu"),
            xp.empty(2, device=None),
            xp.full(2, 7, device="cpu"),
            xp.eye(2, device="cpu"),
            xp.arange(3, device="cpu"),
            xp.linspace(0, 1, 3, device="cpu"),
            xp.zeros_like(x, device="cpu"),
            xp.ones_like(x, device="cpu"),
            xp.full_like(x, fill_value=3, device="cpu"),
            xp.asarray([1.0], device="cpu"),
            xp.astype(x, "int8", device="cpu"),
            x.to_device("cpu"),
        ]
        assert {each.device for each in made} == {"cpu"}
        for refused in (
            lambda: xp.zeros(2, device="cuda"),
            lambda: xp.zeros_like(x, device="cuda"),
            lambda: xp.asarray(x, device="cuda:0"),
            lambda: x.to_device("gpu"),
        ):
            with pytest.raises(ArgumentError, match="there is no device"):
                refused()


@pytest.mark.parametrize("xp", [dg, sg])
def test_arrays_come_and_go_by_dlpack(xp):
    with sg.Graph():
        array = np.arange(3.0)
        x = xp.from_dlpack(array, device="cpu")
        np.testing.assert_array_equal(np.from_dlpack(x), array)
        assert x.__dlpack_device__() == (1, 0)
        np.testing.assert_array_equal(np.from_dlpack(xp.from_dlpack(array, copy=True)), array)
        with pytest.raises(ArgumentError, match="from_dlpack"):
            xp.from_dlpack([1.0])
    with sg.Graph(), pytest.raises(errors.SymbolicArrayError):
        np.from_dlpack(sg.placeholder("x", (3,)))


def test_a_wrong_axis_is_an_index_error():
    for f in (dg.sum, dg.flip, dg.sort, dg.cumulative_sum, dg.concat, dg.expand_dims):
        for axis in (3, -4):
            with pytest.raises(errors.AxisError) as caught:
                f([dg.ones((2, 2))] if f is dg.concat else dg.ones((2, 2)), axis=axis)
            assert isinstance(caught.value, IndexError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize("xp", [dg, sg])
def test_limits_are_pythons_numbers(xp):
    for dtype in ("float32", "float64", "complex64"):
        found, numpys = xp.finfo(dtype), np.finfo(dtype)
        for name in ("eps", "max", "min", "smallest_normal", "tiny", "bits"):
            assert getattr(found, name) == getattr(numpys, name)
            assert type(getattr(found, name)) is (int if name == "bits" else float)
        assert found.dtype == numpys.dtype
    assert xp.iinfo("int8")[:3] == (8, 127, -128)


@pytest.mark.parametrize("xp", [dg, sg])
def test_versions(xp):
    assert xp.__array_api_version__ == "2025.12"
    with sg.Graph():
        x = xp.ones(2)
        assert x.__array_namespace__(api_version="2024.12") is xp
        with pytest.raises(ArgumentError, match="no version"):
            x.__array_namespace__(api_version="2019.12")


def test_shapes_broadcast():
    assert dg.broadcast_shapes((3, 1), (1, 2), 2, ()) == (3, 2)
    with pytest.raises(ShapeError, match="do not broadcast"):
        sg.broadcast_shapes((3,), (2,))


@pytest.mark.parametrize("truth", [True, False])
def test_one_truth_value_writes_the_whole_array_or_nothing(truth):
    for x, value in ((np.array(2.0), 5.0), (np.array([1.0, 2.0]), [7.0, 8.0])):
        want = x.copy()
        want[np.array(truth)] = value
        found = dg.set_item(dg.tensor(x), dg.tensor(truth), np.array(value))
        np.testing.assert_array_equal(found.numpy(), want)


def test_transpose_takes_two_axes_or_the_order_of_all():
    x = np.arange(24.0).reshape(2, 3, 4)
    for axes in ((2, 0, 1), (0, 1, 2), (-1, 0, 1)):
        found = in_both_modes(lambda xp, x: xp.transpose(x, axes), x)  # noqa: B023
        np.testing.assert_array_equal(found, np.transpose(x, axes))
    np.testing.assert_array_equal(
        in_both_modes(lambda xp, x: xp.transpose(x, 0, 2), x), np.swapaxes(x, 0, 2)
    )


LOW, HIGH = np.array([0.0, 2.0, 2.0, np.nan, 1.5]), np.array([0.0, 5.0, 2.0, 2.0, 1.0])


@pytest.mark.parametrize("bounds", [(LOW, None), (None, HIGH), (LOW, HIGH), (1.0, HIGH), (LOW, 2)])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_clip_takes_arrays_for_bounds(bounds, dtype):
    x = np.array([0, 1, 2, 3, 1], dtype)
    found = in_both_modes(lambda xp, x: xp.clip(x, *bounds), x)
    np.testing.assert_array_equal(found, np.clip(x, *bounds))
    given = [dg.tensor(b) if isinstance(b, np.ndarray) else b for b in bounds]
    assert dg.tensor(x).clip(*given).dtype == found.dtype
    np.testing.assert_array_equal(np.clip(dg.tensor(x), *bounds).numpy(), found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("dtype", "bounds"),
    [
        ("int8", (-300, 300)),
        ("int8", (None, 300)),
        ("int8", (-129, 99)),
        ("int8", (-(2**70), 2**70)),
        ("uint8", (-1, 300)),
        ("int32", (-(2**31) - 1, 2**31)),
        ("uint64", (-1, 2**65)),
    ],
)
def test_a_bound_beyond_the_dtype_bounds_nothing(dtype, bounds, backend):
    x = np.array([100, 0, 127], dtype)
    with sg.Graph():
        node = sg.placeholder("x", x.shape, dtype)
        run = sg.compile(sg.clip(node, *bounds), [node], backend=backend)
    wanted = np.minimum(x, 99 if bounds[1] == 99 else 127).astype(dtype)
    np.testing.assert_array_equal(run(x), wanted, strict=True)
    np.testing.assert_array_equal(dg.clip(dg.asarray(x), *bounds).numpy(), wanted, strict=True)


def test_gradients_of_clip_with_arrays_are_pytorchs():
    torch = pytest.importorskip("torch")
    arrays = [np.array([0.0, 1.0, 2.0, 3.0, 1.0]), np.nan_to_num(LOW, nan=1.0), HIGH]
    there = [torch.tensor(a, requires_grad=True) for a in arrays]
    wanted = torch.autograd.grad(torch.clamp(*there).sum(), there)
    here = [dg.tensor(a, requires_grad=True) for a in arrays]
    for one, other in zip(dg.grad(dg.sum(dg.clip(*here)), here), wanted, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


# numbers that a dtype cannot hold -----------------------------------------------------------------


@pytest.mark.parametrize("xp", [dg, sg])
@pytest.mark.parametrize(
    ("value", "dtype", "what"),
    [
        (3.4028235677973366e38, None, "overflow"),  # float32 rounds it to infinity
        (3.4028235677973366e38j, None, "overflow"),
        (300, "uint8", "overflow"),
        (2.5, "int8", "be another number"),
        (1j, "float64", "be another number"),
    ],
)
def test_what_would_become_of_a_number_is_said(xp, value, dtype, what):
    with sg.Graph(), pytest.raises(ArgumentError, match=f"it would {what}"):
        xp.full((2,), value, dtype=dtype)
