"""Functions on axes of unknown length: what they give for each length, or a refusal by name."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.errors import SideBySideError, SymbolicValueError

RNG = np.random.default_rng(0)
IMAGES, ROWS, MATRICES, HEADS = (2, 4, 6, 6), (3, 6), (4, 3, 3), (2, 2, 5, 4)
KERNEL, BACK = RNG.normal(size=(3, 4, 3, 3)), RNG.normal(size=(4, 3, 3, 3))
INTO, STATE = RNG.normal(size=(12, 4)), RNG.normal(size=(12, 3))

CALLS = {
    "adaptive_avg_pool": (lambda xp, x: xp.adaptive_avg_pool2d(x, 3), IMAGES),
    "global pool": (lambda xp, x: xp.adaptive_avg_pool2d(x, 1), IMAGES),
    "avg_pool": (lambda xp, x: xp.avg_pool2d(x, 3, stride=1, padding=1), IMAGES),
    "max_pool": (lambda xp, x: xp.max_pool2d(x, 2, ceil_mode=True), IMAGES),
    "conv2d": (lambda xp, x: xp.conv2d(x, KERNEL, padding=1), IMAGES),
    "conv2d same": (lambda xp, x: xp.conv2d(x, KERNEL, padding="same"), IMAGES),
    "conv_transpose": (lambda xp, x: xp.conv_transpose2d(x, BACK, stride=2), IMAGES),
    "interpolate": (lambda xp, x: xp.interpolate(x, scale_factor=2, mode="bilinear"), IMAGES),
    "pixel_shuffle": (lambda xp, x: xp.pixel_shuffle(x, 2), IMAGES),
    "unfold": (lambda xp, x: xp.unfold(x, 2), IMAGES),
    "group_norm": (lambda xp, x: xp.group_norm(x, 2), IMAGES),
    "instance_norm": (lambda xp, x: xp.instance_norm(x), IMAGES),
    "local_response_norm": (lambda xp, x: xp.local_response_norm(x, 3), IMAGES),
    "rms_norm": (lambda xp, x: xp.rms_norm(x, (6,)), IMAGES),
    "normalize": (lambda xp, x: xp.normalize(x), ROWS),
    "cosine_similarity": (lambda xp, x: xp.cosine_similarity(x, x * 2 + 1), ROWS),
    "huber_loss": (lambda xp, x: xp.huber_loss(x, x * x), ROWS),
    "kl_div": (lambda xp, x: xp.kl_div(x, x * x, reduction="batchmean"), ROWS),
    "cross_entropy": (lambda xp, x: xp.cross_entropy(x, xp.argmin(x, axis=1)), ROWS),
    "ignored class": (
        lambda xp, x: xp.cross_entropy(x, xp.argmin(x, axis=1), ignore_index=2),
        ROWS,
    ),
    "glu": (lambda xp, x: xp.glu(x), ROWS),
    "attention": (lambda xp, x: xp.scaled_dot_product_attention(x, x * 0.5, x + 1), HEADS),
    "causal attention": (
        lambda xp, x: xp.scaled_dot_product_attention(x, x * 0.5, x + 1, is_causal=True),
        HEADS,
    ),
    "gru": (lambda xp, x: xp.gru(x, np.zeros((2, 4)), INTO, INTO)[0], (5, 2, 4)),
    "lstm": (
        lambda xp, x: xp.lstm(x, (np.zeros((2, 3)), np.zeros((2, 3))), INTO, STATE)[0],
        (5, 2, 4),
    ),
    "diff": (lambda xp, x: xp.diff(x, prepend=0.0, n=2), ROWS),
    "isin": (lambda xp, x: xp.isin(x, x[:1]) * x, ROWS),
    "sum with a dtype": (lambda xp, x: xp.sum(x, axis=0, dtype="float32"), ROWS),
    "copied reshape": (lambda xp, x: xp.reshape(x, (-1,), copy=True), ROWS),
    "vmap": (lambda xp, x: xp.vmap(lambda row: xp.softmax(row) * xp.sum(row))(x), ROWS),
    "accumulate": (lambda _, x: np.add.accumulate(x, axis=1), ROWS),
    **{
        name: (lambda xp, x, name=name: xp.abs(getattr(xp.fft, name)(x, norm="ortho")), ROWS)
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "fftn", "rfft2", "irfft2")
    },
    "fftshift": (lambda xp, x: xp.fft.fftshift(x), ROWS),
    "ifftshift": (lambda xp, x: xp.fft.ifftshift(x, axes=1), ROWS),
    **{
        f"linalg.{name}": (lambda xp, x, name=name: getattr(xp.linalg, name)(x) * 1.0, MATRICES)
        for name in ("inv", "det", "svdvals", "pinv", "expm", "cond", "matrix_norm")
    },
    "matrix_power": (lambda xp, x: xp.linalg.matrix_power(x, 3), MATRICES),
    "rank of a row": (lambda xp, x: xp.linalg.matrix_rank(x[:1]) * x, ROWS),
    "cross": (lambda xp, x: xp.cross(x, x * 2 + 1), (4, 3)),
    "trace": (lambda xp, x: xp.trace(x), ROWS),
}
PLACES = [(name, axis) for name, (_, shape) in CALLS.items() for axis in range(len(shape))]


def found_by(f, x):
    """Return the value and the gradient of the sum of its squares, or the error."""
    t = dg.tensor(x, requires_grad=True)
    try:
        y = f(dg, t)
        (g,) = dg.grad(dg.sum(y * y), [t], unused="zero")
    except SideBySideError as error:
        return error
    return y.detach().numpy(), g.numpy()


@pytest.mark.parametrize(("name", "axis"), PLACES)
def test_one_program_serves_every_length_or_is_refused(name, axis):
    f, shape = CALLS[name]
    symbolic = [*shape]
    symbolic[axis] = sg.dim(f"length_{axis}")
    try:
        with sg.Graph():
            x = sg.placeholder("x", tuple(symbolic), "float64")
            y = f(sg, x)
            (g,) = sg.gradients(sg.sum(y * y), [x], unused="zero")
        run = sg.compile([y, g], [x], backend="numpy")
    except SideBySideError:
        return  # by name, before it runs
    for length in (shape[axis], shape[axis] + 3):
        given = [*shape]
        given[axis] = length
        array = np.random.default_rng(length).normal(size=given)
        expected = found_by(f, array)
        if isinstance(expected, SideBySideError):
            with pytest.raises(SideBySideError):
                run(array)
            continue
        for one, other in zip(run(array), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


SERVED = [
    ("attention", 3),
    ("causal attention", 2),
    ("causal attention", 3),
    ("fft", 0),
    ("conv2d", 0),
    ("rank of a row", 0),
]


@pytest.mark.parametrize(("name", "axis"), SERVED)
def test_what_is_served(name, axis):
    f, shape = CALLS[name]
    symbolic = [*shape]
    symbolic[axis] = sg.dim(f"length_{axis}")
    with sg.Graph():
        assert f(sg, sg.placeholder("x", tuple(symbolic), "float64")) is not None


def test_what_a_division_of_a_length_leaves_is_refused_by_name():
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("length_0"), 3))
        for call in (sg.fft.fftshift, sg.fft.ifftshift):
            with pytest.raises(
                SymbolicValueError, match="shift follows from a length by a division"
            ):
                call(x)
        halves = sg.placeholder("halves", (2 * sg.dim("half"), 3))
        shifted = sg.fft.fftshift(halves, axes=0)
    run = sg.compile([shifted], [halves], backend="numpy")
    for half in (1, 4):
        array = RNG.normal(size=(2 * half, 3)).astype("float32")
        np.testing.assert_array_equal(run(array)[0], np.fft.fftshift(array, axes=0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rank_follows_the_length_of_each_run(dtype):
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("rows_of_a_rank", min=3), 3), dtype)
        run = sg.compile([sg.linalg.matrix_rank(x)], [x], backend="numpy")
    for rows in (3, 5, 300):
        rng = np.random.default_rng(rows)
        array = (rng.normal(size=(rows, 2)) @ rng.normal(size=(2, 3))).astype(dtype)
        assert run(array)[0] == np.linalg.matrix_rank(array) == 2
        assert dg.linalg.matrix_rank(dg.tensor(array)).item() == 2
