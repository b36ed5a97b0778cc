"""Programs of others' studies: what they define, and the same numbers in every mode and library."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import sidebyside as sbs
from oplibrary.messages.errors import SymbolicBoolError
from oplibrary.values.tree import flatten
from sidebyside.cli import main
from sidebyside.modes import find_mode
from sidebyside.workloads.registry import load

SMALL = {
    "l2hmc": (7, {"steps": 3}),
    "mnist_linear": (5, {"steps": 3}),
    "tree_lstm": (4, {}),
    "tree_lstm_fixed": (4, {}),
    "gmm": ((12, 3, 4), {}),
    "lstm": (6, {"bits": 5}),
    "ba": ((3, 5, 11), {}),
    "ht": ((9, 6), {}),
    "kmeans": ((40, 3, 4), {}),
    "lse": (30, {}),
    "ode": (6, {"steps": 4}),
    "det": (4, {}),
    "saddle": (None, {}),
    "jacobi_1d": ((3, 9), {}),
    "jacobi_2d": ((3, 7), {}),
    "heat_3d": ((2, 6), {}),
    "seidel_2d": ((2, 6), {}),
    "fdtd_2d": ((3, 6, 7), {}),
    "hdiff": ((5, 4, 3), {}),
    "sine_chain": (None, {}),
    "d2l_mlp": (2, {}),
    "gpt": ((2, 6), {"layers": 1, "width": 16, "vocabulary": 11}),
}
DECLARED = [name for name in SMALL if name not in ("tree_lstm", "saddle")]


def small(name):
    """Return a program and inputs that it takes next to no time for."""
    size, parameters = SMALL[name]
    workload = load(name)
    for parameter, value in parameters.items():
        workload = workload.with_parameter(parameter, value)
    return workload, workload.make_inputs(size)


def run(workload, inputs, mode="dynamic"):
    prepared = find_mode(mode).prepare(workload, inputs)
    return prepared.arrays(prepared.run())


def results_of(name, mode="dynamic"):
    return run(*small(name), mode)


def assert_close(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        scale = max(float(np.abs(other).max(initial=0)), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def test_all_are_tried():
    assert list(SMALL) == list(sbs.FOREIGN)
    assert not set(sbs.FOREIGN) & set(sbs.BUILTIN)


@pytest.mark.parametrize("name", SMALL)
def test_inputs_are_always_the_same_and_described(name):
    workload, inputs = small(name)
    assert load(name).name == name
    assert workload.title
    assert workload.description
    for one, other in zip(flatten(inputs)[0], flatten(small(name)[1])[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", DECLARED)
def test_static_gives_the_bits_of_dynamic_and_machine_code_nearly(name):
    workload, inputs = small(name)
    dynamic = run(workload, inputs)
    double = dynamic[0].dtype == np.float64
    assert all(np.isfinite(each).all() for each in dynamic)
    for one, other in zip(run(workload, inputs, "static"), dynamic, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    machine = run(workload, inputs, "static:native")
    assert_close(machine, dynamic, 1e-13 if double else 2e-5)


@pytest.mark.parametrize("name", ["mnist_linear", "gmm", "lstm", "kmeans", "det", "seidel_2d"])
def test_interpreted_gives_the_same_bits(name):
    for one, other in zip(results_of(name, "static:interpret"), results_of(name), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "torch") for name in SMALL), ("lse", "jax.jit"), ("mnist_linear", "jax.jit")],
)
def test_other_libraries_agree(name, mode):
    pytest.importorskip(mode.partition(".")[0])
    workload, inputs = small(name)
    found = run(workload, inputs, mode)
    assert_close(found, run(workload, inputs), 1e-12 if found[0].dtype == np.float64 else 2e-5)


@pytest.mark.parametrize("name", ["tree_lstm", "saddle"])
def test_control_flow_by_values_is_refused_where_it_is_declared(name):
    workload, inputs = small(name)
    assert workload.dynamic_only
    with pytest.raises(SymbolicBoolError) as caught:
        run(workload, inputs, "static")
    assert caught.value.source is not None
    assert "foreign" not in caught.value.source.place  # a line of the program, as a user's is


# definitions --------------------------------------------------------------------------------------


def test_saddle_ends_where_its_benchmark_says():
    import dyngraph as dg
    from sidebyside.workloads.foreign.gradbench.saddle_point import descend

    lowest = descend(dg, lambda y: dg.sum(y * y), dg.ones(2, dtype="float64"), rate=1e-5)
    np.testing.assert_allclose(lowest.numpy(), 8.246324826140356e-06, rtol=1e-9)
    for found in results_of("saddle"):
        assert 0 < np.abs(found).max() < 1e-5


def test_det_is_the_determinant():
    (matrix,) = small("det")[1]
    value, gradient = results_of("det")
    np.testing.assert_allclose(value, np.linalg.det(matrix))
    np.testing.assert_allclose(gradient, value * np.linalg.inv(matrix).T)


def test_kmeans_steps_to_the_means():
    points, centroids = small("kmeans")[1]
    value, direction = results_of("kmeans")
    squares = ((points[:, None] - centroids) ** 2).sum(axis=2)
    nearest = squares.argmin(axis=1)
    means = [points[nearest == each].mean(axis=0) for each in range(len(centroids))]
    np.testing.assert_allclose(value, squares.min(axis=1).sum())
    np.testing.assert_allclose(centroids - direction, means)


def test_lse_has_the_softmax_as_gradient():
    (x,) = small("lse")[1]
    value, gradient = results_of("lse")
    np.testing.assert_allclose(value, np.log(np.exp(x).sum()))
    np.testing.assert_allclose(gradient, np.exp(x) / np.exp(x).sum())


def test_ode_is_exact_up_to_four_factors():
    x, _ = small("ode")[1]
    _, y, _ = results_of("ode")
    exact = np.cumprod(x * 2.0) / np.cumprod(np.arange(1.0, 7.0))
    np.testing.assert_allclose(y[:4], exact[:4])
    np.testing.assert_allclose(y, exact, rtol=0.02)


def test_gmm_is_the_posterior_of_its_densities():
    stats = pytest.importorskip("scipy.stats")
    mixture, points, *_ = small("gmm")[1]
    count, size = points.shape
    weights = np.exp(mixture.alphas) / np.exp(mixture.alphas).sum()
    densities, prior = np.zeros(count), 0.0
    for k, weight in enumerate(weights):
        factor = np.diag(np.exp(mixture.diagonals[k]))
        factor.T[np.triu_indices(size, 1)] = mixture.below[k]
        precision = factor.T @ factor
        normal = stats.multivariate_normal(mixture.means[k], np.linalg.inv(precision))
        densities += weight * normal.pdf(points)
        prior += stats.wishart(size + 1, np.eye(size)).logpdf(precision)
    np.testing.assert_allclose(results_of("gmm")[0], np.log(densities).sum() + prior)


def test_lstm_is_its_loop():
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    p, hiddens, cells, text = small("lstm")[1]
    hiddens, cells, total = hiddens.copy(), cells.copy(), 0.0
    for character, following in pairwise(text):
        signal = character * p.inward
        for layer, (w, b) in enumerate(zip(p.weights, p.biases, strict=True)):
            kept = cells[layer] * sigmoid(signal * w[0] + b[0])
            new = sigmoid(hiddens[layer] * w[1] + b[1]) * np.tanh(hiddens[layer] * w[3] + b[3])
            cells[layer] = kept + new
            hiddens[layer] = sigmoid(signal * w[2] + b[2]) * np.tanh(cells[layer])
            signal = hiddens[layer]
        scores = signal * p.outward + p.outward_bias
        total += (following * (scores - np.log(np.exp(scores).sum() + 2))).sum()
    loss = -total / following.size / (len(text) - 1)
    np.testing.assert_allclose(results_of("lstm")[0], loss)


def test_ba_has_the_derivatives_of_its_errors():
    workload, inputs = small("ba")
    errors, of_weights, *rows, slopes = run(workload, inputs)
    cameras, points, weights, *_ = inputs
    np.testing.assert_allclose(of_weights, 1 - weights**2)
    np.testing.assert_allclose(slopes, -2 * weights)
    for argument in (0, 1):
        for column in range(inputs[argument].shape[1]):
            ends = []
            for sign in (1, -1):
                moved = [np.array(each) for each in inputs]
                moved[argument][:, column] += sign * 1e-6
                ends.append(run(workload, moved)[0])
            numeric = (ends[0] - ends[1]) / 2e-6
            for coordinate in range(2):
                found = rows[3 * coordinate + argument][:, column]
                np.testing.assert_allclose(found, numeric[:, coordinate], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rows[2][:, 0] * weights, errors[:, 0])
    assert len(cameras) < len(points) < len(errors)


def test_ht_at_rest_is_the_model_itself_and_moves_as_its_jacobian_says():
    workload, inputs = small("ht")
    theta, _, _, rest, _, matches, points = inputs
    still = np.zeros_like(theta)
    still[0] = 2 * np.pi  # a whole turn
    errors, _ = run(workload, (still, *inputs[1:]))
    np.testing.assert_allclose(errors, (points - rest[:3, matches]).T.reshape(-1), atol=1e-12)
    _, jacobian = run(workload, inputs)
    way = np.linspace(-1, 1, len(theta))
    ends = [run(workload, (theta + each * way, *inputs[1:]))[0] for each in (1e-6, -1e-6)]
    np.testing.assert_allclose(jacobian @ way, (ends[0] - ends[1]) / 2e-6, atol=1e-7)


def test_l2hmc_goes_back_where_it_came_from():
    import dyngraph as dg
    from sidebyside.workloads.foreign.tensorflow.l2hmc import _Leapfrog

    p, x, v, _, masks, times, precision = load("l2hmc").make_inputs(5)
    leapfrog = _Leapfrog(dg, p, dg.tensor(precision), 0.1)
    start = dg.tensor(x), dg.tensor(v), dg.zeros(5)
    there = leapfrog.forward(start, masks[3], times[3])
    assert np.abs(there[0].numpy() - x).max() > 0.01
    for one, other in zip(leapfrog.backward(there, masks[3], times[3]), start, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)


def sweep_line(a):
    a[1:-1] = 0.33333 * (a[:-2] + a[1:-1] + a[2:])


def sweep_plane(a):
    across = a[1:-1, :-2] + a[1:-1, 2:]
    a[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + across + a[2:, 1:-1] + a[:-2, 1:-1])


def sweep_box(a):
    old = a.copy()
    for i, j, k in np.ndindex(*(length - 2 for length in a.shape)):
        near = old[i : i + 3, j : j + 3, k : k + 3]
        ends = near[[0, 2], 1, 1].sum() + near[1, [0, 2], 1].sum() + near[1, 1, [0, 2]].sum()
        a[i + 1, j + 1, k + 1] = 0.125 * (ends - 6 * near[1, 1, 1]) + near[1, 1, 1]


@pytest.mark.parametrize(
    ("name", "sweep"),
    [("jacobi_1d", sweep_line), ("jacobi_2d", sweep_plane), ("heat_3d", sweep_box)],
)
def test_stencils_are_sweeps_in_place(name, sweep):
    workload, (a, times) = small(name)
    _, found, _ = run(workload, (a, times))
    for _ in range(2 * len(times)):
        sweep(a)
    np.testing.assert_allclose(found, a)


def test_seidel_reads_what_is_new():
    workload, (a, times) = small("seidel_2d")
    _, found, _ = run(workload, (a, times))
    for _ in times:
        for i, j in np.ndindex(a.shape[0] - 2, a.shape[1] - 2):
            a[i + 1, j + 1] = a[i : i + 3, j : j + 3].mean()
    np.testing.assert_allclose(found, a)


def test_fdtd_is_written_in_place():
    workload, (fields, source) = small("fdtd_2d")
    _, *found = run(workload, (fields, source))[:4]
    along, across, magnetic = fields
    for now in source:
        across[0] = now
        across[1:] -= 0.5 * (magnetic[1:] - magnetic[:-1])
        along[:, 1:] -= 0.5 * (magnetic[:, 1:] - magnetic[:, :-1])
        curl = along[:-1, 1:] - along[:-1, :-1] + across[1:, :-1] - across[:-1, :-1]
        magnetic[:-1, :-1] -= 0.7 * curl
    for one, other in zip(found, fields, strict=True):
        np.testing.assert_allclose(one, other)


def test_hdiff_lets_no_flux_amplify():
    workload, (field, coefficient) = small("hdiff")
    found = run(workload, (field, coefficient))[1]
    padded = np.pad(field, ((1, 1), (1, 1), (0, 0)))
    around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    curved = 4 * field - around
    expected = field[2:-2, 2:-2].copy()
    for axis in (0, 1):
        flux = np.diff(curved, axis=axis)
        flux[flux * np.diff(field, axis=axis) > 0] = 0
        flux = flux[1:-1, 2:-2] if axis == 0 else flux[2:-2, 1:-1]
        expected -= coefficient * np.diff(flux, axis=axis)
    np.testing.assert_allclose(found, expected)


def test_gpt_takes_a_step_of_adam():
    workload, inputs = small("gpt")
    loss, *after = run(workload, inputs)
    assert loss == pytest.approx(np.log(11), rel=0.05)
    before = [flatten(each)[0] for each in inputs[:3]]
    count = len(before[0])
    rate = 3e-4 * np.sqrt(1 - 0.999**1000) / (1 - 0.9**1000)
    for old, mean, square, *new in zip(
        *before, after[:count], after[count : 2 * count], after[2 * count :], strict=True
    ):
        slope = (new[1] - 0.9 * mean) / 0.1
        np.testing.assert_allclose(new[2], 0.999 * square + 0.001 * slope**2, rtol=1e-3)
        moved = rate * new[1] / (np.sqrt(new[2]) + 1e-8)
        np.testing.assert_allclose(new[0], old - moved, rtol=1e-4, atol=1e-6)


def test_a_fixed_tree_is_the_tree_that_its_seed_draws():
    whole, inputs = small("tree_lstm")
    fixed, _ = small("tree_lstm_fixed")
    p, words, *_, target = inputs
    for one, other in zip(run(whole, inputs), run(fixed, (p, words, target)), strict=True):
        np.testing.assert_array_equal(one, other)


# use ----------------------------------------------------------------------------------------------


def test_two_parameters_are_set_one_after_the_other():
    workload = load("gpt").with_parameter("layers", 3).with_parameter("width", 8)
    model, *_ = workload.with_parameter("vocabulary", 5).make_inputs((1, 4))
    assert len(model.blocks) == 3
    assert model.tokens.shape == (5, 8)


def test_the_page_has_each_with_its_study():
    text = (Path(__file__).parents[2] / "docs" / "foreign_programs.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| \[.+?\]\(https://\S+\) \| (.+?) \|", text, re.MULTILINE)
    assert rows == [(name, load(name).title) for name in sbs.FOREIGN]


def test_they_are_compared_by_name_and_listed(capsys):
    assert main(["compare", "det", "--size", "2", "--budget", "0.02"]) == 0
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "programs of others' studies" in listed
    assert all(f"  {name} " in listed for name in sbs.FOREIGN)


def test_none_is_loaded_before_it_is_asked_for():
    program = (
        "import sys, sidebyside, sidebyside.cli\n"
        "print([n for n in sys.modules if n.startswith('sidebyside.workloads.foreign.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
