"""float16 and bfloat16: every op, in both modes, with gradients, and what surrounds them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.values.dtypes import is_half, promoted, to_dtype
from oplibrary.values.types import type_of

HALVES = ("float16", "bfloat16")
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
EXACT_PRECISION = {"nextafter", "spacing"}
"""Ops whose result says something about the dtype itself."""
SILENT = [op for op in REGISTRY.values() if not op.effect]


def flat(values):
    if isinstance(values, (tuple, list)):
        return [each for value in values for each in flat(value)]
    return [values]


def samples(op, dtype):
    """Yield the examples of an op that have operands in half precision, with the operands."""
    for number, example in enumerate(op.examples):
        operands = draw(op, example, dtype, np.random.default_rng(number))
        if any(is_half(x.dtype) for x in operands):
            yield example, operands


def results_and_total(xp, op, attrs, operands):
    """Return all results of an op, and half the sum of their squares."""
    results = flat(op(*operands, **attrs))
    total = None
    for each in results:
        if each.dtype.kind in "fVc":
            part = xp.sum(xp.square(xp.real(each) if each.dtype.kind == "c" else each) * 0.5)
            total = part if total is None else total + part
    return results, total


def eager(op, attrs, operands):
    tensors = [dg.tensor(x, requires_grad=is_half(x.dtype)) for x in operands]
    results, total = results_and_total(dg, op, attrs, tensors)
    if total is not None and total.requires_grad:
        total.backward()
    grads = [None if x.grad is None else x.grad.numpy() for x in tensors if is_half(x.dtype)]
    return [x.detach().numpy() for x in results], grads


def declared(op, attrs, operands, backend="numpy"):
    with sg.Graph():
        inputs = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
        results, total = results_and_total(sg, op, attrs, inputs)
        wanted = [x for x in inputs if is_half(x.dtype)]
        grads = [None] * len(wanted)
        if total is not None and op.differentiable:
            grads = sg.gradients(total, wanted, unused="none")
        known = [g for g in grads if g is not None]
        found = sg.compile([*results, *known], inputs, backend=backend)(*operands)
    rest = iter(found[len(results) :])
    return found[: len(results)], [None if g is None else next(rest) for g in grads]


def assert_same_bits(found, expected):
    for a, b in zip(flat(found), flat(expected), strict=True):
        if a is None or b is None:  # one mode may know that nothing flows
            known = a if b is None else b
            assert known is None or not known.any()
            continue
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("op", SILENT, ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_op_rounds_the_float32_result_or_refuses_by_name(op, dtype):
    half = to_dtype(dtype)
    for example, operands in samples(op, dtype):
        wide = [x.astype(np.float32) if is_half(x.dtype) else x for x in operands]
        try:
            found = flat(op(*operands, **example.attrs))
        except dg.errors.DTypeError as error:
            assert dtype in str(error)
            continue
        inferred = op.infer(*map(type_of, operands), **op.bind_attrs((), example.attrs))
        expected = flat(op(*wide, **example.attrs))
        for a, b, kind in zip(found, expected, getattr(inferred, "types", (inferred,))):
            assert type_of(np.asarray(a)) == kind
            if not is_half(kind.dtype) or op.name in EXACT_PRECISION:
                continue
            a, b = (np.asarray(x).astype(half).astype(np.float32) for x in (a, b))
            np.testing.assert_allclose(a, b, rtol=2 * EPS[dtype], atol=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("op", SILENT, ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_both_modes_give_the_same_bits(op, dtype):
    for example, operands in samples(op, dtype):
        try:
            results, grads = eager(op, example.attrs, operands)
        except dg.errors.DTypeError:
            with pytest.raises(sg.errors.DTypeError):
                declared(op, example.attrs, operands)
            continue
        for grad in grads:
            assert grad is None or grad.dtype == to_dtype(dtype)
        assert_same_bits(declared(op, example.attrs, operands), (results, grads))


def tangents_of(xp, op, attrs, operands, places, tangents):
    """Return the value of an op and its tangent, the operands at `places` moving."""

    def call(*xs):
        given = list(operands) if xp is sg else list(map(dg.tensor, operands))
        for i, x in zip(places, xs, strict=True):
            given[i] = x
        return op(*given, **attrs)

    primals = [operands[i] for i in places]
    if xp is dg:
        found = dg.jvp(call, list(map(dg.tensor, primals)), list(map(dg.tensor, tangents)))
        return [x.numpy() for x in found]
    run = sg.function(lambda xs, ts: sg.jvp(call, xs, ts), backend="numpy")
    return run(tuple(primals), tuple(tangents))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("op", [op for op in SILENT if op.differentiable], ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_tangents_are_those_of_float32(op, dtype):
    """Within half precision of what is added up: each operand's part, of each element's size."""
    for number, (example, operands) in enumerate(samples(op, dtype)):
        places = [
            i for i, x in enumerate(operands) if is_half(x.dtype) and op.operand_rule(i) is not None
        ]
        try:
            op(*operands, **example.attrs)
        except dg.errors.DTypeError:
            continue
        if not places:
            continue
        rng, attrs = np.random.default_rng(number), dict(example.attrs)
        tangents = [
            np.asarray(rng.standard_normal(operands[i].shape)).astype(to_dtype(dtype))
            for i in places
        ]
        value, found = tangents_of(dg, op, attrs, operands, places, tangents)
        assert found.dtype == value.dtype
        if not number:  # the first example, as a graph takes its time
            assert_same_bits(tangents_of(sg, op, attrs, operands, places, tangents)[1:], [found])
        wide = [x.astype(np.float32) if is_half(x.dtype) else x for x in operands]
        exact = [x.astype(np.float32) for x in tangents]
        expected = tangents_of(dg, op, attrs, wide, places, exact)[1]
        found = found.astype(expected.dtype)
        size = np.max(np.abs(expected), initial=0)
        if np.max(np.abs(found - expected), initial=0) > 4 * EPS[dtype] * size:
            # terms cancel: what is rounded is each of them

            def call(*xs, wide=wide, places=places, op=op, attrs=attrs):
                given = list(map(dg.tensor, wide))
                for i, x in zip(places, xs, strict=True):
                    given[i] = x
                return op(*given, **attrs)

            slopes = dg.jacobian(call, tuple([dg.tensor(wide[i]) for i in places]))
            terms = sum(
                np.tensordot(np.abs(slope.numpy()), np.abs(t), np.ndim(t))
                for slope, t in zip(slopes, exact, strict=True)
            )
            size = np.max(terms)
        assert np.max(np.abs(found - expected), initial=0) <= 4 * EPS[dtype] * size


NUMBERS = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64", "complex64")


@pytest.mark.parametrize("other", NUMBERS)
def test_bfloat16_promotes_as_float16_does(other):
    half = np.result_type(np.float16, other)
    expected = to_dtype("bfloat16") if half == np.float16 else half
    assert promoted(to_dtype("bfloat16"), np.dtype(other)) == expected
    assert dg.result_type(dg.bfloat16, other) == expected
    x, y = dg.ones((2,), dtype="bfloat16"), dg.ones((2,), dtype=other)
    for function in (dg.multiply, dg.add, dg.where):
        operands = (x, y) if function is not dg.where else (dg.tensor([True, False]), x, y)
        if (function, other) != (dg.where, "bool"):
            assert function(*operands).dtype == expected
    assert dg.matmul(x, y).dtype == expected
    assert dg.concat([x, y]).dtype == expected


def test_the_two_halves_make_float32():
    x, y = dg.ones((2,), dtype="bfloat16"), dg.ones((2,), dtype="float16")
    for z in (x * y, y + x, x @ y, dg.where(x > 0, x, y), dg.concat([x, y]), dg.maximum(x, y)):
        assert z.dtype == dg.float32


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("number", [True, 2, 2.5, 1e10])
def test_numbers_of_python_are_weak(dtype, number):
    def program(xp, x):
        return x * number + xp.where(x > 0, x, number) - xp.maximum(number, x)

    x = np.asarray([1.5, -2], to_dtype(dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        eager_result = program(dg, dg.tensor(x)).numpy()
        static_result = sg.function(lambda x: program(sg, x), backend="numpy")(x)
    assert eager_result.dtype == to_dtype(dtype)
    assert_same_bits([static_result], [eager_result])


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_are_accumulated_in_float32(dtype):
    ones = dg.ones((4096, 3), dtype=dtype)
    for total in (dg.sum(ones, axis=0), ones.mT @ dg.ones(4096, dtype=dtype), ones.mean(0) * 4096):
        assert total.dtype == to_dtype(dtype)
        assert total.tolist() == [4096.0] * 3
    x = ones.detach().requires_grad_()
    dg.sum(dg.broadcast_to(x[:1], (4096, 3))).backward()
    assert x.grad[0].tolist() == [4096.0] * 3
    assert dg.take(x, dg.zeros((8,), dtype="int64"), axis=0).sum().item() == 24


@pytest.mark.parametrize("dtype", HALVES)
def test_a_model_trains_alike_in_both_modes(dtype):
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(to_dtype(dtype)) for s in ((8, 5), (5, 3), (3,)))
    labels = np.arange(8) % 3

    def loss(xp, w, b):
        return xp.mean(xp.cross_entropy(xp.tanh(xp.asarray(x) @ w + b) * 2.0, labels))

    value, grads = dg.value_and_grad(lambda w, b: loss(dg, w, b), argnums=(0, 1))(
        dg.tensor(w), dg.tensor(b)
    )
    for backend in ("interpret", "numpy"):
        found = sg.function(
            sg.value_and_grad(lambda w, b: loss(sg, w, b), argnums=(0, 1)), backend=backend
        )(w, b)
        assert_same_bits(found, [value.numpy(), [g.numpy() for g in grads]])
    native = sg.function(
        sg.value_and_grad(lambda w, b: loss(sg, w, b), argnums=(0, 1)), backend="native"
    )(w, b)
    np.testing.assert_allclose(
        flat(native)[1].astype("float32"),
        grads[0].numpy().astype("float32"),
        atol=8 * EPS[dtype],
    )


def test_limits_and_kinds():
    assert dg.finfo("bfloat16").eps == 2.0**-7
    assert dg.finfo(dg.bfloat16).max == 3.3895313892515355e38
    assert dg.finfo("float16").bits == sg.finfo("bfloat16").bits == 16
    for kind in ("real floating", "numeric", ("bool", "real floating"), "bfloat16"):
        kind = to_dtype(kind) if kind == "bfloat16" else kind
        assert dg.isdtype("bfloat16", kind)
    assert not dg.isdtype("bfloat16", "integral")
    assert not dg.isdtype("bfloat16", (dg.float16, "bool"))
    assert dg.can_cast("bfloat16", "float32")
    assert not dg.can_cast("float16", "bfloat16")
    assert dg.bfloat16 is dg.bfloat16
    assert sg.bfloat16 == dg.bfloat16
    assert dg.half == np.float16


def test_bfloat16_is_loaded_when_it_is_asked_for():
    program = """
