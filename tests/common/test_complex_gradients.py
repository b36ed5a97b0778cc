"""Gradients through complex numbers: of every op that takes them, in both modes, PyTorch's."""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.messages.errors import InPlaceError, NotDifferentiableError, SideBySideError

# every op -----------------------------------------------------------------------------------------


def drawn(op, example):
    return draw(op, example, np.dtype("complex128"), np.random.default_rng(0))


def refusal(op, example):
    """Return the error that `op` refuses complex operands with, or None."""
    try:
        with np.errstate(all="ignore"):
            op(*map(dg.tensor, drawn(op, example)), **example.attrs)
    except SideBySideError as error:
        return error
    return None


DRAWN = {
    f"{op.name}-{number}": (op, example)
    for op in REGISTRY.values()
    if op.kind is not Kind.CONTROL and not op.effect
    for number, example in enumerate(op.examples)
    if any(x.dtype.kind == "c" for x in drawn(op, example))
}
REFUSED = {name: found for name, found in DRAWN.items() if refusal(*found) is not None}
TAKEN = {name: found for name, found in DRAWN.items() if name not in REFUSED}
DIFFERENTIABLE = {name: found for name, found in TAKEN.items() if found[0].differentiable}
# the first and the last example of each op, for what is slow
ENDS = {
    name: found
    for name, found in DIFFERENTIABLE.items()
    if found[1] is found[0].examples[0] or found[1] is found[0].examples[-1]
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name.endswith("-0")])
def test_what_takes_real_numbers_only_says_so_in_both_modes(name):
    op, example = REFUSED[name]
    arrays = drawn(op, example)
    with sg.Graph(), pytest.raises(SideBySideError) as error:
        op(
            *[sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)],
            **example.attrs,
        )
    assert error.value.id == refusal(op, example).id


def wanted_of(op, arrays):
    return [i for i, a in enumerate(arrays) if a.dtype.kind in "fc" and op.operand_rule(i)]


