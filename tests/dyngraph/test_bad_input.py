"""Every door through which a wrong input comes in: each answers in our words, with the line."""

import linecache

import numpy as np
import pytest

import dyngraph as dg
from oplibrary.messages.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    GradcheckError,
    IndexingError,
    InPlaceError,
    LoopBoundError,
    NoGraphError,
    NonScalarError,
    NotDifferentiableError,
    OutOfMemoryError,
    ShapeError,
    SideBySideError,
    SymbolicArrayError,
    UnusedInputError,
)


class Double(dg.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


class NoBackward(dg.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2


class ReturnsText(Double):
    @staticmethod
    def forward(ctx, x):
        return "text"


class TooManyGradients(Double):
    @staticmethod
    def backward(ctx, g):
        return g, g


class WrongShape(Double):
    @staticmethod
    def backward(ctx, g):
        return g.sum()


def matrix():
    return dg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def integers():
    return dg.tensor([1, 2, 3])


def weights():
    return dg.tensor([1.0, 2.0, 3.0], requires_grad=True)


def loss():
    return (weights() * 2).sum()


def doubles():
    return dg.tensor([1.0], dtype="float64", requires_grad=True)


def images():
    return dg.ones((1, 3, 5, 5)), dg.ones((4, 3, 3, 3))


def unrecorded_view():
    x = weights() * 1
    with dg.no_grad():
        return x[:2]


class ChangesArgument(dg.Function):
    @staticmethod
    def forward(ctx, x):
        return x.add_(1)

    @staticmethod
    def backward(ctx, g):
        return g


class ChangesMarked(ChangesArgument):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1)


def hooked(result):
    y = weights() * 2
    y.register_hook(lambda g: result)
    y.sum().backward()


def assigned(x, key, value):
    x[key] = value


def with_attribute(x, name, value):
    setattr(x, name, value)


DOORS = {
    "constructors": [
        (lambda: dg.tensor("abc"), DTypeError, "no tensor can be made"),
        (lambda: dg.tensor([[1, 2], [3]]), DTypeError, "pad the rows"),
        (lambda: dg.tensor([1, None]), DTypeError, "dtype object"),
        (lambda: dg.tensor({1: 2}), DTypeError, "numbers or booleans"),
        (lambda: dg.tensor([300], dtype="int8"), DTypeError, "300"),
        (lambda: dg.tensor([1.0], dtype="flot32"), DTypeError, "flot32"),
        (lambda: dg.tensor([1, 2], requires_grad=True), NotDifferentiableError, "int64"),
        (lambda: dg.tensor([True], requires_grad=True), NotDifferentiableError, "bool"),
        (lambda: dg.as_tensor("a"), DTypeError, "str"),
        (lambda: dg.from_numpy(object()), DTypeError, "object"),
    ],
    "creation": [
        (lambda: dg.zeros(-1), ArgumentError, "negative length"),
        (lambda: dg.zeros("a"), ArgumentError, "tuple of ints"),
        (lambda: dg.zeros((2, 2.5)), ArgumentError, "tuple of ints"),
        (lambda: dg.zeros((10**7, 10**7, 10**7)), OutOfMemoryError, "memory"),
        (lambda: dg.zeros((2,), dtype="x"), DTypeError, "x"),
        (lambda: dg.full((2,), "a"), SideBySideError, "not str 'a'"),
        (lambda: dg.full((2,), 300, dtype="uint8"), SideBySideError, "300"),
        (lambda: dg.arange(0, 10, 0), ArgumentError, "step"),
        (lambda: dg.linspace(0, 1, -2), ArgumentError, "-2"),
        (lambda: dg.eye(2.5), ArgumentError, "2.5"),
        (lambda: dg.zeros_like("a"), DTypeError, "str"),
        (lambda: dg.rand(2.5), ArgumentError, "tuple of ints"),
        (lambda: dg.randn(None), ArgumentError, "tuple of ints"),
        (lambda: dg.randn(-2), ArgumentError, "negative length"),
        (lambda: dg.randperm("a"), SideBySideError, "'a'"),
        (lambda: dg.manual_seed("a"), ArgumentError, "seed must be an int"),
        (lambda: dg.uniform(3, (2,)), SideBySideError, "key"),
    ],
    "signatures": [
        (
            lambda: dg.max_pool2d(images()[0], 2, 1, 0, 1, 0, 0, 1),
            ArgumentError,
            "kernel_size, stride",
        ),
        (lambda: dg.mse_loss(matrix()), ArgumentError, "missing"),
        (
            lambda: dg.embedding(matrix(), integers(), pad=3),
            ArgumentError,
            "(weight, ids, ",
        ),
        (lambda: dg.zeros(2, length=3), ArgumentError, "length"),
        (lambda: matrix().flatten(rows=2), ArgumentError, "rows"),
    ],
    "arguments": [
        (lambda: dg.conv2d(images()[0], "a"), ArgumentError, "conv2d(x, weight"),
        (lambda: dg.avg_pool2d(images()[0], None), ArgumentError, "kernel_size=None is neither"),
        (lambda: dg.cross_entropy(matrix(), 5), ArgumentError, "cross_entropy(logits, labels"),
        (lambda: dg.layer_norm(matrix(), None), ArgumentError, "normalized_shape"),
        (lambda: dg.tensordot(matrix(), "a"), ArgumentError, "tensordot(x, y"),
        (
            lambda: dg.dropout(matrix(), (2,), key=dg.random_key(0)),
            ArgumentError,
            "p must be a number",
        ),
    ],
    "operators": [
        (lambda: matrix() + dg.tensor([1.0, 2.0]), ShapeError, "do not broadcast"),
        (lambda: matrix() + "a", DTypeError, "str"),
        (lambda: None * matrix(), DTypeError, "NoneType"),
        (lambda: matrix() * [[1, 2], [3]], DTypeError, "rectangular"),
        (lambda: matrix() @ matrix(), ShapeError, "matmul"),
        (lambda: 3 @ matrix(), SideBySideError, "matmul"),
        (lambda: matrix() << 1, DTypeError, "float32"),
        (lambda: ~matrix(), DTypeError, "float32"),
        (lambda: matrix() < "a", DTypeError, "str"),
        (lambda: dg.tensor([1], dtype="uint8") + 300, DTypeError, "wider dtype"),
        (lambda: -dg.tensor([True]), DTypeError, "bool"),
        (lambda: dg.exp([1, "a"]), DTypeError, "list"),
        (lambda: dg.where(matrix(), matrix(), "a"), DTypeError, "str"),
    ],
    "methods": [
        (lambda: matrix().sum(axis=5), AxisError, "axis 5"),
        (lambda: matrix().sum(axis="a"), ArgumentError, "axis must be an int"),
        (lambda: matrix().sum(axis=(0, 0)), ShapeError, "twice"),
        (lambda: matrix().sum(rows=3), ArgumentError, "no argument 'rows'"),
        (lambda: dg.zeros((0,)).max(), ShapeError, "no elements"),
        (lambda: matrix().reshape(4), ShapeError, "reshape"),
        (lambda: matrix().reshape(-1, -1), ShapeError, "-1"),
        (lambda: matrix().reshape(2.5), ArgumentError, "shape must be an int"),
        (lambda: matrix().reshape(None), ArgumentError, "shape must be an int"),
        (lambda: matrix().permute(0, 5), AxisError, "5"),
        (lambda: matrix().permute(2.5), ArgumentError, "axes must be an int"),
        (lambda: matrix().transpose(0, 5), AxisError, "5"),
        (lambda: matrix().squeeze(0), ShapeError, "squeeze"),
        (lambda: matrix().expand_dims(axis=9), AxisError, "9"),
        (lambda: matrix().broadcast_to((5,)), ShapeError, "broadcast_to"),
        (lambda: matrix().repeat(-1), ArgumentError, "-1"),
        (lambda: matrix().clip("a", "b"), SideBySideError, "clip"),
        (lambda: weights().take([0, 99]), IndexingError, "99"),
        (lambda: matrix().astype("zz"), DTypeError, "zz"),
        (lambda: matrix().astype(object), DTypeError, "numbers or booleans"),
        (lambda: matrix().to("cuda"), DTypeError, '"cpu" only'),
        (lambda: matrix().to(None), DTypeError, "neither a dtype nor a place"),
        (lambda: matrix().softmax(axis=9), AxisError, "9"),
        (lambda: dg.concat([]), ArgumentError, "concat"),
        (lambda: dg.concat([matrix(), weights()]), ShapeError, "concat"),
        (lambda: dg.stack([matrix(), weights()]), ShapeError, "stack"),
        (lambda: dg.einsum("ij,jk", matrix(), matrix()), ShapeError, "einsum"),
        (lambda: dg.conv2d(*images(), stride=0), ArgumentError, "stride"),
        (lambda: dg.conv2d(*images(), groups=2), ShapeError, "groups"),
        (lambda: dg.cross_entropy(matrix(), dg.tensor([0, 9])), IndexingError, "9"),
    ],
    "indexing": [
        (lambda: matrix()[5], IndexingError, "5"),
        (lambda: matrix()[0, 0, 0], SideBySideError, "3"),
        (lambda: matrix()["a"], ArgumentError, "'a'"),
        (lambda: matrix()[1.5], ArgumentError, "1.5"),
        (lambda: matrix()[[0, 5]], IndexingError, "5"),
        (lambda: matrix()[[[0, 1], [0]]], ArgumentError, "rectangular"),
        (lambda: matrix()[np.array([True] * 3)], SideBySideError, "3"),
        (lambda: matrix()[::0], ArgumentError, "step"),
        (lambda: matrix()[1.5:], ArgumentError, "1.5"),
        (lambda: assigned(matrix(), 9, 1.0), IndexingError, "9"),
        (lambda: assigned(matrix(), 0, "a"), DTypeError, "str"),
        (lambda: assigned(matrix(), 0, [1.0, "a"]), DTypeError, "list"),
        (lambda: assigned(matrix(), 0, [[1.0], [1.0, 2.0]]), DTypeError, "rectangular"),
        (lambda: assigned(matrix(), 0, [1.0, 2.0]), ShapeError, "shape (2,)"),
        (lambda: assigned(integers(), 0, 10**30), DTypeError, "wider dtype"),
    ],
    "numbers": [
        (lambda: matrix().item(), NonScalarError, "6 elements"),
        (lambda: int(matrix()), NonScalarError, "one number"),
        (lambda: bool(matrix()), NonScalarError, "ambiguous"),
        (lambda: len(dg.tensor(2.0)), DTypeError, "no length"),
        (lambda: list(dg.tensor(2.0)), DTypeError, "0-d"),
        (lambda: range(matrix()), DTypeError, "not an index"),
        (lambda: dg.tensor([9.0, 9.0]) in matrix(), ShapeError, "broadcast"),
        (lambda: weights().numpy(), NotDifferentiableError, "detach()"),
        (lambda: np.roots(matrix()), SymbolicArrayError, "roots"),
        (lambda: np.arctan2.accumulate(matrix()), SymbolicArrayError, "arctan2"),
        (lambda: np.var(matrix(), mean=3), SymbolicArrayError, "mean"),
        (lambda: np.add(matrix(), 1, where=np.ones((2, 3), bool)), SymbolicArrayError, "add"),
    ],
    "gradients": [
        (lambda: (weights() * 2).backward(), NonScalarError, "gradient=v"),
        (lambda: matrix().sum().backward(), NoGraphError, "requires_grad=True"),
        (lambda: integers().sum().backward(), NotDifferentiableError, "int64"),
        (lambda: loss().backward("a"), DTypeError, "str"),
        (lambda: loss().backward(gradient=[1.0, 2.0]), ShapeError, "cotangent"),
        (lambda: loss().backward(inputs=matrix()), UnusedInputError, "requires_grad=True"),
        (lambda: loss().backward(inputs=3), ArgumentError, "input is a int"),
        (lambda: loss().backward(inputs=[]), ArgumentError, "names no tensor"),
        (lambda: dg.backward(3), ArgumentError, "result is a int"),
        (lambda: dg.backward([1.0]), ArgumentError, "result 0 is a float"),
        (lambda: dg.backward(loss(), [1, 2]), ArgumentError, "2 cotangents for 1"),
        (lambda: dg.grad(loss(), "a"), ArgumentError, "input 0 is a str"),
        (lambda: dg.grad([loss(), 3], [weights()]), ArgumentError, "result 1 is a int"),
        (lambda: dg.grad(loss(), weights(), unused="q"), ArgumentError, "'q'"),
        (lambda: dg.grad(3, weights()), ArgumentError, "grad of int"),
        (lambda: with_attribute(weights(), "grad", dg.ones((1,))), ArgumentError, "float32[3]"),
        (lambda: with_attribute(matrix(), "grad", matrix()), ArgumentError, "requires_grad_()"),
        (lambda: with_attribute(integers(), "requires_grad", True), NotDifferentiableError, "int"),
        (lambda: (weights() * 2).requires_grad_(False), ArgumentError, "detach()"),
        (lambda: matrix().retain_grad(), NotDifferentiableError, "requires_grad=True"),
    ],
    "transforms": [
        (lambda: dg.value_and_grad("a"), ArgumentError, "needs a function"),
        (lambda: dg.grad(lambda x: x)(weights()), NonScalarError, "one number"),
        (lambda: dg.grad(lambda x: 3)(weights()), NonScalarError, "of type int"),
        (lambda: dg.grad(lambda x: x.sum(), argnums=3)(weights()), ArgumentError, "argument 3"),
        (lambda: dg.grad(lambda x: x.sum(), argnums="a")(weights()), ArgumentError, "argnums"),
        (lambda: dg.grad(lambda x: x.sum())(None), ArgumentError, "holds no array"),
        (lambda: dg.grad(lambda x: x.sum())(integers()), NotDifferentiableError, "int64"),
        (lambda: dg.grad(lambda x: x.sum(), has_aux=True)(weights()), ArgumentError, "aux"),
        (lambda: dg.value_and_grad(lambda x: x.sum(), unused="q"), ArgumentError, "'q'"),
        (lambda: dg.vjp(3, weights()), ArgumentError, "needs a function"),
        (lambda: dg.vjp(lambda x: 3, weights()), ArgumentError, "of type int"),
        (lambda: dg.vjp(lambda x: x * 2, weights())[1]("a"), DTypeError, "str"),
        (lambda: dg.jvp(lambda x: x, [weights()], [matrix()]), ShapeError, "tangent 0"),
        (lambda: dg.jvp(lambda x: x, [weights()], []), ArgumentError, "0 tangents for 1"),
        (lambda: dg.jvp(lambda x: "x", [weights()], [weights()]), ArgumentError, "str"),
        (lambda: dg.jacobian(lambda x: 3, weights()), ArgumentError, "of type int"),
        (lambda: dg.hessian(3, weights()), ArgumentError, "needs a function"),
        (lambda: dg.hessian(lambda x: x * 2, weights()), NonScalarError, "float32[3]"),
        (lambda: dg.checkpoint(3, weights()), ArgumentError, "needs a function"),
        (lambda: dg.gradcheck(lambda x: x, matrix()), ArgumentError, "requires_grad=True"),
        (lambda: dg.gradcheck(lambda x: x, 3), ArgumentError, "a int"),
        (lambda: dg.gradgradcheck(lambda x: x, 3), ArgumentError, "a int"),
        (lambda: dg.gradcheck(lambda x: x, weights()), ArgumentError, "float64"),
        (lambda: dg.gradcheck(lambda x: x * x.detach(), doubles()), GradcheckError, "element 0"),
    ],
    "hooks": [
        (lambda: matrix().register_hook(print), NotDifferentiableError, "requires_grad=True"),
        (lambda: weights().register_hook(3), ArgumentError, "given a int"),
        (lambda: hooked("a"), ArgumentError, "a hook returned str"),
        (lambda: hooked(dg.ones((1,))), ArgumentError, "shape (1,)"),
    ],
    "functions": [
        (lambda: dg.Function.apply(weights()), ArgumentError, "no forward"),
        (lambda: NoBackward.apply(weights()).sum().backward(), NotDifferentiableError, "backward"),
        (lambda: ReturnsText.apply(weights()), ArgumentError, "returned a str"),
        (lambda: TooManyGradients.apply(weights()).sum().backward(), ArgumentError, "2 gradients"),
        (lambda: WrongShape.apply(weights()).sum().backward(), ShapeError, "shape ()"),
    ],
    "in-place": [
        (lambda: with_attribute(matrix(), "data", dg.ones((1,))), ArgumentError, "float32[2,3]"),
        (lambda: (weights() * 1)[0].detach_(), InPlaceError, "view"),
        (lambda: unrecorded_view().add_(1), InPlaceError, "inside no_grad()"),
        (lambda: ChangesArgument.apply(weights() * 1), InPlaceError, "mark_dirty"),
        (lambda: ChangesMarked.apply(weights()), InPlaceError, "leaf"),
        (lambda: ChangesMarked.apply((weights() * 1)[:2]), InPlaceError, "view"),
        (lambda: weights().add_(1), InPlaceError, "no_grad()"),
        (lambda: matrix().add_(dg.ones((4, 2, 3))), ShapeError, "x = x + y"),
        (lambda: integers().add_(1.5), DTypeError, "float"),
        (lambda: matrix().add_("a"), DTypeError, "str"),
        (lambda: matrix().fill_("a"), DTypeError, "str"),
        (lambda: dg.tensor([1], dtype="uint8").fill_(300), DTypeError, "300"),
        (lambda: matrix().copy_("a"), DTypeError, "str"),
        (lambda: dg.ones((1,)).broadcast_to((4,)).add_(1), InPlaceError, "clone()"),
    ],
    "control flow": [
        (lambda: dg.cond(True, 3, 4), ArgumentError, "needs a function"),
        (lambda: dg.cond(matrix(), print, print), DTypeError, "decides once"),
        (lambda: dg.switch(0, []), ArgumentError, "no branch"),
        (lambda: dg.switch("a", [print]), SideBySideError, "str"),
        (lambda: dg.while_loop(3, print, 0), ArgumentError, "needs a function"),
        (lambda: dg.while_loop(lambda c: c < 1, lambda c: c, 0, 9), LoopBoundError, "9 steps"),
        (lambda: dg.scan(lambda c, x: c, matrix(), matrix()), ArgumentError, "not a pair"),
        (lambda: dg.scan(print, 0), ArgumentError, "no length"),
        (lambda: dg.scan(print, 0, length=-1), ArgumentError, "negative length"),
        (lambda: dg.fori_loop(0, 1.5, print, 0), DTypeError, "whole number"),
        (lambda: dg.map(3, matrix()), ArgumentError, "needs a function"),
    ],
    "modes": [
        (lambda: dg.no_grad(3), ArgumentError, "no_grad was given a int"),
        (lambda: dg.inference_mode(3), ArgumentError, "inference_mode(True)"),
        (lambda: dg.set_grad_enabled("on"), ArgumentError, "set_grad_enabled(False)"),
        (lambda: dg.no_grad()(3), ArgumentError, "with no_grad():"),
    ],
}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        pytest.param(*each, id=f"{door}-{number}")
        for door, cases in DOORS.items()
        for number, each in enumerate(cases)
    ],
)
def test_door(call, error, words):
    with pytest.raises(SideBySideError) as caught:
        call()
    assert type(caught.value) is error or error is SideBySideError
    text = str(caught.value)
    told = (caught.value.what, caught.value.cause, caught.value.fix)  # not the line of this file
    assert any(words in part for part in told)
    source = caught.value.source
    assert source.filename == __file__
    assert source.text and source.text == linecache.getline(__file__, source.line).strip()
    assert "^" in text.split("\n")[2]
    assert caught.value.cause and caught.value.fix
    assert "\n  why: " in text and "\n  fix: " in text


def test_comparisons_take_numbers_of_any_size():
    small = dg.tensor([1, 2], dtype="uint8")
    assert (small < 300).tolist() == [True, True]
    assert (small == -1).tolist() == [False, False]
    assert (small < 10**30).tolist() == [True, True]


def test_ops_on_plain_numbers_run():
    assert dg.add(1, 2).item() == 3
    assert dg.sum(3.0).item() == 3.0
    assert dg.zeros_like(3).item() == 0
