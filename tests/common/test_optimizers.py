"""Optimisers against torch.optim over some steps, in both modes, and what they refuse."""

import math

import numpy as np
import pytest
import torch

import dyngraph as dg
import staticgraph as sg

O = dg.optimizers  # noqa: E741  what the tests are about
X = np.random.default_rng(0).normal(size=(8, 3))
Y = np.random.default_rng(1).normal(size=(8, 2))
START = {
    "w": np.random.default_rng(2).normal(size=(3, 2)),
    "b": [np.zeros(2), np.random.default_rng(3).normal(size=())],
}


def loss(xp, parameters, x, y):
    first, shift = parameters["b"]
    found = xp.tanh(xp.matmul(x, parameters["w"]) + first) * shift
    return xp.sum((found - y) ** 2)


def torch_steps(make, steps, clip=None, schedule=None):
    leaves = [torch.tensor(p, requires_grad=True) for p in (START["w"], *START["b"])]
    optimizer = make(leaves)
    planned = schedule(optimizer) if schedule else None
    x, y = torch.tensor(X), torch.tensor(Y)
    for _ in range(steps):
        optimizer.zero_grad()
        (((x @ leaves[0] + leaves[1]).tanh() * leaves[2] - y) ** 2).sum().backward()
        if clip:
            clip(leaves)
        optimizer.step()
        if planned:
            planned.step()
    return [leaf.detach().numpy() for leaf in leaves]


def step(xp, optimizer):
    def run(parameters, state, x, y):
        value, gradients = xp.value_and_grad(lambda p: loss(xp, p, x, y))(parameters)
        updates, state = optimizer.update(gradients, state, parameters)
        return xp.optimizers.apply_updates(parameters, updates), state, value

    return run


def eager_steps(optimizer, steps, dtype="float64"):
    convert = lambda x: dg.tensor(np.asarray(x, dtype))  # noqa: E731
    parameters = {"w": convert(START["w"]), "b": [convert(b) for b in START["b"]]}
    state = optimizer.init(parameters)
    run = step(dg, optimizer)
    for _ in range(steps):
        parameters, state, _ = run(parameters, state, convert(X), convert(Y))
    return [parameters["w"], *parameters["b"]], state


def compiled_steps(optimizer, steps, backend):
    parameters = {"w": START["w"], "b": list(START["b"])}
    state = optimizer.init(parameters)
    run = sg.function(step(sg, optimizer), backend=backend)
    for _ in range(steps):
        parameters, state, _ = run(parameters, state, X, Y)
    return [parameters["w"], *parameters["b"]]