def number(xp, out):
    """Return a real number in which both parts of `out` count, not linearly."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=out.shape) + 1j * rng.normal(size=out.shape)
    return xp.sum(xp.real(out * weight)) + xp.sum(xp.real(out) * xp.imag(out * out * weight))


def gradients(xp, op, attrs, xs, wanted, differentiate):
    """Return the result of `op`, its gradients, and theirs."""
    out = op(*xs, **attrs)
    if out.dtype.kind not in "fc":
        return [out]
    xs = [xs[i] for i in wanted]
    first = differentiate(number(xp, out), xs)
    second = differentiate(sum(xp.sum(xp.real(g) * xp.real(g) + xp.imag(g)) for g in first), xs)
    return [out, *first, *second]


def of_tensors(y, xs):
    if not y.requires_grad:
        return [dg.zeros(x.shape, x.dtype) for x in xs]
    return dg.grad(y, xs, create_graph=True, unused="zero")


def of_nodes(y, xs):
    return sg.gradients(y, xs, unused="zero")


# what fixes signs and phases by itself, so that only some numbers made of it have a slope; see
# tests/common/test_decompositions.py
UP_TO_PHASES = {"eig", "eigh", "svd"}


@pytest.mark.parametrize(
    "name", [name for name, (op, _) in DIFFERENTIABLE.items() if op.name not in UP_TO_PHASES]
)
def test_first_and_second_gradients_are_slopes(name):
    op, example = DIFFERENTIABLE[name]
    arrays = drawn(op, example)
    wanted = wanted_of(op, arrays)
    rng = np.random.default_rng(2)
    ways = [
        rng.normal(size=a.shape) + (1j * rng.normal(size=a.shape) if a.dtype.kind == "c" else 0)
        for a in (arrays[i] for i in wanted)
    ]

    def at(step):
        """Return the number that far along the way, its slope, the gradients, and the operands."""
        moved = list(arrays)
        for i, way in zip(wanted, ways, strict=True):
            moved[i] = arrays[i] + step * way
        xs = [dg.tensor(a, requires_grad=i in wanted) for i, a in enumerate(moved)]
        taken = list(xs)
        if op.symmetric:
            taken[0] = (xs[0] + dg.conj(dg.matrix_transpose(xs[0]))) * 0.5
        out = op(*taken, **example.attrs)
        y = number(dg, out)
        first = of_tensors(y, [xs[i] for i in wanted])
        slope = sum(dg.sum(dg.real(dg.conj(g) * way)) for g, way in zip(first, ways, strict=True))
        return y, slope, first, [xs[i] for i in wanted]

    if op(*arrays, **example.attrs).dtype not in (np.float64, np.complex128):
        return
    step = 1e-5
    _, slope, first, xs = at(0)
    above, below = at(step), at(-step)
    for g, x in zip(first, xs, strict=True):
        assert (g.shape, g.dtype) == (x.shape, x.dtype)
    difference = (above[0].item() - below[0].item()) / (2 * step)
    np.testing.assert_allclose(slope.item(), difference, rtol=1e-5, atol=1e-7)
    for g, more, less in zip(of_tensors(slope, xs), above[2], below[2], strict=True):
        differences = (more.detach().numpy() - less.detach().numpy()) / (2 * step)
        np.testing.assert_allclose(g.detach().numpy(), differences, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENDS)
def test_both_modes_give_the_same_bits(name):
    op, example = ENDS[name]
    arrays = drawn(op, example)
    wanted = wanted_of(op, arrays)
    with np.errstate(all="ignore"):
        tensors = [dg.tensor(a, requires_grad=i in wanted) for i, a in enumerate(arrays)]
        expected = gradients(dg, op, example.attrs, tensors, wanted, of_tensors)
        with sg.Graph():
            nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            declared = gradients(sg, op, example.attrs, nodes, wanted, of_nodes)
        for backend in ("numpy", "native"):
            found = sg.compile(declared, inputs=nodes, backend=backend)(*arrays)
            for result, tensor in zip(found, expected, strict=True):
                if backend == "numpy":
                    np.testing.assert_array_equal(result, tensor.detach().numpy(), strict=True)
                else:
                    np.testing.assert_allclose(
                        result, tensor.detach().numpy(), rtol=1e-9, atol=1e-9, strict=True
                    )


@pytest.mark.parametrize("first", ["float64", "complex128"])
@pytest.mark.parametrize("name", [n for n in ENDS if ENDS[n][0].arity == 2 and n.endswith("-0")])
def test_a_real_operand_beside_a_complex_one_gets_the_real_part(name, first):
    op, example = ENDS[name]
    if any(isinstance(x, np.ndarray) for x in example.operands):
        return
    rng = np.random.default_rng(0)
    dtypes = (first, "complex128" if first == "float64" else "float64")
    arrays = [
        draw(op, example, np.dtype(dtype), rng)[i] for i, dtype in enumerate(map(np.dtype, dtypes))
    ]
    xs = [dg.tensor(a, requires_grad=True) for a in arrays]
    try:
        op(*xs, **example.attrs)
    except SideBySideError as error:  # complex numbers do not fit into real ones
        with pytest.raises(type(error)), sg.Graph():
            nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            op(*nodes, **example.attrs)
        return
    found = dg.grad(number(dg, op(*xs, **example.attrs)), xs, create_graph=True)
    assert [g.dtype for g in found] == [a.dtype for a in arrays]
    wide = [dg.tensor(a.astype("complex128"), requires_grad=True) for a in arrays]
    wanted = dg.grad(number(dg, op(*wide, **example.attrs)), wide)
    for g, w, a in zip(found, wanted, arrays, strict=True):
        w = w.numpy() if a.dtype.kind == "c" else w.numpy().real
        np.testing.assert_allclose(g.detach().numpy(), w, rtol=1e-12, atol=1e-12)
    run = sg.function(
        lambda *xs: sg.grad(lambda *xs: number(sg, op(*xs, **example.attrs)), (0, 1))(*xs),
        backend="numpy",
    )
    for g, w in zip(run(*arrays), found, strict=True):
        np.testing.assert_array_equal(g, w.detach().numpy(), strict=True)


# against PyTorch ----------------------------------------------------------------------------------

POINTS = np.array(
    [1 + 2j, -1 - 1j, 0.5j, -0.5j, -2 + 0.3j, -2 - 0.3j, 3, -3, 0.2, -0.2, 0, 1e-3 + 1e-3j, -2j]
)
UNARY = (
    "exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh "
    "acosh atanh abs angle sign conj real imag square reciprocal negative"
).split()


def same_gradients(program, *arrays):
    """Compare the gradients of ``program(namespace, *xs)`` here and in PyTorch."""
    torch = pytest.importorskip("torch")
    weight = np.exp(1j * np.arange(1000))

    def weighted(xp, y):
        y = y.reshape((-1,))
        w = weight[: y.shape[0]]
        return xp.sum(xp.real(y * (torch.tensor(w) if xp is torch else w)))

    with np.errstate(all="ignore"):
        xs = [dg.tensor(a, requires_grad=True) for a in arrays]
        y = program(dg, *xs)
        weighted(dg, y).backward()
        others = [torch.tensor(a, requires_grad=True) for a in arrays]
        z = program(torch, *others)
        weighted(torch, z).backward()
    kept = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(y.detach().numpy(), z.detach().resolve_conj().numpy(), **kept)
    for x, other in zip(xs, others, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), other.grad.resolve_conj().numpy(), **kept)


@pytest.mark.parametrize("name", UNARY)
def test_elementwise_gradients_are_pytorchs_on_all_sides_of_zero(name):
    with_poles = ("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "angle")
    points = POINTS[POINTS != 0] if name in with_poles else POINTS
    theirs = {"sign": "sgn"}.get(name, name)
    same_gradients(lambda xp, x: getattr(xp, name if xp is dg else theirs)(x), points)


def some(*shape):
    rng = np.random.default_rng(len(shape))
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


PROGRAMS = {
    "pow": (lambda xp, x, y: x**y, POINTS[:9], np.roll(POINTS[:9], 1)),
    "pow of 0": (lambda xp, x: x**2, np.array([0j, 1j])),
    "a number to the power": (lambda xp, x: 2.0**x, POINTS),
    "a negative number to the power": (lambda xp, x, y: x**y, np.array([-2.0, 3.0]), some(2)),
    "a product with a number": (lambda xp, x: x * (2 - 1j) / (1 + x), POINTS),
    "matmul": (lambda xp, x, y: x @ y, some(2, 3, 4), some(4, 2)),
    "einsum": (lambda xp, x, y: xp.einsum("ij,kj->ik", x, y), some(2, 3), some(4, 3)),
    "tensordot": (lambda xp, x, y: xp.tensordot(x, y, 1), some(2, 3), some(3, 4)),
    "outer": (lambda xp, x, y: xp.outer(x, y), some(3), some(4)),
    "vecdot": (lambda xp, x, y: xp.linalg.vecdot(x, y), some(2, 3), some(2, 3)),
    "prod": (lambda xp, x: xp.prod(x), some(4)),
    "prod of zeros": (lambda xp, x: xp.prod(x), np.array([0j, 1 + 1j, 2j])),
    "cumprod": (lambda xp, x: xp.cumprod(x, 0), some(4)),
    "cumsum": (lambda xp, x: xp.cumsum(x, 0), some(4)),
    "mean": (lambda xp, x: xp.mean(x), some(3, 4)),
    "var": (lambda xp, x: xp.var(x, correction=0), some(3, 4)),
    "std": (lambda xp, x: xp.std(x, correction=1), some(3, 4)),
    "where": (lambda xp, x, y: xp.where(xp.real(x) > 0, x, y), some(5), some(5) * 1j),
    "concat": (lambda xp, x, y: xp.concat([x, y]), some(2), some(3).real.copy()),
    "a cast": (lambda xp, x: x * (x.astype("complex128") if xp is dg else x + 0j), some(3).real),
    "indexing": (lambda xp, x: x[1:] * xp.conj(x[:-1]), some(4)),
    **{
        f"the norm of order {ord}": (
            lambda xp, x, ord=ord: xp.linalg.vector_norm(x, ord=ord),
            some(5),
        )
        for ord in (1, 2, 3, 0.5, float("inf"), -float("inf"))
    },
    "the norm of zeros": (lambda xp, x: xp.linalg.vector_norm(x), np.zeros(3, "complex128")),
    "conv2d": (
        lambda xp, x, w: (xp if xp is dg else xp.nn.functional).conv2d(x, w, padding=1),
        some(1, 2, 4, 4),
        some(3, 2, 3, 3),
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_are_pytorchs(name):
    same_gradients(*PROGRAMS[name])


# what users see -----------------------------------------------------------------------------------


def test_a_gradient_is_the_direction_of_steepest_ascent():
    z = dg.tensor([1 + 2j, -1j], requires_grad=True)
    dg.sum(dg.real(z * z)).backward()
    assert z.grad.tolist() == [2 - 4j, 2j]  # conj(2 z)
    dg.sum(dg.abs(z) ** 2).backward()  # dx and dy of x*x + y*y
    assert z.grad.dtype == np.complex64
    np.testing.assert_allclose(z.grad.numpy(), [2 - 4j + 2 + 4j, 2j - 2j], atol=1e-6)


def test_jax_has_the_conjugate():
    jax = pytest.importorskip("jax")
    z = np.array([1 + 2j, -0.5j], "complex64")
    theirs = jax.grad(lambda z: jax.numpy.sum(jax.numpy.real(z**3)))(z)
    ours = dg.grad(lambda z: dg.sum(dg.real(z**3)))(dg.tensor(z))
    np.testing.assert_allclose(ours.numpy(), np.conj(theirs), rtol=1e-5)
    _, pull = jax.vjp(lambda z: z**3, z)
    _, ours = dg.vjp(lambda z: z**3, dg.tensor(z))
    (wanted,), (found,) = pull(np.conj(z)), ours(dg.tensor(z))
    np.testing.assert_allclose(found.numpy(), np.conj(wanted), rtol=1e-5)
    wanted = jax.jacobian(lambda z: z**3, holomorphic=True)(z)
    found = dg.jacobian(lambda z: z**3, dg.tensor(z), holomorphic=True)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    _, wanted = jax.jvp(lambda z: z * jax.numpy.abs(z), (z,), (z * 1j,))
    _, found = dg.jvp(lambda z: z * dg.abs(z), [dg.tensor(z)], [dg.tensor(z * 1j)])
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


Z, V = np.array([1 + 2j, -0.5j, 0.25]), np.array([0.5 - 1j, 2.0, 1j])


def _written(xp, z, v):
    y = z * 1j
    y[1:] *= z[:-1]
    y += v
    y[0] = xp.real(z[0])
    return xp.sum(xp.real(y * xp.conj(y) * y))


LOSSES = {
    "in a branch": lambda xp, z, v: xp.cond(
        xp.real(z[0]) > 0,
        lambda z: xp.sum(xp.real(z * z * v)),
        lambda z: xp.sum(xp.imag(z)),
        z,
    ),
    "in a scan": lambda xp, z, v: xp.sum(
        xp.abs(xp.scan(lambda c, x: (c * x + v[0], c), z[0], z)[1])
    ),
    "in a loop": lambda xp, z, v: xp.sum(
        xp.real(xp.fori_loop(0, 3, lambda i, c: c * z + xp.conj(v), z))
    ),
    "in a loop without an end": lambda xp, z, v: xp.sum(
        xp.real(xp.while_loop(lambda c: xp.sum(xp.abs(c)) < 50.0, lambda c: c * z + v, z))
    ),
    "written in place": _written,
}

DERIVATIVES = {
    "grad": lambda xp, z, v: xp.grad(lambda z: xp.sum(xp.abs(xp.exp(z) * z)))(z),
    "value_and_grad": lambda xp, z, v: xp.value_and_grad(lambda z: xp.var(z * z))(z),
    "vjp": lambda xp, z, v: xp.vjp(lambda z: xp.exp(z) * xp.conj(z), z)[1](v),
    "jvp": lambda xp, z, v: xp.jvp(lambda z: xp.exp(z) * xp.conj(z), [z], [v]),
    "jacobian": lambda xp, z, v: xp.jacobian(lambda z: xp.exp(z[::-1]) * z, z, holomorphic=True),
    "jacobian of a real value": lambda xp, z, v: xp.jacobian(lambda z: xp.abs(z * z[0]), z),
    "gradient of a gradient": lambda xp, z, v: xp.grad(
        lambda z: xp.sum(xp.imag(xp.grad(lambda z: xp.sum(xp.real(z**3)))(z) * v))
    )(z),
    **{
        name: lambda xp, z, v, loss=loss: xp.grad(lambda z, v: loss(xp, z, v), (0, 1))(z, v)
        for name, loss in LOSSES.items()
    },
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_functions_are_the_same_in_both_modes(name):
    def flat(found):
        return [x for each in found for x in flat(each)] if isinstance(found, tuple) else [found]

    recorded = flat(DERIVATIVES[name](dg, dg.tensor(Z), dg.tensor(V)))
    for backend in ("numpy", "native"):
        run = sg.function(lambda z, v: DERIVATIVES[name](sg, z, v), backend=backend)
        for found, wanted in zip(flat(run(Z, V)), recorded, strict=True):
            if backend == "numpy":
                np.testing.assert_array_equal(found, wanted.numpy(), strict=True)
            else:
                np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-12, strict=True)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_through_control_flow_and_writes_are_slopes(name):
    z, v = dg.tensor(Z, requires_grad=True), dg.tensor(V, requires_grad=True)
    assert dg.gradcheck(lambda z, v: LOSSES[name](dg, z, v), (z, v))
    assert dg.gradgradcheck(lambda z, v: LOSSES[name](dg, z, v), (z, v), atol=1e-3)


def test_complex_values_ask_for_a_cotangent_in_both_modes():
    z = dg.tensor(Z, requires_grad=True)
    with pytest.raises(NotDifferentiableError, match="complex"):
        dg.sum(z).backward()
    dg.sum(z * z).backward(gradient=np.array(1j))
    np.testing.assert_allclose(z.grad.numpy(), 1j * np.conj(2 * Z))
    with sg.Graph():
        x = sg.placeholder("x", (3,), "complex128")
        with pytest.raises(NotDifferentiableError, match="complex"):
            sg.gradients(sg.sum(x), [x])
        (found,) = sg.gradients(sg.sum(x * x), [x], [np.array(1j)])
    np.testing.assert_array_equal(sg.compile(found, [x], backend="numpy")(Z), z.grad.numpy())


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_only_a_holomorphic_or_a_real_function_has_is_refused_by_name(xp):
    def refused(derived, words):
        with pytest.raises(NotDifferentiableError, match=words):
            if xp is dg:
                derived(dg.tensor(Z))
            else:
                sg.function(derived)(Z)

    refused(xp.grad(lambda z: xp.sum(z)), "complex")
    refused(xp.value_and_grad(lambda z: z[0]), "complex")
    refused(lambda z: xp.jacobian(lambda z: z * z, z), "complex array")
    refused(lambda z: xp.jacobian(lambda z: xp.abs(z), z, holomorphic=True), "real array")
    refused(lambda z: xp.jacobian(lambda x: x * 1j, xp.real(z), holomorphic=True), "real array")
    refused(lambda z: xp.hessian(lambda z: xp.sum(xp.abs(z)), z), "complex array")


def test_hooks_and_kept_gradients_show_what_the_leaf_gets():
    z = dg.tensor([1 + 2j], requires_grad=True)
    seen = []
    y = z * 2j
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.grad_fn.register_prehook(lambda gs: seen.append(gs[0].tolist()))
    y.grad_fn.register_hook(lambda given, gs: seen.append((given[0].tolist(), gs[0].tolist())))
    z.register_hook(lambda g: g * 1j)
    dg.sum(dg.real(y * (3 + 1j))).backward()
    assert seen == [[3 - 1j], [3 - 1j], ([-2j * (3 - 1j)], [3 - 1j])]
    assert y.grad.tolist() == [3 - 1j]
    assert z.grad.tolist() == [-2j * (3 - 1j) * 1j]
    y = dg.conj(z)
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 1j,))
    y.grad_fn.register_hook(lambda given, gs: (given[0] + 1j,))
    z.grad = None
    dg.sum(dg.real(y)).backward()
    assert z.grad.tolist() == [(-1j + 1j) * 1j]


def test_a_function_with_a_gradient_of_its_own_has_pytorchs_form():
    class Product(dg.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * dg.conj(y), g * dg.conj(x)

    z, x = dg.tensor(Z, requires_grad=True), dg.tensor(Z.real.copy(), requires_grad=True)
    assert dg.gradcheck(Product.apply, (z, z * V))
    assert dg.gradcheck(lambda z, x: dg.real(Product.apply(z, x)), (z, x))
    assert dg.gradgradcheck(lambda z, x: dg.real(Product.apply(z, x)), (z, x))
    (found,) = dg.grad(dg.sum(dg.abs(Product.apply(z, x))), [x])
    assert found.dtype == np.float64


def test_a_checkpoint_computes_the_same_gradients():
    def program(z):
        return dg.sum(dg.abs(dg.exp(z) * z))

    z = dg.tensor(Z, requires_grad=True)
    (wanted,) = dg.grad(program(z), [z])
    (found,) = dg.grad(dg.checkpoint(program, z), [z])
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())


def test_a_wrong_gradient_of_the_imaginary_part_is_found():
    class Wrong(dg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2.0

    assert not dg.gradcheck(Wrong.apply, dg.tensor(Z, requires_grad=True), raise_exception=False)


def test_the_cotangent_has_a_gradient_of_its_own():
    z, v = dg.tensor(Z, requires_grad=True), dg.tensor(V, requires_grad=True)
    (g,) = dg.grad(z * z, [z], [v], create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), V * np.conj(2 * Z))
    dg.sum(dg.real(g * 1j)).backward()
    np.testing.assert_allclose(v.grad.numpy(), np.conj(1j * np.conj(2 * Z)))


def test_in_place_changes_of_parts_are_refused_in_both_modes():
    def write(z):
        z.real = 1.0

    def add(z):
        z.imag += 1.0

    def element(z):
        z.real[0] = 1.0

    for change in (write, add, element):
        with pytest.raises(InPlaceError):
            change(dg.tensor(Z))
        with pytest.raises(InPlaceError):
            sg.function(lambda z, change=change: change(z * 1) or z)(Z)


def test_parts_are_attributes_and_methods_in_both_modes():
    def parts(z):
        return z.real, z.imag, z.conj(), z.angle(), z.real.real, z.real.imag

    wanted = (Z.real, Z.imag, Z.conj(), np.angle(Z), Z.real, np.zeros(3))
    for found in (parts(dg.tensor(Z)), sg.function(parts, backend="numpy")(Z)):
        for x, w in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(np.asarray(x), w, strict=True)
    z = dg.tensor(Z, requires_grad=True)
    dg.sum(z.real * z.imag).backward()
    np.testing.assert_allclose(z.grad.numpy(), Z.imag + 1j * Z.real)


def test_a_sign_of_real_numbers_keeps_nothing():
    x = dg.tensor([1.0, -2.0], requires_grad=True)
    assert dg.sign(x).grad_fn.saved() == []
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        sg.gradients(sg.sum(sg.multiply(sg.add(x, 1.0), x)), [x])
        assert "conj" not in {node.op.name for node in x.graph}
