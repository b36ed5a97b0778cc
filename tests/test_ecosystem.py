"""Libraries that take arrays of any kind take ours, in both modes where they can be traced."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

X = np.arange(24.0).reshape(2, 3, 4)


def in_both_modes(f):
    """Return what `f` makes of X; its values are the same in both modes, and have gradients."""
    x = dg.tensor(X, requires_grad=True)
    found = f(x)
    traced = sg.function(f, backend="numpy")(X)
    np.testing.assert_array_equal(traced, found.detach().numpy(), strict=True)
    (gradient,) = dg.grad(dg.sum(found * found), [x])
    declared = sg.function(sg.grad(lambda x: sg.sum(f(x) * f(x))), backend="numpy")(X)
    np.testing.assert_array_equal(declared, gradient.numpy())
    assert gradient.numpy().any()
    return found.detach().numpy()


def test_einops():
    einops = pytest.importorskip("einops")
    calls = [
        lambda x: einops.rearrange(x, "a b c -> b (c a)"),
        lambda x: einops.rearrange(x, "a b (c d) -> d (a c) b", d=2),
        lambda x: einops.reduce(x, "a b c -> a c", "mean"),
        lambda x: einops.reduce(x, "a b c -> b", "max"),
        lambda x: einops.reduce(x, "a b c -> ", "sum"),
        lambda x: einops.repeat(x, "a b c -> a (b r) c n", r=2, n=3),
        lambda x: einops.einsum(x, x, "a b c, d b c -> a d"),
        lambda x: einops.pack([x, x], "a * c")[0],
        lambda x: einops.rearrange([x, x], "n a b c -> a b (n c)"),
    ]
    for call in calls:
        np.testing.assert_allclose(in_both_modes(call), call(X), rtol=1e-14)


def test_einops_inside_of_vmap():
    einops = pytest.importorskip("einops")
    for xp, x in ((dg, dg.tensor(X)), (sg, X)):
        f = xp.vmap(lambda x: einops.rearrange(x, "a b -> (b a)"))
        found = f(x).numpy() if xp is dg else sg.function(f)(x)
        np.testing.assert_array_equal(found, einops.rearrange(X, "n a b -> n (b a)"))


def run_alone(program, **environment):
    """Run a program in a process of its own, for what is chosen when libraries are imported."""
    import os

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_einops_may_be_imported_first_or_last():
    pytest.importorskip("einops")
    for imports in (
        "import einops, dyngraph as dg, staticgraph",
        "import dyngraph as dg, einops, staticgraph",
    ):
        program = f"{imports}\nprint(einops.rearrange(dg.ones((2, 3)), 'a b -> b a').shape)"
        assert run_alone(program) == "(3, 2)\n"


def test_opt_einsum():
    opt_einsum = pytest.importorskip("opt_einsum")
    f = lambda x: opt_einsum.contract("abc,abd,ebc->de", x, x, x)  # noqa: E731
    np.testing.assert_allclose(in_both_modes(f), np.einsum("abc,abd,ebc->de", X, X, X))


def test_array_api_compat():
    compat = pytest.importorskip("array_api_compat")
    x = dg.tensor(X)
    assert compat.array_namespace(x, x) is dg
    assert compat.is_array_api_obj(x)
    assert (compat.device(x), compat.to_device(x, "cpu") is x, compat.size(x)) == ("cpu", True, 24)
    with sg.Graph():
        assert compat.array_namespace(sg.placeholder("x", (2,))) is sg


def test_array_api_extra():
    xpx = pytest.importorskip("array_api_extra")
    calls = [
        lambda x: xpx.atleast_nd(x, ndim=4),
        lambda x: xpx.kron(x[0], x[1]),
        lambda x: xpx.pad(x, 1),
        lambda x: xpx.sinc(x / 30),
        lambda x: xpx.cov(x[0]),
        lambda x: xpx.create_diagonal(x[0, 0]),
        lambda x: xpx.nan_to_num(x),
    ]
    for call in calls:
        np.testing.assert_allclose(in_both_modes(call), call(X), rtol=1e-12)
    x = dg.zeros(3)
    assert xpx.at(x)[1].set(5.0).tolist() == [0.0, 5.0, 0.0]
    assert xpx.nunique(dg.tensor([1, 2, 2])).item() == 2
    assert xpx.setdiff1d(dg.tensor([1, 2, 3]), dg.tensor([2])).tolist() == [1, 3]


def test_scipy_takes_arrays_of_the_standard():
    """SciPy reads the environment when it is imported."""
    pytest.importorskip("array_api_compat")
    said = run_alone(
        """
        import numpy as np, scipy, dyngraph as dg
        import scipy.special, scipy.stats, scipy.signal, scipy.integrate, scipy.cluster
        y = np.linspace(0.1, 2, 6)
        calls = [
            scipy.special.erf, scipy.special.gammaln, scipy.special.logsumexp,
            scipy.special.softmax, lambda y: scipy.special.xlogy(y, y), scipy.special.i0,
            scipy.stats.skew, scipy.stats.kurtosis, scipy.stats.zscore, scipy.stats.gmean,
            scipy.stats.entropy, lambda y: scipy.stats.pearsonr(y, y * y).statistic,
            lambda y: scipy.stats.ttest_1samp(y, 0.5).pvalue,
            lambda y: scipy.signal.convolve(y, y), scipy.integrate.trapezoid,
            lambda y: scipy.cluster.vq.whiten(y.reshape((3, 2))),
        ]
        for call in calls:
            found = call(dg.tensor(y))
            assert type(found) is dg.Tensor, found
            np.testing.assert_allclose(found.numpy(), call(y), rtol=1e-12, atol=1e-15)
        print(len(calls))
        """,
        SCIPY_ARRAY_API="1",
    )
    assert said == "16\n"


def rosenbrock(xp, x):
    return xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_scipy_minimises_with_our_gradients():
    from scipy.optimize import minimize

    run = sg.function(sg.value_and_grad(lambda x: rosenbrock(sg, x)))
    eager = dg.value_and_grad(lambda x: rosenbrock(dg, x))

    def step(x):
        value, gradient = eager(dg.tensor(x))
        return value.item(), gradient.numpy()

    for function in (run, step):
        found = minimize(function, np.zeros(4), jac=True, method="BFGS")
        assert found.success
        np.testing.assert_allclose(found.x, 1.0, atol=1e-4)


def test_scikit_learn_dispatches():
    pytest.importorskip("sklearn")
    pytest.importorskip("array_api_compat")
    said = run_alone(
        """
        import numpy as np, sklearn, dyngraph as dg
        from sklearn.metrics import accuracy_score, r2_score
        from sklearn.preprocessing import MinMaxScaler, StandardScaler
        x = np.random.default_rng(0).normal(size=(20, 3))
        wanted = [each().fit_transform(x) for each in (StandardScaler, MinMaxScaler)]
        sklearn.set_config(array_api_dispatch=True)
        for each, want in zip((StandardScaler, MinMaxScaler), wanted):
            found = each().fit_transform(dg.tensor(x))
            assert type(found) is dg.Tensor
            np.testing.assert_allclose(found.numpy(), want)
        y = dg.tensor(x[:, 0])
        print(r2_score(y, y), accuracy_score(dg.tensor([1, 0]), dg.tensor([1, 1])))
        """,
        SCIPY_ARRAY_API="1",
    )
    assert said == "1.0 0.5\n"


def test_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    parameters = {"w": dg.tensor(X), "b": dg.tensor([1, 2], dtype="int8")}
    path = tmp_path / "parameters.safetensors"
    safetensors.save_file({name: x.numpy() for name, x in parameters.items()}, path)
    loaded = {name: dg.asarray(x) for name, x in safetensors.load_file(path).items()}
    for name, x in parameters.items():
        np.testing.assert_array_equal(loaded[name].numpy(), x.numpy(), strict=True)
    with sg.Graph():
        w = sg.variable(safetensors.load_file(path)["w"], name="w")
        np.testing.assert_array_equal(w.value, X)
