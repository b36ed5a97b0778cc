"""Recurrent cells and layers against torch, in every mode; one step in a compiled program."""

import numpy as np
import pytest
import torch
from tests.common.against_torch import against_torch, draw, in_every_mode, refused

import dyngraph as dg
import staticgraph as sg

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
FEATURES, HIDDEN = 3, 4


def weights(name, biased=True):
    rows = GATES[name] * HIDDEN
    return [
        draw(rows, FEATURES),
        draw(rows, HIDDEN, seed=1),
        *([draw(rows, seed=2), draw(rows, seed=3)] if biased else [None, None]),
    ]


def load(module, parameters, suffix=""):
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for name, value in zip(names, parameters, strict=True):
        if value is not None:
            getattr(module, name + suffix).data = torch.tensor(value)
    return module


@pytest.mark.parametrize("shape", [(2,), ()])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", GATES)
def test_cells_are_those_of_torch(name, biased, shape):
    own = weights(name, biased)
    kinds = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
    theirs = load(kinds[name](FEATURES, HIDDEN, biased, dtype=torch.float64), own)
    x, h, c = draw(*shape, FEATURES), draw(*shape, HIDDEN), draw(*shape, HIDDEN, seed=4)
    if name == "lstm":
        for which in (0, 1):
            against_torch(
                lambda xp, x, h, c, which=which: xp.lstm_cell(x, (h, c), *own)[which],
                lambda x, h, c, which=which: theirs(x, (h, c))[which],
                x,
                h,
                c,
            )
    else:
        against_torch(
            lambda xp, x, h: getattr(xp, f"{name}_cell")(x, h, *own),
            theirs,
            x,
            h,
            second=biased,
        )


@pytest.mark.parametrize("shape", [(5, 2), (5,), (1, 2)])
@pytest.mark.parametrize("name", GATES)
def test_layers_are_those_of_torch(name, shape):
    own = weights(name)
    kinds = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
    theirs = load(kinds[name](FEATURES, HIDDEN, dtype=torch.float64), own, "_l0")
    x, h = draw(*shape, FEATURES), draw(*shape[1:], HIDDEN)
    begin = (h, 2 * h) if name == "lstm" else h
    tensors = (torch.tensor(h)[None], 2 * torch.tensor(h)[None]) if name == "lstm" else None
    if tensors is None:
        tensors = torch.tensor(h)[None]
    against_torch(lambda xp, x: getattr(xp, name)(x, None, *own)[0], lambda x: theirs(x)[0], x)
    against_torch(
        lambda xp, x: getattr(xp, name)(x, begin, *own)[0],
        lambda x: theirs(x, tensors)[0],
        x,
    )
    _, last = getattr(dg, name)(dg.tensor(x), None, *own)
    last = last if name == "lstm" else (last,)
    expected = theirs(torch.tensor(x))[1]
    for mine, other in zip(last, expected if name == "lstm" else (expected,), strict=True):
        np.testing.assert_allclose(mine.numpy(), other.detach().numpy()[0], rtol=1e-10)
    turned = getattr(dg, name)(dg.tensor(x[::-1].copy()), None, *own)[0].numpy()[::-1]
    backwards = in_every_mode(lambda xp, x: getattr(xp, name)(x, None, *own, reverse=True)[0], x)
    np.testing.assert_allclose(backwards[0], turned, rtol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_weights_have_gradients_and_plain_arrays_work(name):
    own, x = weights(name), draw(5, 2, FEATURES)
    found = in_every_mode(lambda xp, *own: getattr(xp, name)(x, None, *own)[0], *own)
    assert all(np.any(each) for each in found)
    from oplibrary import functional

    plain, _ = getattr(functional, name)(x, None, *own)
    np.testing.assert_array_equal(plain, found[0])


def test_a_compiled_layer_has_one_step_however_long_it_runs():
    own = weights("lstm")
    sizes = set()
    for steps in (3, 50):
        with sg.Graph():
            x = sg.placeholder("x", (steps, 2, FEATURES), "float64")
            run = sg.compile(sg.lstm(x, None, *own)[0], [x], backend="native")
        assert "left to NumPy" not in run.report()
        sizes.add(len(run.program.instructions))
    assert len(sizes) == 1


@pytest.mark.parametrize("name", GATES)
def test_layers_of_no_steps_and_no_sequences(name):
    own = weights(name)
    layer = lambda xp, x: getattr(xp, name)(x, None, *own)[0]  # noqa: E731
    assert layer(dg, dg.tensor(np.zeros((0, 2, FEATURES)))).shape == (0, 2, HIDDEN)
    assert in_every_mode(layer, np.zeros((4, 0, FEATURES)))[0].shape == (4, 0, HIDDEN)


W, U = draw(16, FEATURES), draw(16, HIDDEN)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.lstm(x, None, W[:12], U), "weight_ih (12, 3)"),
        (lambda xp, x: xp.lstm(x, None, W, U, U), "bias_ih (16, 4)"),
        (lambda xp, x: xp.lstm(x, x, W, U), "the state is no pair"),
        (lambda xp, x: xp.lstm(x, (x[0], x[0]), W, U), "h (2, 3)"),
        (lambda xp, x: xp.gru(x, x[0], W[:12], U[:12]), "state (2, 3)"),
        (lambda xp, x: xp.gru(x[0, 0], None, W[:12], U[:12]), "x (3,)"),
        (lambda xp, x: xp.rnn(x, None, W[:4], U[:4], nonlinearity="sin"), "nonlinearity is 'sin'"),
        (lambda xp, x: xp.rnn(x, None, W[:4], U[:4], reverse="a"), "reverse must be a bool"),
        (lambda xp, x: xp.lstm_cell(x[0], x[0], W, U), "the state is no pair"),
        (lambda xp, x: xp.rnn(x * 1j, None, W[:4], U[:4]), "rnn is not defined for complex128"),
    ],
)
def test_recurrent_layers_say_what_does_not_fit(function, what):
    assert what in refused(function, draw(5, 2, FEATURES))[1]
