"""Draws from keys: their distribution against SciPy's, their gradients, the same in every mode."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph import errors

scipy_stats = pytest.importorskip("scipy.stats")
KEY = dg.random_key(3).numpy()
N = 4000
FIVE = scipy_stats.binom(4, 0.4).pmf(range(5))

CONTINUOUS = {
    "exponential": (lambda xp, key, dtype: xp.exponential(key, (N,), dtype), scipy_stats.expon()),
    "gumbel": (lambda xp, key, dtype: xp.gumbel(key, (N,), dtype), scipy_stats.gumbel_r()),
    "laplace": (lambda xp, key, dtype: xp.laplace(key, (N,), dtype), scipy_stats.laplace()),
    "cauchy": (lambda xp, key, dtype: xp.cauchy(key, (N,), dtype), scipy_stats.cauchy()),
}
for a in (0.3, 1.0, 7.5):
    CONTINUOUS[f"gamma {a}"] = (
        lambda xp, key, dtype, a=a: xp.gamma(key, a, (N,), dtype),
        scipy_stats.gamma(a),
    )
for a, b in ((0.5, 0.5), (2.0, 5.0)):
    CONTINUOUS[f"beta {a} {b}"] = (
        lambda xp, key, dtype, a=a, b=b: xp.beta(key, a, b, (N,), dtype),
        scipy_stats.beta(a, b),
    )
for df in (0.8, 5.0):
    CONTINUOUS[f"student_t {df}"] = (
        lambda xp, key, dtype, df=df: xp.student_t(key, df, (N,), dtype),
        scipy_stats.t(df),
    )
for low, high in ((-1.0, 2.0), (3.0, 4.0), (-np.inf, -2.0), (5.0, np.inf)):
    CONTINUOUS[f"truncated_normal {low} {high}"] = (
        lambda xp, key, dtype, low=low, high=high: xp.truncated_normal(key, low, high, (N,), dtype),
        scipy_stats.truncnorm(low, high),
    )


def same_in_every_mode(draw):
    """Return what `draw(xp, key)` gives in dyngraph, after every backend has given its bits."""
    eager = draw(dg, dg.tensor(KEY)).numpy()
    for backend in ("interpret", "numpy"):
        compiled = sg.function(lambda key: draw(sg, key), backend=backend)(KEY)
        assert (compiled.dtype, compiled.shape) == (eager.dtype, eager.shape)
        np.testing.assert_array_equal(compiled, eager)
    machine = sg.function(lambda key: draw(sg, key), backend="native")(KEY)
    close = 1e-4 if eager.dtype == np.float32 else 1e-7
    np.testing.assert_allclose(machine, eager, rtol=close, atol=close)
    return eager


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_have_their_distribution(name, dtype):
    draw, theirs = CONTINUOUS[name]
    found = same_in_every_mode(lambda xp, key: draw(xp, key, dtype))
    assert found.dtype == dtype
    assert found.shape == (N,)
    assert scipy_stats.kstest(found.astype("float64"), theirs.cdf).pvalue > 1e-3


DISCRETE = {
    "poisson": (lambda xp, key: xp.poisson(key, 3.5, (N,)), scipy_stats.poisson(3.5), 12),
    "binomial": (lambda xp, key: xp.binomial(key, 9, 0.3, (N,)), scipy_stats.binom(9, 0.3), 8),
    "multinomial": (
        lambda xp, key: xp.multinomial(key, 9, np.array([3.0, 7.0]), (N,))[:, 0],
        scipy_stats.binom(9, 0.3),
        8,
    ),
    "categorical": (
        lambda xp, key: xp.categorical(key, np.log(FIVE), (N,)),
        scipy_stats.binom(4, 0.4),
        4,
    ),
    "choice": (
        lambda xp, key: xp.choice(key, 5, (N,), p=FIVE),
        scipy_stats.binom(4, 0.4),
        4,
    ),
    "choice of all": (
        lambda xp, key: xp.choice(key, np.arange(5), (N,)),
        scipy_stats.randint(0, 5),
        4,
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_whole_numbers_have_their_distribution(name):
    draw, theirs, most = DISCRETE[name]
    found = same_in_every_mode(draw)
    assert found.dtype == np.int64
    counts = np.bincount(np.minimum(found, most), minlength=most + 1)
    expected = theirs.pmf(np.arange(most + 1))
    expected[most] = 1 - expected[:most].sum()
    assert scipy_stats.chisquare(counts, expected * N).pvalue > 1e-3


def test_vectors_add_up_to_one_and_have_their_mean():
    a = np.array([0.01, 2.0, 3.0])
    found = same_in_every_mode(lambda xp, key: xp.dirichlet(key, a, (N,)))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for i in range(3):
        cdf = scipy_stats.beta(a[i], a.sum() - a[i]).cdf
        assert scipy_stats.kstest(found[:, i], cdf).pvalue > 1e-3
    tiny = same_in_every_mode(lambda xp, key: xp.dirichlet(key, np.full(3, 1e-4, "float32"), (50,)))
    np.testing.assert_allclose(tiny.sum(axis=1), 1, rtol=1e-6)


def test_normal_vectors_have_their_mean_and_covariance():
    mean, covariance = np.array([1.0, -2.0]), np.array([[2.0, 0.6], [0.6, 0.5]])
    found = same_in_every_mode(lambda xp, key: xp.multivariate_normal(key, mean, covariance, (N,)))
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=0.1)
    with pytest.raises(errors.LinAlgError):
        dg.multivariate_normal(KEY, mean, -covariance)


# gradients ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [1e-3, 0.05, 0.5, 1.0, 3.0, 40.0, 1e4])
def test_gamma_moves_with_its_quantile(a):
    key = dg.tensor(KEY)
    x = np.full(200, a)
    draws, slope = dg.value_and_grad(lambda x: (dg.sum(y := dg.gamma(key, x)), y), has_aux=True)(
        dg.tensor(x)
    )
    draws = draws[1].detach().numpy()
    law, h = scipy_stats.gamma, a * 1e-5
    with np.errstate(all="ignore"):
        upper = law(a).sf(draws)
        quantile = law(a).cdf(draws)
        by_quantile = (law(a + h).ppf(quantile) - law(a - h).ppf(quantile)) / (2 * h)
        by_rest = (law(a + h).isf(upper) - law(a - h).isf(upper)) / (2 * h)
    expected = np.where(quantile < 0.5, by_quantile, by_rest)
    kept = draws > 1e-250
    np.testing.assert_allclose(slope.numpy()[kept], expected[kept], rtol=2e-5)
    assert np.isfinite(slope.numpy()).all()


def test_gamma_moves_as_in_torch():
    torch = pytest.importorskip("torch")
    a = np.array([0.2, 0.9, 1.0, 2.5, 30.0])
    draws, slope = dg.value_and_grad(
        lambda x: (dg.sum(y := dg.gamma(dg.tensor(KEY), x)), y), has_aux=True
    )(dg.tensor(a))
    theirs = torch._standard_gamma_grad(torch.tensor(a), torch.tensor(draws[1].detach().numpy()))
    np.testing.assert_allclose(slope.numpy(), theirs.numpy(), rtol=1e-4)


@pytest.mark.parametrize(
    "program",
    [
        lambda xp, key, x: xp.beta(key, x, x + 1),
        lambda xp, key, x: xp.dirichlet(key, x),
        lambda xp, key, x: xp.student_t(key, x),
        lambda xp, key, x: xp.truncated_normal(key, -x, 2 * x),
        lambda xp, key, x: xp.gamma(key, x, (2, 3)),
    ],
)
def test_gradients_are_the_same_in_every_mode_and_those_of_a_mean(program):
    x = np.array([0.7, 1.5, 3.0])
    weights = np.array([1.0, -2.0, 0.5])

    def slope(xp, key, x):
        return xp.grad(lambda x: xp.sum(program(xp, key, x) * weights))(x)

    eager = slope(dg, dg.tensor(KEY), dg.tensor(x)).numpy()
    for backend in ("numpy", "native"):
        run = sg.function(lambda key, x: slope(sg, key, x), backend=backend)
        np.testing.assert_allclose(run(KEY, x), eager, rtol=0 if backend == "numpy" else 1e-6)
    assert np.isfinite(eager).all()
    assert eager.any()


def test_the_gradient_of_a_mean_of_many_draws():
    # the mean of beta(a, b) is a / (a + b)
    a, b = dg.tensor(np.array(1.5)), dg.tensor(np.array(2.5))
    found = dg.grad(lambda a, b: dg.mean(dg.beta(KEY, a, b, (20000,))), (0, 1))(a, b)
    np.testing.assert_allclose([g.item() for g in found], [2.5 / 16, -1.5 / 16], atol=0.003)


def test_bounds_of_a_truncated_normal_to_second_order():
    low = dg.tensor(np.array([-0.5, 0.4]), requires_grad=True)
    high = dg.tensor(np.array([1.0, 2.0]), requires_grad=True)

    def program(low, high):
        return dg.truncated_normal(KEY, low, high, (4, 2))

    assert dg.gradcheck(program, (low, high))
    assert dg.gradgradcheck(program, (low, high))


def test_a_second_derivative_by_a_concentration_is_refused_by_name():
    for xp, run in ((dg, lambda f: f(dg.tensor(2.0))), (sg, lambda f: sg.function(f)(np.ones(())))):
        with pytest.raises(errors.NotDifferentiableError, match="gamma draw by its concentration"):
            run(xp.grad(xp.grad(lambda a, xp=xp: xp.gamma(KEY, a))))


# choices ------------------------------------------------------------------------------------------


def test_without_replacement_each_is_chosen_once():
    for p in (None, np.array([1.0, 0.0, 2.0, 3.0, 0.5])):
        found = same_in_every_mode(
            lambda xp, key, p=p: xp.choice(key, 5, (2, 2), replace=False, p=p)
        )
        assert len(set(found.reshape(-1))) == 4
        if p is not None:
            assert 1 not in found
    keys = dg.random_split(KEY, 3000)
    p = np.array([1.0, 2.0, 5.0])
    first = [dg.choice(key, 3, (2,), replace=False, p=p).numpy()[0] for key in keys]
    assert scipy_stats.chisquare(np.bincount(first), 3000 * p / 8).pvalue > 1e-3


def test_slices_are_chosen_and_shuffled_along_an_axis():
    x = np.arange(24.0).reshape(2, 3, 4)
    found = same_in_every_mode(lambda xp, key: xp.choice(key, xp.asarray(x), (2, 2), axis=1))
    assert found.shape == (2, 2, 2, 4)
    mixed = same_in_every_mode(lambda xp, key: xp.shuffle(key, xp.asarray(x), axis=2))
    assert mixed.tolist() != x.tolist()
    np.testing.assert_array_equal(np.sort(mixed, axis=2), x)


def test_logits_of_minus_infinity_are_never_drawn():
    logits = np.array([[0.0, -np.inf, 1.0], [-np.inf, 0.0, -np.inf]])
    found = same_in_every_mode(lambda xp, key: xp.categorical(key, logits, (500, 2)))
    assert set(found[:, 0]) == {0, 2}
    assert set(found[:, 1]) == {1}
    turned = dg.categorical(KEY, logits.T, (500, 2), axis=0)
    np.testing.assert_array_equal(turned.numpy(), found)


def test_a_key_fixes_the_draw_under_vmap_too():
    keys = dg.random_split(KEY, 4)
    for name, given in (("gamma", 2.0), ("poisson", 3.0), ("beta", (2.0, 0.5))):
        draw = getattr(dg, name)
        arguments = given if isinstance(given, tuple) else (given,)
        found = dg.vmap(lambda key: draw(key, *arguments, (3,)))(keys)  # noqa: B023
        rows = [draw(key, *arguments, (3,)).numpy() for key in keys]
        np.testing.assert_array_equal(found.numpy(), np.stack(rows))


# bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_is_no_parameter_is_named(xp):
    def call(function, *operands):
        if xp is dg:
            return function(*map(dg.tensor, operands))
        return sg.function(function, backend="numpy")(*operands)

    x = np.array([1.0, -1.0])
    with pytest.raises(errors.ArgumentError, match="gamma: a parameter is out of range"):
        call(lambda a: xp.gamma(KEY, a), x)
    with pytest.raises(errors.ArgumentError, match="poisson_counts: a parameter is out of range"):
        call(lambda a: xp.poisson(KEY, a), x)
    with pytest.raises(errors.ArgumentError, match="binomial"):
        call(lambda p: xp.binomial(KEY, 3, p), x + 2)
    with pytest.raises(errors.ArgumentError, match="multinomial"):
        call(lambda p: xp.multinomial(KEY, 3, p), x)
    with pytest.raises(errors.DTypeError, match="is not a key"):
        call(lambda a: xp.gamma(a, 1.0), x)
    with pytest.raises(errors.DTypeError, match="is not a key"):
        call(lambda p: xp.multinomial(p, 3, p), x)
    with pytest.raises(errors.DTypeError, match="parameters of complex128"):
        call(lambda a: xp.beta(KEY, a, 1.0), x + 0j)
    with pytest.raises(errors.ShapeError, match="for draws of shape"):
        call(lambda a: xp.gamma(KEY, a, (3,)), x)
    with pytest.raises(errors.ShapeError, match="for draws of shape"):
        call(lambda a: xp.poisson(KEY, a, ()), x)
    with pytest.raises(errors.ShapeError, match="has no axis"):
        call(lambda a: xp.dirichlet(KEY, a), x[0])
    with pytest.raises(errors.ShapeError, match="a covariance of"):
        call(lambda a: xp.multivariate_normal(KEY, a, a), x)
    with pytest.raises(errors.DTypeError, match="logits of int64"):
        call(lambda a: xp.categorical(KEY, a), np.array([1, 2]))
    with pytest.raises(errors.ArgumentError, match="choice: 3 of 2"):
        call(lambda a: xp.choice(KEY, a, (3,), replace=False), x)
    with pytest.raises(errors.ShapeError, match="probabilities of shape"):
        call(lambda a: xp.choice(KEY, 3, p=a), x)
    with pytest.raises(errors.ArgumentError, match="choice: 1 of 0"):
        call(lambda a: xp.choice(KEY, a), x[:0])


def test_no_draws_and_no_parameters():
    assert dg.gamma(KEY, dg.zeros((0, 2))).shape == (0, 2)
    assert dg.categorical(KEY, dg.zeros((0, 3))).shape == (0,)
    assert dg.choice(KEY, dg.zeros((0, 3)), (0,)).shape == (0, 3)
    assert dg.shuffle(KEY, dg.zeros((0, 3))).shape == (0, 3)
    assert np.isnan(dg.truncated_normal(KEY, 1.0, -1.0, (2,)).numpy()).all()
    assert dg.gamma(KEY, 0.0).item() == 0


@pytest.mark.parametrize("xp", [dg, sg])
def test_the_gradient_through_a_draw_goes_on_from_what_comes_after(xp):
    a, weight = np.array([0.5, 3.0]), np.array([2.0, -3.0])

    def slope(factor):
        grad = xp.grad(lambda x: xp.sum(xp.gamma(KEY, x) * factor))
        return grad(dg.tensor(a)).numpy() if xp is dg else sg.function(grad)(a)

    np.testing.assert_allclose(slope(weight), weight * slope(np.ones(2)))


def test_a_length_that_only_a_run_knows():
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("n"), 2))
        with pytest.raises(errors.SymbolicValueError, match="choice: from a length"):
            sg.choice(KEY, x, (4,))
        run = sg.compile(sg.choice(KEY, x, (4,), p=sg.ones_like(x[:, 0])), [x], backend="numpy")
    for n in (1, 5):
        rows = np.arange(2.0 * n).reshape(n, 2).astype("float32")
        found = dg.choice(KEY, rows, (4,), p=np.ones(n))
        np.testing.assert_array_equal(run(rows), found.numpy())


# whole numbers have no derivative by their parameters ---------------------------------------------

WITHOUT_A_GRADIENT = {
    "bernoulli": lambda xp, key, p: xp.bernoulli(key, p, (3,)),
    "poisson": lambda xp, key, p: xp.poisson(key, p, (3,)),
    "binomial": lambda xp, key, p: xp.binomial(key, 5, p, (3,)),
    "multinomial": lambda xp, key, p: xp.multinomial(key, 5, xp.stack([p, 1 - p])),
    "categorical": lambda xp, key, p: xp.categorical(key, xp.stack([p, 1 - p]), (3,)),
    "choice": lambda xp, key, p: xp.choice(key, 2, (3,), p=xp.stack([p, 1 - p])),
    "choice without replacement": lambda xp, key, p: xp.choice(
        key, 2, (2,), replace=False, p=xp.stack([p, 1 - p])
    ),
}


@pytest.mark.parametrize("name", WITHOUT_A_GRADIENT)
def test_a_gradient_through_whole_numbers_is_zero_as_documented_or_refused(name):
    draw = WITHOUT_A_GRADIENT[name]
    assert "no gradient" in getattr(dg, name.split()[0]).__doc__
    for xp in (dg, sg):

        def gradient(key, p, unused, xp=xp):
            return xp.grad(lambda p: xp.sum(draw(xp, key, p) * 1.0), unused=unused)(p)

        if xp is dg:
            run = lambda unused: gradient(dg.tensor(KEY), dg.tensor(0.3), unused)  # noqa: E731
        else:
            run = lambda unused: sg.function(lambda k, p: gradient(k, p, unused))(  # noqa: E731
                KEY, np.float32(0.3)
            )
        assert float(run("zero")) == 0
        with pytest.raises(errors.UnusedInputError):
            run("raise")


def test_the_gradient_of_a_mean_by_the_logarithm_of_the_probability():
    """As the docstrings say: d/dp E[f(k)] = E[f(k) d log P(k) / dp]."""

    def surrogate(xp, key, rate):
        k = xp.poisson(key, xp.stop_gradient(rate), (40000,)).astype("float64")
        log_probability = k * xp.log(rate) - rate - xp.lgamma(k + 1)
        return xp.mean(xp.stop_gradient(k * k) * log_probability)

    found = dg.grad(lambda rate: surrogate(dg, dg.tensor(KEY), rate))(dg.tensor(np.array(2.0)))
    compiled = sg.function(sg.grad(lambda rate, key: surrogate(sg, key, rate)), backend="numpy")(
        np.array(2.0), KEY
    )
    assert compiled == found.numpy()
    assert abs(found.item() - 5.0) < 0.3  # E[k**2] is rate + rate**2
