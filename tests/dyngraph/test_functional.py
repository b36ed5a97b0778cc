"""value_and_grad, vjp, jvp, jacobian, hessian, checkpoint, custom functions, gradcheck, anomaly."""

import gc
import weakref

import numpy as np
import pytest

import dyngraph as dg
from oplibrary.messages.errors import (
    AnomalyError,
    ArgumentError,
    GradcheckError,
    InPlaceError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
)


def test_value_and_grad_of_a_tree():
    def loss(params, x):
        return dg.sum(dg.tanh(x @ params["w"]) + params["b"])

    params = {"w": np.ones((3, 2)), "b": np.zeros(2)}
    value, grads = dg.value_and_grad(loss)(params, np.ones((4, 3)))
    assert not value.requires_grad
    assert grads["w"].shape == (3, 2)
    assert grads["b"].tolist() == [4.0, 4.0]


def test_value_and_grad_options():
    run = dg.value_and_grad(lambda x, y: ((x * y).sum(), "aux"), argnums=(0, 1), has_aux=True)
    (value, aux), (dx, dy) = run(dg.tensor([2.0]), dg.tensor([3.0]))
    assert (value.item(), aux, dx.item(), dy.item()) == (6.0, "aux", 3.0, 2.0)
    with pytest.raises(NonScalarError, match="function"):
        dg.value_and_grad(lambda x: x)(dg.tensor([1.0, 2.0]))
    with pytest.raises(ArgumentError, match="argnums"):
        dg.value_and_grad(lambda x: x.sum(), argnums=2)(dg.tensor([1.0]))


def test_grad_of_a_function_nests():
    f = dg.grad(dg.grad(lambda x: x * x * x))
    assert f(dg.tensor(2.0)).item() == 12.0


def test_vjp_and_jvp_agree():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 2))

    def f(x):
        return dg.tanh(x @ w)

    x, v, u = rng.standard_normal(3), rng.standard_normal(3), rng.standard_normal(2)
    value, tangent = dg.jvp(f, [x], [v])
    _, pull = dg.vjp(f, x)
    np.testing.assert_allclose(value.numpy(), np.tanh(x @ w))
    np.testing.assert_allclose((tangent * u).sum().item(), (pull(u)[0] * v).sum().item())
    with pytest.raises(ShapeError, match="tangent"):
        dg.jvp(f, [x], [np.ones(4)])