OPTIMIZERS = {
    "sgd": (lambda: O.sgd(0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "momentum": (
        lambda: O.sgd(0.05, 0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, 0.9, weight_decay=0.1),
    ),
    "nesterov": (
        lambda: O.sgd(0.05, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True),
    ),
    "adam": (lambda: O.adam(0.05), lambda p: torch.optim.Adam(p, 0.05)),
    "adam-1": (
        lambda: O.adam(0.05, 0.8, 0.9, 1e-3),
        lambda p: torch.optim.Adam(p, 0.05, (0.8, 0.9), 1e-3),
    ),
    "adam-0": (lambda: O.adam(0.05, 0.0), lambda p: torch.optim.Adam(p, 0.05, (0.0, 0.999))),
    "adamw": (
        lambda: O.adamw(0.05, weight_decay=0.2),
        lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.2),
    ),
    "rmsprop": (lambda: O.rmsprop(0.05), lambda p: torch.optim.RMSprop(p, 0.05)),
    "rmsprop-momentum": (
        lambda: O.rmsprop(0.05, 0.9, 1e-3, 0.5),
        lambda p: torch.optim.RMSprop(p, 0.05, 0.9, 1e-3, momentum=0.5),
    ),
    "adagrad": (
        lambda: O.adagrad(0.5, 0.1),
        lambda p: torch.optim.Adagrad(p, 0.5, initial_accumulator_value=0.1),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_go_the_way_of_torch_in_every_mode(name):
    make, theirs = OPTIMIZERS[name]
    optimizer = make()
    expected = torch_steps(theirs, 6)
    eager, _ = eager_steps(optimizer, 6)
    for mine, other in zip(eager, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, rtol=1e-10, atol=1e-12)
    for mine, other in zip(eager, compiled_steps(optimizer, 6, "numpy"), strict=True):
        np.testing.assert_array_equal(np.asarray(other), mine.numpy())
    for mine, other in zip(eager, compiled_steps(optimizer, 6, "native"), strict=True):
        np.testing.assert_allclose(other, mine.numpy(), rtol=1e-9, atol=1e-12)


def test_the_first_steps_of_adam_are_exact_in_float32():
    """One minus a power near 1 would lose four digits in float32."""
    eager, state = eager_steps(O.adam(0.05), 3, "float32")
    for mine, other in zip(eager, eager_steps(O.adam(0.05), 3)[0], strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
    assert (state[0].count.item(), state[0].count.dtype) == (3, np.int64)
    assert type(state[0].count) is dg.Tensor


def test_lion_steps_by_signs():
    optimizer = O.lion(0.1, 0.5, 0.75, weight_decay=0.5)
    w = np.array([1.0, -2.0, 3.0])
    state = optimizer.init(w)
    updates, state = optimizer.update(np.array([2.0, -1.0, 0.0]), state, w)
    np.testing.assert_allclose(updates, -0.1 * (np.array([1, -1, 0]) + 0.5 * w))
    updates, state = optimizer.update(np.array([-0.25, 0.0, 0.0]), state, w)
    np.testing.assert_allclose(updates, -0.1 * (np.array([1, -1, 0]) + 0.5 * w))


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clipping_is_that_of_torch(limit):
    chained = O.chain(O.clip_by_global_norm(limit), O.sgd(0.05))
    expected = torch_steps(
        lambda p: torch.optim.SGD(p, 0.05),
        4,
        lambda leaves: torch.nn.utils.clip_grad_norm_(leaves, limit),
    )
    for mine, other in zip(eager_steps(chained, 4)[0], expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, rtol=1e-5)
    expected = torch_steps(
        lambda p: torch.optim.SGD(p, 0.05),
        4,
        lambda leaves: torch.nn.utils.clip_grad_value_(leaves, limit),
    )
    for mine, other in zip(eager_steps(O.chain(O.clip(limit), O.sgd(0.05)), 4)[0], expected):
        np.testing.assert_allclose(mine.numpy(), other, rtol=1e-12)


def test_clipping_leaves_zeros_and_short_gradients_alone():
    tree = (np.zeros(3, "float32"), np.float32([0.3, -0.4]))
    found, _ = O.clip_by_global_norm(1.0).update(tree, ())
    for mine, given in zip(found, tree, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, given)
    assert O.global_norm(tree) == np.float32(0.5)
    found, _ = O.clip_by_global_norm(0.0).update(tree, ())
    assert not found[1].any()


SCHEDULES = {
    "exponential": (
        lambda: O.exponential_decay(0.1, 1, 0.8),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8),
    ),
    "steps": (
        lambda: O.exponential_decay(0.1, 3, 0.5, staircase=True),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5),
    ),
    "cosine": (
        lambda: O.cosine_decay_schedule(0.1, 8, 0.1),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8, 0.01),
    ),
    "linear": (
        lambda: O.linear_schedule(0.05, 0.1, 4),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.5, 1.0, 4),
    ),
    "piecewise": (
        lambda: O.piecewise_constant_schedule(0.1, {2: 0.5, 5: 0.1}),
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2], 0.5),
    ),
    "constant": (
        lambda: O.constant_schedule(0.1),
        lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0),
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_those_of_torch_in_every_mode(name):
    make, theirs = SCHEDULES[name]
    optimizer = O.sgd(make())
    eager, _ = eager_steps(optimizer, 5)
    expected = torch_steps(lambda p: torch.optim.SGD(p, 0.1), 5, schedule=theirs)
    for mine, other in zip(eager, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, rtol=1e-10)
    for mine, other in zip(eager, compiled_steps(optimizer, 5, "numpy"), strict=True):
        np.testing.assert_array_equal(np.asarray(other), mine.numpy())