import sys
import dyngraph, staticgraph
assert "ml_dtypes" not in sys.modules
x = dyngraph.ones((2,)).astype("bfloat16")
assert str(x.dtype) == "bfloat16" and "ml_dtypes" in sys.modules
assert str(x) == "tensor([1., 1.], dtype=bfloat16)", str(x)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("dtype", HALVES)
def test_numpy_reads_and_gives_halves(dtype):
    x = np.asarray([1.5, -2.0, 3.0], to_dtype(dtype))
    assert dg.asarray(x).numpy() is x or dg.asarray(x).numpy().base is x
    for made in (dg.tensor(x), dg.tensor([1.5, -2, 3], dtype=dtype), dg.from_dlpack(x)):
        assert made.dtype == to_dtype(dtype)
        assert np.asarray(made).tobytes() == x.tobytes()
    assert dg.tensor(x).astype("float32").tolist() == dg.tensor(x).tolist() == [1.5, -2.0, 3.0]
    assert dg.tensor(x)[0].item() == 1.5
    assert pickle.loads(pickle.dumps(dg.tensor(x))).dtype == to_dtype(dtype)
    assert dg.zeros((2,), dtype=dtype).dtype == dg.full((2,), 2.5, dtype=dtype).dtype == x.dtype
    assert dg.arange(4, dtype=dtype).tolist() == [0, 1, 2, 3]
    assert dg.linspace(0, 1, 3, dtype=dtype).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("dtype", HALVES)