def test_jacobian_and_hessian():
    x = dg.tensor(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(dg.jacobian(lambda x: x * x, x).numpy(), np.diag([2.0, 4.0, 6.0]))
    a, b = dg.jacobian(lambda x, y: x * y.sum(), (x, np.ones(2)))
    assert a.shape == (3, 3)
    assert b.shape == (3, 2)
    h = dg.hessian(lambda x: (x**3).sum() + x[0] * x[1], x)
    expected = np.diag([6.0, 12.0, 18.0])
    expected[0, 1] = expected[1, 0] = 1
    np.testing.assert_allclose(h.numpy(), expected)
    blocks = dg.hessian(lambda x, y: (x * y).sum(), (np.ones(2), np.ones(2)))
    np.testing.assert_allclose(blocks[0][1].numpy(), np.eye(2))


def test_transforms_nest():
    x, u = np.array([0.5, -1.0, 2.0]), dg.tensor(np.array([1.0, 2.0, -0.5]))

    def f(x):
        return dg.sum(dg.tanh(x * x) * x.sum())

    def gradient(x):
        return dg.grad(f)(x)

    def along(x):
        return dg.jvp(f, [x], [u])[1]

    h = dg.hessian(f, x).numpy()
    v = u.numpy()
    np.testing.assert_allclose(dg.jacobian(lambda x: dg.jacobian(f, x), x).numpy(), h)
    np.testing.assert_allclose(dg.jvp(gradient, [x], [u])[1].numpy(), h @ v)
    np.testing.assert_allclose(dg.grad(along)(x).numpy(), h @ v)
    np.testing.assert_allclose(dg.jvp(along, [x], [u])[1].item(), v @ h @ v)
    np.testing.assert_allclose(dg.vjp(gradient, x)[1](u)[0].numpy(), h @ v)
    np.testing.assert_allclose(dg.jacobian(lambda x: dg.vjp(f, x)[1](1.0)[0], x).numpy(), h)
    # the directions and cotangents are differentiated, too
    np.testing.assert_allclose(
        dg.grad(lambda t: dg.jvp(f, [x], [t])[1])(u).numpy(), gradient(x).numpy()
    )
    np.testing.assert_allclose(
        dg.jacobian(lambda t: dg.vjp(dg.tanh, x)[1](t)[0], u).numpy(), np.diag(1 - np.tanh(x) ** 2)
    )


def test_jvp_refuses_a_gradient_without_a_graph():
    class Detached(dg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g.detach() * 2

    with pytest.raises(NotDifferentiableError, match="no graph of its own"):
        dg.jvp(Detached.apply, [np.ones(2)], [np.ones(2)])


def test_checkpoint_notices_changes():
    x = dg.tensor(np.array([1.0]), requires_grad=True)
    w = dg.tensor(np.array([1.0]))
    argument = x * 1
    y = dg.checkpoint(lambda a: dg.exp(a + 1), argument)
    argument += 1
    with pytest.raises(InPlaceError, match=r"argument of checkpoint .* \+="):
        y.backward()
    y = dg.checkpoint(lambda a: dg.exp(a + w), x)
    w += 1
    with pytest.raises(ArgumentError, match="other numbers"):
        y.backward()
    with pytest.raises(InPlaceError, match="mul_"):
        dg.checkpoint(lambda a: dg.exp(a.mul_(2)), x * 1).backward()


def test_checkpoint_draws_the_same_numbers_again():
    key = dg.random_key(0)
    x = dg.tensor(np.ones(4), requires_grad=True)
    for block in (lambda x: x * dg.randn(4), lambda x: dg.dropout(dg.exp(x), 0.5, key=key)):
        y = dg.checkpoint(block, x)
        (dx,) = dg.grad(y.sum(), x)
        np.testing.assert_allclose(dx.numpy(), y.detach().numpy() / x.detach().numpy())


def test_a_dropped_checkpoint_is_freed_at_once():
    x = dg.tensor(np.ones(4), requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = dg.checkpoint(lambda x: dg.exp(x) * x, x)
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_checkpoint_forgets_and_recomputes():
    calls = []
    w = dg.tensor(np.array([0.5, 1.5]), requires_grad=True)

    def block(x):
        calls.append(1)
        return dg.tanh(dg.exp(x * w) * w)

    x = dg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = dg.checkpoint(block, x)
    assert y.grad_fn.out is not None
    assert y.grad_fn.operands is None
    dx, dw = dg.grad(y.sum(), [x, w])
    assert len(calls) == 2
    ex, ew = dg.grad(block(x).sum(), [x, w])
    assert np.array_equal(dx.numpy(), ex.numpy())
    assert np.array_equal(dw.numpy(), ew.numpy())


def test_checkpoint_notices_a_function_that_changes():
    x = dg.tensor(np.array([1.0]), requires_grad=True)
    state = {"n": 0}

    def block(x):
        state["n"] += 1
        return dg.exp(x) if state["n"] == 1 else dg.exp(dg.exp(x))

    y = dg.checkpoint(block, x)
    with pytest.raises(ArgumentError, match="second run"):
        y.backward()


class Cube(dg.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class SaveResult(dg.Function):
    @staticmethod
    def forward(ctx, x):
        y = dg.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class SumAndProduct(dg.Function):
    @staticmethod
    def forward(ctx, x, y, scale):
        ctx.save_for_backward(x, y)
        ctx.scale = scale
        return x + y, x * y * scale

    @staticmethod
    def backward(ctx, g_sum, g_product):
        x, y = ctx.saved_tensors
        return g_sum + g_product * y * ctx.scale, g_sum + g_product * x * ctx.scale, None


def test_custom_functions():
    x = dg.tensor(np.array([2.0]), requires_grad=True)
    y = Cube.apply(x)
    assert repr(y) == "tensor([8.], dtype=float64, grad_fn=<CubeBackward>)"
    y.backward()
    assert x.grad.tolist() == [12.0]
    assert dg.gradcheck(Cube.apply, x)
    assert dg.gradgradcheck(Cube.apply, x)
    assert dg.gradgradcheck(SaveResult.apply, x)


def test_custom_functions_of_several_results():
    x = dg.tensor(np.array([2.0]), requires_grad=True)
    y = dg.tensor(np.array([3.0]), requires_grad=True)
    total, product = SumAndProduct.apply(x, y, 10.0)
    (total * 2 + product).backward()
    assert (x.grad.item(), y.grad.item()) == (32.0, 22.0)
    _, product = SumAndProduct.apply(x, y, 10.0)
    assert dg.grad(product, x)[0].item() == 30.0
    assert dg.gradgradcheck(lambda x, y: SumAndProduct.apply(x, y, 2.0), (x, y))


def test_custom_function_mistakes():
    class Wrong(dg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g, g

    class Misshapen(Wrong):
        @staticmethod
        def backward(ctx, g):
            return g.sum()

    x = dg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    with pytest.raises(ArgumentError, match="2 gradients for 1"):
        Wrong.apply(x).sum().backward()
    with pytest.raises(ShapeError, match="argument 0"):
        Misshapen.apply(x).sum().backward()


def test_gradcheck_moves_one_element_and_leaves_the_others():
    x = dg.tensor([-0.0, 1.0, -0.0, 2.0], dtype="float64", requires_grad=True)
    seen = []

    def function(x):
        seen.append(x.detach().numpy().copy())
        return x * x

    assert dg.gradcheck(function, x)
    start = seen[0]
    for place, at in zip(np.repeat(np.arange(4), 2), seen[1:], strict=True):
        others = np.arange(4) != place
        assert at[others].tobytes() == start[others].tobytes()
        assert at[place] != start[place]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_gradcheck_of_many_elements_in_fast_mode(dtype):
    rng = np.random.default_rng(0)
    value = rng.standard_normal(2000) + (1j * rng.standard_normal(2000) if dtype[0] == "c" else 0)
    x = dg.tensor(value, dtype=dtype, requires_grad=True)
    calls = []

    def right(x):
        calls.append(x)
        return dg.sin(x) * dg.sum(x * x), x[5:]

    assert dg.gradcheck(right, x, fast_mode=True)
    assert len(calls) == 1 + 2 * 2  # and two for each output
    assert dg.gradgradcheck(lambda x: x * x, x, fast_mode=True)

    def wrong_in_a_few_elements(x):
        return dg.concat([x[:7].detach(), x[7:] * x[7:]])

    with pytest.raises(GradcheckError):
        dg.gradcheck(wrong_in_a_few_elements, x, fast_mode=True)
    empty = dg.zeros((0,), dtype=dtype, requires_grad=True)
    assert dg.gradcheck(lambda x: x * x, empty, fast_mode=True)


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(dg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = dg.tensor(np.array([1.0]), requires_grad=True)
    with pytest.raises(GradcheckError, match="gradient 3"):
        dg.gradcheck(Wrong.apply, x)
    assert not dg.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(GradcheckError, match="output 0 by input 0: gradient"):
        dg.gradcheck(Wrong.apply, x, fast_mode=True)
    with pytest.raises(ArgumentError, match="float64"):
        dg.gradcheck(dg.exp, dg.tensor([1.0], requires_grad=True))


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_anomaly_mode_names_the_operation_and_recognises_where():
    x = dg.tensor(np.array([0.0, 2.0]), requires_grad=True)
    with dg.detect_anomaly():
        y = dg.where(x > 0, dg.log(x), 0.0)  # the classic
        with pytest.raises(AnomalyError) as caught:
            y.sum().backward()
    text = str(caught.value)
    assert "LogBackward0" in text
    assert "# the classic" in text
    assert "where(x > 0, x, 1)" in text