def test_warmup_rises_and_falls():
    schedule = O.warmup_cosine_decay_schedule(0.0, 1.0, 4, 12, 0.1)
    found = [float(schedule(step)) for step in range(14)]
    wave = [0.1 + 0.45 * (1 + math.cos(math.pi * step / 8)) for step in range(9)]
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.75, *wave, 0.1], atol=1e-12)
    run = sg.function(lambda count: schedule(count), backend="numpy")
    np.testing.assert_array_equal([float(run(np.int64(step))) for step in range(14)], found)
    assert float(O.warmup_cosine_decay_schedule(0.0, 1.0, 0, 12)(0)) == 1.0
    ended = O.exponential_decay(1.0, 1, 0.5, transition_begin=2, end_value=0.3)
    assert [float(ended(step)) for step in range(5)] == [1, 1, 1, 0.5, 0.3]


def test_a_learning_rate_may_be_an_array():
    rate = dg.tensor(np.float64(0.05))
    w = dg.tensor(np.float32([1.0, 2.0]))
    optimizer = O.sgd(rate)
    updates, _ = optimizer.update(w, optimizer.init(w))
    assert updates.dtype == np.float32
    np.testing.assert_allclose(updates.numpy(), [-0.05, -0.1], rtol=1e-6)


def test_a_loop_of_steps_is_one_program():
    optimizer = O.chain(O.clip_by_global_norm(1.0), O.adamw(O.cosine_decay_schedule(0.1, 30)))

    def train(xp, parameters, x, y):
        def body(carry, _):
            parameters, state = carry
            parameters, state, value = step(xp, optimizer)(parameters, state, x, y)
            return (parameters, state), value

        carry = (parameters, optimizer.init(parameters))
        (_, _), values = xp.scan(body, carry, None, length=20)
        return values

    parameters = {"w": START["w"], "b": list(START["b"])}
    found = {
        backend: sg.function(lambda p, x, y: train(sg, p, x, y), backend=backend)(parameters, X, Y)
        for backend in ("numpy", "native")
    }
    tensors = {"w": dg.tensor(START["w"]), "b": [dg.tensor(b) for b in START["b"]]}
    eager = train(dg, tensors, dg.tensor(X), dg.tensor(Y)).numpy()
    np.testing.assert_array_equal(found["numpy"], eager)
    np.testing.assert_allclose(found["native"], eager, rtol=1e-7)
    assert eager[-1] < eager[0]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: O.sgd(-0.1), "learning_rate is -0.1"),
        (lambda: O.adam("fast"), "learning_rate is 'fast'"),
        (lambda: O.adam(0.1, b2=1.0), "adam: b2 is 1.0"),
        (lambda: O.adam(0.1, eps=-1), "adam: eps is -1"),
        (lambda: O.sgd(0.1, momentum=1.5), "sgd: momentum is 1.5"),
        (lambda: O.sgd(0.1, nesterov=True), "sgd: nesterov without momentum"),
        (lambda: O.clip_by_global_norm(float("nan")), "max_norm is nan"),
        (lambda: O.chain(0.1), "chain: a float is no transformation"),
        (lambda: O.adamw(0.1).update(X, O.adamw(0.1).init(X)), "the parameters are missing"),
        (lambda: O.adam(0.1).init({"n": np.arange(3)}), "a parameter is int64[3]"),
        (lambda: O.adam(0.1).init(X * 1j), "a parameter is complex128[8,3]"),
        (lambda: O.sgd(0.1).update(X, O.sgd(0.1, 0.9).init(X)), "a state of another form"),
        (lambda: O.adam(0.1).update([X], O.adam(0.1).init({"w": X})), "the trees differ"),
        (lambda: O.apply_updates({"w": X}, {"v": X}), "the trees differ"),
        (lambda: O.linear_schedule(0.1, 0.0, 0), "transition_steps is 0"),
        (lambda: O.cosine_decay_schedule(0.1, 2.5), "decay_steps must be an int"),
        (lambda: O.exponential_decay(0.1, 5, -0.5), "decay_rate is -0.5"),
        (lambda: O.join_schedules([], [1]), "0 schedules and 1 boundaries"),
        (lambda: O.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5), "decay_steps is 5"),
    ],
)
def test_optimisers_say_what_does_not_fit(call, what):
    with pytest.raises(dg.errors.SideBySideError) as error:
        call()
    assert what in str(error.value)