def test_torch_and_jax_exchange_halves(dtype):
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([1.5, -2.0, 3.0], dtype=getattr(torch, dtype))
    for made in (dg.from_dlpack(theirs), dg.tensor(theirs), dg.asarray(theirs)):
        assert made.dtype == to_dtype(dtype)
        assert made.tolist() == theirs.tolist()
    shared = dg.from_dlpack(theirs)
    theirs[0] = 4
    assert shared[0].item() == 4
    back = torch.from_dlpack(shared)
    assert back.dtype == theirs.dtype
    assert back.tolist() == theirs.tolist()
    with sg.Graph():
        node = sg.from_dlpack(theirs)
        assert torch.from_dlpack(node).tolist() == theirs.tolist()
    feed = sg.function(lambda x: x * 2, backend="numpy")
    assert feed(dg.tensor(theirs).numpy()).tolist() == (theirs * 2).tolist()
    jax = pytest.importorskip("jax")
    values = jax.numpy.asarray([1.5, -2.0], dtype)
    assert dg.from_dlpack(values).tolist() == dg.tensor(values).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("dtype", HALVES)
def test_archives_keep_halves(dtype, tmp_path):
    with sg.Graph():
        x = sg.placeholder("x", (3,), dtype)
        w = sg.variable(np.asarray([1.5, -2, 0.25], to_dtype(dtype)), name="w")
        y = sg.sum(sg.tanh(x * w) + sg.constant(np.asarray(2.5, to_dtype(dtype))))
    run = sg.compile(y, [x], backend="numpy")
    ones = np.ones(3, to_dtype(dtype))
    again = pickle.loads(pickle.dumps(run))
    assert_same_bits(again(ones), run(ones))
    path = tmp_path / "program.sgz"
    sg.save_program(path, y, [x])
    assert_same_bits(sg.open_program(path)(ones), run(ones))


