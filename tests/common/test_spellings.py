"""Names and arguments of NumPy, PyTorch and JAX: every one says what to write, and that runs."""

import re
import sys

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.executors.names_elsewhere import ELSEWHERE
from oplibrary.executors.spellings import (
    DYNAMIC,
    FUNCTIONS,
    METHODS,
    MODULES,
    STATIC,
    MissingName,
    call_for,
    table,
)
from oplibrary.messages.errors import ArgumentError, SideBySideError

PACKAGES = {"dyngraph": dg, "staticgraph": sg}
X = np.array([0.1, 0.4, 0.2], "float32")
MATRIX = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]], "float32")


def variables(xp):
    """Return what the lines of the tables speak of, as values of the mode that can be written."""
    x = xp.asarray(X) * 1
    return {
        "np": np,
        "dg": dg,
        "sg": sg,
        "x": x,
        "y": xp.asarray(X) + 0.1,
        "m": xp.asarray(MATRIX) * 1,
        "n": xp.asarray(np.array([0, 2, 1])),
        "mask": x > 0.15,
        "k": xp.random_key(0),
    }


def run(package, line):
    """Run a line in the mode of a package."""
    if package == "dyngraph":
        return eval(line, variables(dg))
    with sg.Graph():
        return eval(line, variables(sg))


ROWS = [
    (package, name, names)
    for package, own in (("dyngraph", DYNAMIC), ("staticgraph", STATIC))
    for names in (FUNCTIONS, METHODS)
    for name in ({**table(names), **table(own)} if names is FUNCTIONS else table(names))
]


@pytest.mark.parametrize(
    ("package", "name", "names"),
    ROWS,
    ids=[f"{package}-{'' if names is FUNCTIONS else '.'}{name}" for package, name, names in ROWS],
)
def test_a_name_that_is_missing_says_what_to_write_and_that_runs(package, name, names):
    line = call_for(name, package, names)
    run(package, line)
    if names is FUNCTIONS:
        if name in PACKAGES[package].__all__ or name == "numpy":
            return  # the name has come since
        with pytest.raises(AttributeError) as caught:
            getattr(PACKAGES[package], name)
        assert type(caught.value) is MissingName
        how = "its functions stand in the main namespace, as" if name in MODULES else "did you mean"
        assert str(caught.value).startswith(f"module {package!r} has no attribute {name!r}")
        assert f"{how} {line}" in str(caught.value)
        assert not hasattr(PACKAGES[package], name)
        return
    owner = dg.Tensor if package == "dyngraph" else sg.Node
    if name in dir(owner) and package == "staticgraph":
        return
    with pytest.raises(AttributeError) as caught:
        run(package, f"x.{name}")
    assert f"no attribute {name!r}; did you mean {line}?" in str(caught.value)
    assert not run(package, f"hasattr(x, {name!r})")


