"""Forward mode: tangents of every op, in both modes, against the transposed gradient."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph.tape.grad_mode import collect_nodes
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.messages.errors import ArgumentError, NotDifferentiableError, SideBySideError
from oplibrary.tangents.families import tangent_rule_of
from oplibrary.transforms.jacobians import Jacobians

OPS = [op for op in REGISTRY.values() if op.examples and op.differentiable]


def direction(rng, x):
    t = rng.standard_normal(np.shape(x))
    if np.asarray(x).dtype.kind == "c":
        t = t + 1j * rng.standard_normal(np.shape(x))
    return t.astype(np.asarray(x).dtype)


def pairing(x, y):
    """Return the real inner product, of gradients as users see them and tangents."""
    return float(np.sum(np.conj(x) * y).real)


def check(op, operands, attrs, rng):
    """Compare the tangents of a call with its gradients, and both modes with each other."""
    places = [
        i
        for i, x in enumerate(operands)
        if np.asarray(x).dtype.kind in "fc" and op.operand_rule(i) is not None
    ]
    masks = {tuple(places), *[(i,) for i in places]} if places else set()
    for moving in sorted(masks):
        tangents = [direction(rng, operands[i]) for i in moving]
        primals = [operands[i] for i in moving]

        def call(xp, *xs, moving=moving):
            given = list(operands) if xp is sg else list(map(dg.tensor, operands))
            for i, x in zip(moving, xs, strict=True):
                given[i] = x
            return op(*given, **attrs)

        def dynamic(*xs, call=call):
            return call(dg, *xs)

        value, tangent = dg.jvp(dynamic, list(map(dg.tensor, primals)), tangents)
        assert (tangent.shape, tangent.dtype) == (value.shape, value.dtype)
        v = direction(rng, value.numpy())
        _, pull = dg.vjp(dynamic, *map(dg.tensor, primals))
        gradients = pull(dg.tensor(v))
        back = sum(pairing(g.numpy(), t) for g, t in zip(gradients, tangents, strict=True))
        close = {"rtol": 1e-5} if value.dtype.itemsize < 8 else {"rtol": 1e-8, "atol": 1e-11}
        np.testing.assert_allclose(pairing(v, tangent.numpy()), back, **close)

        def static(xs, ts, call=call):
            return sg.jvp(lambda *xs: call(sg, *xs), xs, ts)[1]

        found = sg.function(static, backend="numpy")(tuple(primals), tuple(tangents))
        assert found.tobytes() == tangent.numpy().tobytes()


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_tangents_are_the_transpose_of_gradients(op):
    for number, example in enumerate(op.examples):
        rng = np.random.default_rng(number)
        check(op, draw(op, example, np.dtype("float64"), rng), dict(example.attrs), rng)


def takes_complex(op):
    example = op.examples[0]
    operands = draw(op, example, np.dtype("complex128"), np.random.default_rng(0))
    if not any(np.asarray(x).dtype.kind == "c" for x in operands):
        return False
    try:
        return op(*map(dg.tensor, operands), **example.attrs).dtype.kind in "fc"
    except SideBySideError:
        return False


@pytest.mark.parametrize("op", [op for op in OPS if takes_complex(op)], ids=lambda op: op.name)
def test_tangents_of_complex_numbers(op):
    example = op.examples[0]
    rng = np.random.default_rng(1)
    check(op, draw(op, example, np.dtype("complex128"), rng), dict(example.attrs), rng)


def both(program, *args):
    """Return what a program gives in both modes, after seeing that the bits are the same."""
    dynamic = program(dg, *map(dg.tensor, args))
    static = sg.function(lambda *xs: program(sg, *xs), backend="numpy")(*args)
    several = isinstance(dynamic, tuple)
    pairs = list(zip(dynamic, static, strict=True)) if several else [(dynamic, static)]
    for ours, theirs in pairs:
        assert ours.detach().numpy().tobytes() == theirs.tobytes()
    return [theirs for _, theirs in pairs]


def cond(xp, x, w):
    return xp.cond(xp.sum(x) > 0, lambda x: xp.tanh(x) * w, lambda x: x * 2 + w, x)


def switch(xp, x, w):
    return xp.switch(2, [lambda x: x, lambda x: w, lambda x: x * xp.sin(w)], x)


def scan(xp, x, w):
    last, ys = xp.scan(lambda c, each: (xp.tanh(c * each + w[0]), c * w), xp.sum(w), x)
    return last + xp.sum(ys * ys)


def late_carry(xp, x, w):
    def step(carry, each):
        a, b, n = carry
        return (a + each, b * 0.5 + a, n + 1), b

    carry, ys = xp.scan(
        step, (xp.asarray(np.float64(0.5)), xp.asarray(np.float64(1.0)), xp.asarray(0)), x
    )
    return carry[0] * carry[1] + xp.sum(ys) + w[0] * 0


def while_loop(xp, x, w):
    return xp.while_loop(lambda y: xp.sum(y) < 50, lambda y: y * 1.5 + w * w, xp.abs(x))


def fori(xp, x, w):
    return xp.fori_loop(0, 4, lambda i, y: xp.sin(y) * w + i, x)


def nested(xp, x, w):
    def step(c, each):
        inner = xp.cond(each > 0, lambda c: c * each, lambda c: c + w[1], c)
        return xp.while_loop(lambda y: y < 5, lambda y: y * 1.7 + 0.1 + xp.abs(each), inner), c

    last, ys = xp.scan(step, xp.sum(x) * 0.1, x)
    return last * xp.sum(ys)


CONTROL = [cond, switch, scan, late_carry, while_loop, fori, nested]
X, W = np.array([0.3, -0.5, 0.8]), np.array([0.7, 0.4, -0.2])
DX, DW = np.array([1.0, 0.25, -0.5]), np.array([-0.3, 0.2, 0.6])


@pytest.mark.parametrize("program", CONTROL, ids=lambda f: f.__name__)
def test_control_flow(program):
    def derivative(xp, x, w, dx, dw):
        return xp.jvp(lambda x, w: program(xp, x, w), (x, w), (dx, dw))[1]

    (found,) = both(derivative, X, W, DX, DW)
    e = 1e-6
    ends = [program(dg, dg.tensor(X + s * DX), dg.tensor(W + s * DW)).numpy() for s in (e, -e)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * e), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("program", CONTROL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_jacobians_of_control_flow_are_the_same_in_either_mode(program, backend):
    def whole(mode):
        return lambda x, w: sg.jacobian(
            lambda x, w: program(sg, x, w).reshape(-1), (x, w), mode=mode
        )

    forward = sg.function(whole("forward"), backend=backend)(X, W)
    reverse = sg.function(whole("reverse"), backend=backend)(X, W)
    dynamic = dg.jacobian(
        lambda x, w: program(dg, x, w).reshape(-1), (dg.tensor(X), dg.tensor(W)), mode="forward"
    )
    for ours, theirs, eager in zip(forward, reverse, dynamic, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours, eager.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("program", CONTROL, ids=lambda f: f.__name__)
def test_gradients_go_through_tangents_of_control_flow(program):
    def along(xp, x, w, dx, dw):
        return xp.sum(xp.jvp(lambda x, w: program(xp, x, w), (x, w), (dx, dw))[1])

    def gradient(xp, x, w, dx, dw):
        return xp.grad(lambda x: along(xp, x, w, dx, dw))(x)

    dynamic = gradient(dg, *map(dg.tensor, (X, W, DX, DW))).numpy()
    static = sg.function(lambda *xs: gradient(sg, *xs), backend="numpy")(X, W, DX, DW)
    np.testing.assert_allclose(static, dynamic, rtol=1e-9, atol=1e-12)


# counts -------------------------------------------------------------------------------------------


def deep(xp, x):
    for _ in range(8):
        x = xp.tanh(x) * xp.sin(x)
    return x


def test_forward_mode_is_no_gradient_of_a_gradient():
    recorded = []
    with collect_nodes(recorded):
        dg.jvp(lambda x: deep(dg, x), dg.tensor(X), DX)
    assert len(recorded) == 24  # the tape of the function, and none of a gradient

    once = sg.trace(lambda x: deep(sg, x), sg.TensorType((3,), "float64"))
    forward = sg.trace(
        lambda x, t: sg.jvp(lambda x: deep(sg, x), x, t), *[sg.TensorType((3,), "float64")] * 2
    )
    value = len(sg.lower(once, once.outputs).instructions)
    both = len(sg.lower(forward, forward.outputs).instructions)
    # of tanh: three ops, of sin: two, of the product: three
    assert (value, both) == (24, 24 + 8 * 8)


def test_a_rule_for_tangents_reads_what_gradients_keep():
    # what reads more would find None in dyngraph, and fail in the test of every op
    transposed = [op.name for op in OPS if tangent_rule_of(op) is None]
    assert len(transposed) < 20


# linearize, jacobian, hessian ---------------------------------------------------------------------


def test_linearize_runs_the_function_once():
    runs = []

    def f(x):
        runs.append(x)
        return {"y": dg.sin(x), "n": [dg.sum(x)]}

    value, push = dg.linearize(f, dg.tensor(X))
    for t in np.eye(3):
        found = push(dg.tensor(t))
        np.testing.assert_allclose(found["y"].numpy(), np.cos(X) * t)
        assert found["n"][0].item() == 1
    assert len(runs) == 1 and not value["y"].requires_grad


def test_linearize_declares_what_it_pushes():
    def f(xp, x, t):
        value, push = xp.linearize(lambda x: deep(xp, x), x)
        return value, push(t), push(t * 2)

    _, one, two = both(f, X, DX)
    np.testing.assert_allclose(2 * one, two, rtol=1e-14)


@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
def test_jacobian_by_sizes(mode):
    def wide(xp, x, w):
        y = xp.tanh(x[:, None] * w[None, :])
        return xp.jacobian(lambda x, w: xp.tanh(x[:, None] * w[None, :]) @ y, (x, w), mode=mode)

    def narrow(xp, x, w):
        return xp.jacobian(lambda x: xp.sum(x * w) * x[:1], x, mode=mode)

    for program in (wide, narrow):
        found = both(program, X, W)
        wanted = program(dg, dg.tensor(X), dg.tensor(W))
        for i, each in enumerate(wanted if isinstance(wanted, tuple) else [wanted]):
            assert each.shape == found[i].shape


def test_jacobian_chooses_the_mode_with_fewer_passes(monkeypatch):
    asked = []
    for name in ("rows", "columns"):
        plain = getattr(Jacobians, name)

        def spy(self, *args, plain=plain, name=name):
            asked.append(name)
            return plain(self, *args)

        monkeypatch.setattr(Jacobians, name, spy)
    tall = dg.jacobian(lambda x: dg.concat([x, x * x]), dg.tensor(X))
    assert asked == ["columns"]
    dg.jacobian(lambda x: x[:2] * x[1], dg.tensor(X))
    assert asked == ["columns", "rows"]
    np.testing.assert_allclose(tall.numpy(), np.vstack([np.eye(3), np.diag(2 * X)]))
    with pytest.raises(NotDifferentiableError):
        dg.jacobian(dg.abs, dg.tensor(X * 1j), mode="forward")


def test_hessian_is_the_jacobian_of_the_gradient():
    def f(xp):
        return lambda x, w: xp.sum(xp.tanh(x * w) ** 3) + xp.logsumexp(x) * xp.sum(w)

    def program(xp, x, w):
        blocks = xp.hessian(f(xp), (x, w))
        return tuple([block for row in blocks for block in row])

    found = both(program, X, W)
    gradient = dg.grad(f(dg), (0, 1), create_graph=True)
    rows = [
        dg.jacobian(
            lambda x, w, i=i: gradient(x, w)[i], (dg.tensor(X), dg.tensor(W)), mode="reverse"
        )
        for i in range(2)
    ]
    wanted = [block.numpy() for row in rows for block in row]
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_tangents_under_vmap_and_of_vmap():
    def inside(xp, x, t):
        return xp.vmap(lambda x, t: xp.jvp(lambda x: deep(xp, x), x, t)[1])(x, t)

    def outside(xp, x, t):
        return xp.jvp(xp.vmap(lambda x: deep(xp, x)), x, t)[1]

    m, t = np.stack([X, W]), np.stack([DX, DW])
    (one,), (other,) = both(inside, m, t), both(outside, m, t)
    assert one.tobytes() == other.tobytes()
    (each,) = both(
        lambda xp, x: xp.vmap(lambda x: xp.hessian(lambda x: xp.sum(deep(xp, x)), x))(x), m
    )
    np.testing.assert_allclose(
        each[1], dg.hessian(lambda x: dg.sum(deep(dg, x)), dg.tensor(W)).numpy(), rtol=1e-12
    )


def test_in_place_programs_have_tangents():
    def f(xp):
        def run(x):
            y = x * 2
            y[1:] += y[:-1]
            y[0] = xp.sin(x[2])
            z = xp.zeros_like(x)
            z[::2] = y[1:]
            return y * z

        return run

    (found,) = both(lambda xp, x, t: xp.jvp(f(xp), x, t)[1], X, DX)
    e = 1e-6
    ends = [f(dg)(dg.tensor(X + s * DX)).numpy() for s in (e, -e)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * e), rtol=1e-7, atol=1e-9)


def test_a_function_with_its_own_tangents():
    class Cube(dg.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3, x * 1

        @staticmethod
        def backward(ctx, g, h):
            return g * 3 * ctx.saved_tensors[0] ** 2 + h

    x, t = dg.tensor(X), dg.tensor(DX)
    a, b = dg.jvp(lambda x: Cube.apply(x), x, t)[1]  # backward, transposed
    np.testing.assert_allclose(a.numpy(), 3 * X**2 * DX)
    np.testing.assert_allclose(b.numpy(), DX)
    Cube.jvp = staticmethod(lambda ctx, t: (t * 7, None))
    a, b = dg.jvp(lambda x: Cube.apply(x), x, t)[1]
    assert a.tolist() == (DX * 7).tolist() and not b.numpy().any()
    Cube.jvp = staticmethod(lambda ctx, t: t)
    with pytest.raises(ArgumentError, match="1 tangents for 2 results"):
        dg.jvp(lambda x: Cube.apply(x), x, t)