@pytest.mark.parametrize("dtype", HALVES)
def test_lengths_that_a_run_chooses(dtype):
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("n"), 3), dtype)
        run = sg.compile(sg.softmax(x @ sg.ones((3, 2), dtype=dtype)), [x], backend="numpy")
    for n in (1, 4):
        values = np.arange(3 * n).reshape(n, 3).astype(to_dtype(dtype)) / 8
        tensor = dg.tensor(values)
        expected = dg.softmax(tensor @ dg.ones((3, 2), dtype=dtype))
        assert_same_bits([run(values)], [expected.numpy()])


@pytest.mark.parametrize("dtype", HALVES)
def test_keys_draw_halves_by_conversion(dtype):
    key = np.array([0, 1], np.uint64)
    with pytest.raises(dg.errors.DTypeError) as refusal:
        dg.uniform(key, shape=(3,), dtype=dtype)
    assert "astype" in str(refusal.value)
    assert dg.uniform(key, shape=(3,)).astype(dtype).dtype == to_dtype(dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("other", [1j, 0.1, 3, np.complex64(1j), np.float32(0.1), np.int8(3)])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum"])
def test_in_place_is_what_is_computed_apart_or_refused(name, other, dtype):
    x = np.array([1.0, 3.0, 7.0]).astype(to_dtype(dtype))

    def change(xp, x, other):
        changed = x.clone()
        getattr(changed, f"{name}_")(other)
        return changed

    for value in (other, dg.asarray(other)):
        computed = getattr(dg, name)(dg.asarray(x), value)
        if computed.dtype.kind == "c":
            with pytest.raises(dg.errors.DTypeError, match="does not fit into"):
                change(dg, dg.asarray(x), value)
            with pytest.raises(sg.errors.DTypeError, match="does not fit into"):
                sg.function(lambda x: change(sg, x, other))(x)
            continue
        np.testing.assert_array_equal(
            change(dg, dg.asarray(x), value).numpy(), computed.to(dtype).numpy()
        )


def test_the_rest_in_place_is_the_one_that_is_computed_apart():
    x = dg.tensor([1.0, 3.0, 7.0], dtype="bfloat16")
    expected = (x % 0.1).tolist()
    x %= 0.1
    assert x.tolist() == expected