@pytest.mark.parametrize("package", [dg, sg])
def test_a_name_of_other_mathematics_gets_no_name_that_is_like_it(package):
    for name in ("igamma", "mode", "lu", "renorm", "cumulative_trapezoid", "fromfunction", "jv"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'$"):
            getattr(package, name)
    for name, below in {"multi_dot": "linalg", "ifftn": "fft", "ndtri": "special"}.items():
        with pytest.raises(AttributeError, match=rf"did you mean [ds]g\.{below}\.{name}\?"):
            getattr(package, name)
    assert not ELSEWHERE & {*package.__all__, *table(FUNCTIONS)}


def test_misspelled_names_are_looked_up_among_all():
    for package in (dg, sg):
        with pytest.raises(AttributeError, match=r"'concatt'; did you mean 'concat'\?"):
            package.concatt  # noqa: B018
        with pytest.raises(AttributeError, match=r"linalg' has no attribute 'choleski'; did you"):
            package.linalg.choleski  # noqa: B018
        with pytest.raises(AttributeError, match=r"fft' has no attribute 'fftt'; did you mean"):
            package.fft.fftt  # noqa: B018
        with pytest.raises(AttributeError, match=r"special' has no attribute 'lgama'; did you"):
            package.special.lgama  # noqa: B018
        with pytest.raises(AttributeError, match="no attribute 'qqqqqq'$"):
            package.qqqqqq  # noqa: B018


def test_hasattr_of_a_missing_name_costs_no_search(monkeypatch):
    def search(*_):
        raise AssertionError

    monkeypatch.setattr(sys.modules["oplibrary.executors.spellings"], "did_you_mean", search)
    assert not hasattr(dg, "qqqqqq") and not hasattr(sg, "qqqqqq")


ARGUMENTS = [
    ("sum", "x, dim=0", "axis=0"),
    ("mean", "m, dim=1, keepdims=True", "axis=1"),
    ("max", "m, axis=0, keepdim=True", "keepdims=True"),
    ("std", "m, unbiased=True", "correction=1"),
    ("softmax", "m, dim=-1", "axis=-1"),
    ("log_softmax", "m, dim=1", "axis=1"),
    ("argmax", "m, dim=1", "axis=1"),
    ("cumsum", "m, dim=1", "axis=1"),
    ("squeeze", "m[:1], dim=0", "axis=0"),
    ("permute_dims", "m, dims=(1, 0)", "axes=(1, 0)"),
    ("flip", "m, dims=0", "axis=0"),
    ("argsort", "x, dim=0", "axis=0"),
    ("reshape", "m, newshape=(9,)", "shape=(9,)"),
    ("broadcast_to", "x, size=(2, 3)", "shape=(2, 3)"),
    ("sum", "x, axes=0", "axis=0"),
    ("sum", "x, axs=0", "axis=0"),
]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(("name", "given", "meant"), ARGUMENTS)
def test_an_argument_of_another_library_says_what_it_is_called_here(package, name, given, meant):
    short = {"dyngraph": "dg", "staticgraph": "sg"}[package]
    with pytest.raises(ArgumentError) as caught:
        run(package, f"{short}.{name}({given})")
    found = re.fullmatch(r"write (\S+=.+) in place of (\S+=.+)", caught.value.fix)
    assert found and found[1] == meant and found[2] in given
    run(package, f"{short}.{name}({given.replace(found[2], found[1])})")


COMPOSITIONS = [
    ("concat", "[x, y], dim=0", "axis= in place of dim="),
    ("stack", "[x, y], dim=0", "axis= in place of dim="),
    ("split", "x, 3, dim=0", "axis= in place of dim="),
    ("median", "x, keepdim=True", "keepdims= in place of keepdim="),
    ("vector_norm", "x, dim=0", "axis= in place of dim="),
    ("topk", "x, 2, dim=0", "axis= in place of dim="),
    ("one_hot", "n, num_classes=3", "depth= in place of num_classes="),
    ("flatten", "m, start_dim=0", "start_axis= in place of start_dim="),
]


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(("name", "given", "advice"), COMPOSITIONS)
def test_compositions_say_so_too(package, name, given, advice):
    short = {"dyngraph": "dg", "staticgraph": "sg"}[package]
    with pytest.raises(SideBySideError) as caught:
        run(package, f"{short}.{name}({given})")
    assert f"write {advice}" in caught.value.fix
    ours, theirs = advice.split(" in place of ")
    line = f"{short}.{name}({given.replace(theirs, ours)})"
    if name == "one_hot":
        line = line.replace("num_classes", "depth")
    run(package, line)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
@pytest.mark.parametrize("lengths", ["2, 3", "2, 3, 4", "2, 3, 4, 5"])
def test_lengths_without_a_tuple_say_how(package, name, lengths):
    short = {"dyngraph": "dg", "staticgraph": "sg"}[package]
    with pytest.raises(SideBySideError) as caught:
        run(package, f"{short}.{name}({lengths})")
    assert f"{name}(({lengths}))" in caught.value.fix or "zeros((2, 3))" in caught.value.fix
    assert run(package, f"{short}.{name}(({lengths}))").shape == eval(f"({lengths})")


# methods of ndarrays ------------------------------------------------------------------------------

A = np.array([[0.5, -1.25, 2.0], [3.75, 0.25, -0.5]])
SAME = [
    "a.all()",
    "a.any(axis=0)",
    "a.argmax(1)",
    "a.argmin()",
    "a.argsort(0)",
    "a.astype('float32')",
    "(a > 0).choose([a, -a])",
    "a.clip(-1.0, 1.0)",
    "a.compress([True, False, True], axis=1)",
    "a.conj()",
    "a.conjugate()",
    "a.copy()",
    "a.cumprod(axis=1)",
    "a.cumsum(0)",
    "a.diagonal()",
    "a.diagonal(1)",
    "a[None].diagonal(0, 1, 2)",
    "a.dot(a.T)",
    "a.flatten()",
    "a.item() if a.size == 1 else a.size",
    "a.itemsize",
    "a.max(axis=1)",
    "a.mean(0, keepdims=True)",
    "a.min()",
    "a.nbytes",
    "a.ndim",
    "a.prod(1)",
    "a.ravel()",
    "a.repeat(2, 1)",
    "a.reshape(3, 2)",
    "a.reshape((3, -1))",
    "a.round()",
    "a.round(1)",
    "a.ravel().searchsorted(0.3)",
    "a.shape",
    "a.size",
    "a[:1].squeeze(0)",
    "a.std(axis=0)",
    "a.sum(1)",
    "a.swapaxes(0, 1)",
    "a.T",
    "a.take([0, 2], axis=1)",
    "a.trace()",
    "a[None].trace(0, 1, 2)",
    "a[None].transpose()",
    "a[None].transpose(2, 0, 1)",
    "a[None].transpose((1, 2, 0))",
    "a.var()",
    "a.real",
    "a.dtype",
]


LIKE_NUMPYS = [
    "xp.transpose(a[None])",
    "xp.transpose(a[None], axes=(2, 0, 1))",
    "xp.transpose(a[None], (1, 2, 0))",
    "xp.transpose(a[None], [1, 2, 0])",
    "xp.sum(a=a)",
    "xp.sum(a, where=a > 0.5)",
    "xp.sum(a, dtype='float32', initial=1.0)",
    "xp.prod(a, axis=0, dtype='float32', where=a > 0.5)",
    "xp.max(a, initial=0.25, axis=1)",
    "xp.round(a, 1)",
    "xp.round(a, decimals=1)",
    "xp.std(a, ddof=1)",
    "xp.var(a, axis=0, ddof=1)",
    "xp.nanstd(a, axis=0, ddof=1)",
    "xp.clip(a, a_min=0.25, a_max=0.5)",
    "xp.angle(a, deg=True)",
    "xp.sort(a, kind='stable')",
    "xp.argsort(a, kind='stable')",
    "xp.broadcast_to(array=a, shape=(2, 2, 3))",
    "xp.diag(a[0], k=1)",
    "xp.diagonal(a, axis1=1, axis2=0)",
    "xp.linalg.trace(a, offset=1)",
    "xp.einsum('ij,kj', a, a, optimize=True)",
    "xp.isin(element=a, test_elements=a[0])",
    "xp.nan_to_num(a, copy=True)",
    "xp.median(a + 0, overwrite_input=True)",
    "xp.searchsorted(a[0], v=a[0])",
    "xp.swapaxes(a, axis1=0, axis2=1)",
    "xp.tensordot(a=a, b=a)",
    "xp.tile(a, reps=2)",
    "xp.tile(A=a, reps=(2, 1))",
    "xp.dot(a=a[0], b=a[1])",
    "xp.outer(a=a[0], b=a[1])",
    "xp.pad(array=a, pad_width=1)",
    "xp.pad(a, 1, constant_values=2.0)",
    "xp.flip(m=a)",
    "xp.real(val=a)",
    "xp.tril(m=a)",
    "xp.linalg.norm(x=a, ord='fro', axis=(0, 1), keepdims=True)",
    "xp.linalg.inv(a=a[:, :2] + xp.eye(2))",
    "xp.fft.fft(a=a[0], n=8)",
    "xp.add(a, a, dtype='float32')",
    "xp.maximum(a, 0.5, dtype='float32', casting='same_kind')",
    "xp.sin(a, dtype='float32', order='K')",
    "xp.exp(a, where=True)",
    "xp.pow(a, 2, dtype='float32')",
    "xp.concatenate((a, a), dtype='float32')",
    "xp.concatenate((a, a[0]), axis=None, dtype='float32')",
]
"""Calls with NumPy's names of arguments."""


def answer(package, line):
    if package == "dyngraph":
        found = eval(line, {"a": dg.asarray(A), "xp": dg})
        return found.numpy() if isinstance(found, dg.Tensor) else found
    with sg.Graph():
        found = eval(line, {"a": sg.asarray(A) * 1, "xp": sg})
        if not isinstance(found, sg.Node):
            return found
        return sg.compile(found, [], backend="numpy")()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("line", SAME + LIKE_NUMPYS)
def test_methods_of_ndarrays_mean_what_they_mean_there(package, line):
    expected, found = eval(line, {"a": A, "xp": np}), answer(package, line)
    if isinstance(expected, (np.ndarray, np.generic)):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_what_pytorch_asks_an_array(package):
    def asked(x):
        assert (x.dim(), x.numel(), x.element_size()) == (2, 6, 8)
        assert x.to("float64") is x and x.to("cpu") is x and x.cpu() is x
        with pytest.raises(SideBySideError, match="neither a dtype nor a place"):
            x.to("cuda")
        return x.contiguous().to("float32")

    if package == "dyngraph":
        found = asked(dg.asarray(A)).numpy()
    else:
        found = sg.function(asked)(A)
    np.testing.assert_array_equal(found, A.astype("float32"))


def test_nonzero_and_tolist_are_answered_where_there_are_numbers():
    assert [each.tolist() for each in (dg.asarray(A) > 1).nonzero()] == [[0, 1], [2, 0]]
    assert dg.asarray(A).tolist() == A.tolist()
    with sg.Graph():
        a = sg.asarray(A) * 1
        for call in (lambda: (a > 1).nonzero(), a.tolist, a.item):
            with pytest.raises(SideBySideError):
                call()


@pytest.mark.parametrize("package", PACKAGES)
def test_methods_that_write_do(package):
    def program(a):
        a = a * 1
        b = a.copy()
        b.fill(7.0)
        a.put([0, 4], [10.0, 20.0])
        a[1] += b[0]
        return a

    expected = program(A)
    if package == "dyngraph":
        found = program(dg.asarray(A)).numpy()
    else:
        found = sg.function(program, backend="numpy")(A)
    np.testing.assert_array_equal(found, expected)


def test_sort_as_a_method_is_refused_as_it_means_three_things():
    # in NumPy it writes and returns nothing, in PyTorch it returns a pair, in JAX a copy
    with pytest.raises(AttributeError, match=r"did you mean dg.sort\(x, axis=0\)"):
        dg.asarray(X).sort()


@pytest.mark.parametrize("package", PACKAGES)
def test_an_ndarray_of_what_has_a_graph_is_refused_by_name(package):
    if package == "dyngraph":
        x = dg.tensor([1.0], requires_grad=True)
        for call in (np.asarray, np.array, lambda x: x.numpy(), lambda x: np.asarray(x * 2)):
            with pytest.raises(SideBySideError) as caught:
                call(x)
            assert "detach().numpy()" in caught.value.fix
        assert isinstance(np.asarray(x.detach()), np.ndarray)
    else:
        with sg.Graph():
            x = sg.placeholder("x", (1,))
            for call in (np.asarray, np.array, lambda x: x.numpy()):
                with pytest.raises(SideBySideError) as caught:
                    call(x)
                assert "run" in caught.value.fix


def test_an_alias_has_the_arguments_of_numpys_function_of_that_name():
    x = dg.asarray(A)
    expected = np.unique(A, return_inverse=True, return_counts=True)
    for one, other in zip(
        dg.unique(x, return_inverse=True, return_counts=True), expected, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other)
