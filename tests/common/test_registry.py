"""What holds for every op, over every example it gives of itself."""

import zlib
from typing import Any

import numpy as np
import pytest

from oplibrary.core.expression import OPERAND
from oplibrary.core.op import Example, Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw, symmetric_part
from oplibrary.executors.autodiff import pull_back
from oplibrary.messages.errors import DataDependentShapeError
from oplibrary.values.types import TensorType, type_of

# executors, once imported, add ops of their own, which their tests cover
OPS = [op for op in REGISTRY.values() if op.infer.__module__.startswith("oplibrary.")]
CASES = [
    pytest.param(op, example, id=f"{op.name}-{i}")
    for op in OPS
    for i, example in enumerate(op.examples)
]
GRADIENT_CASES = [
    pytest.param(op, example, position, id=f"{op.name}-{i}-operand{position}")
    for op in OPS
    for i, example in enumerate(op.examples)
    for position in range(len(example.operands))
    if op.operand_rule(position) is not None
]
ELEMENTWISE = [op for op in OPS if op.kind is Kind.ELEMENTWISE]
PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def by_name(ops: list[Op]) -> Any:
    return pytest.mark.parametrize("op", ops, ids=lambda op: op.name)


def generator(op: Op) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(op.name.encode()))


def bits(value: Any) -> bytes:
    return np.ascontiguousarray(value).tobytes()


def attributes(op: Op, example: Example) -> dict[str, Any]:
    """Return the example's attributes, completed by the op's defaults."""
    return {**op.attrs, **example.attrs}


def shape_depends_on_data(op: Op) -> bool:
    try:
        op.infer(*[TensorType((3,))] * (op.arity or 1), **op.attrs)
    except DataDependentShapeError:
        return True
    return False


# the record ---------------------------------------------------------------------------------------


@by_name(OPS)
def test_record_is_complete(op):
    assert op.doc.rstrip().endswith(".")
    assert op.examples or shape_depends_on_data(op)
    assert op.arity is None or len(op.operand_names) == op.arity
    for example in op.examples:
        assert op.arity is None or len(example.operands) == op.arity
        assert set(example.attrs) <= set(op.attrs)
        hash(tuple(example.attrs.values()))


def test_spellings_are_unique():
    spellings = [name for op in OPS for name in (op.name, *op.alias)]
    assert len(spellings) == len(set(spellings))


@by_name(ELEMENTWISE)
def test_expression_reads_every_operand(op):
    read = {leaf.value for leaf in op.expression.leaves() if leaf.operator == OPERAND}
    assert read == set(range(op.arity))


# the kernel ---------------------------------------------------------------------------------------


@PRECISIONS
@pytest.mark.parametrize(("op", "example"), CASES)
def test_infer_says_what_the_kernel_returns(op, example, dtype):
    operands = draw(op, example, dtype, generator(op))
    attrs = attributes(op, example)
    result = np.asarray(op.kernel(*operands, **attrs))
    try:
        inferred = op.infer(*map(type_of, operands), **attrs)
    except DataDependentShapeError:
        return
    assert inferred == type_of(result)


@PRECISIONS
@pytest.mark.parametrize(("op", "example"), CASES)
def test_kernel_leaves_operands_alone(op, example, dtype):
    operands = draw(op, example, dtype, generator(op))
    before = [bits(operand) for operand in operands]
    for operand in operands:
        operand.flags.writeable = False
    op.kernel(*operands, **attributes(op, example))
    assert [bits(operand) for operand in operands] == before


@PRECISIONS
@pytest.mark.parametrize(("op", "example"), [case for case in CASES if case.values[0].takes_out])
def test_out_changes_no_bit(op, example, dtype):
    operands = draw(op, example, dtype, generator(op))
    attrs = attributes(op, example)
    expected = np.asarray(op.kernel(*operands, **attrs))
    out = np.empty_like(expected)
    assert op.kernel(*operands, out, **attrs) is out
    assert bits(out) == bits(expected)


@PRECISIONS
@pytest.mark.parametrize(
    ("op", "example"),
    [c for c in CASES if c.values[0].takes_out and c.values[0].kind is Kind.ELEMENTWISE],
)
def test_elementwise_kernel_may_write_over_an_operand(op, example, dtype):
    attrs = attributes(op, example)
    operands = draw(op, example, dtype, generator(op))
    expected = np.asarray(op.kernel(*operands, **attrs))
    for position, operand in enumerate(operands):
        if type_of(operand) == type_of(expected):
            copies = [each.copy() for each in operands]
            op.kernel(*copies, copies[position], **attrs)
            assert bits(copies[position]) == bits(expected)


@PRECISIONS
@by_name([op for op in OPS if op.commutative])
def test_commutative(op, dtype):
    """In loops over vectors and in what is left of them, zeros of both signs and NaN included."""
    for example in op.examples:
        x, y = draw(op, example, dtype, generator(op))
        assert bits(op.kernel(x, y)) == bits(op.kernel(y, x))
    (x, y), rng = draw(op, op.examples[0], dtype, generator(op)), generator(op)
    if x.dtype.kind == "f":
        specials = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38]
        values = np.concatenate([x.reshape(-1), np.array(specials, dtype)])
        x, y = (rng.choice(values, 1003) for _ in range(2))
        with np.errstate(all="ignore"):
            one, other = op.kernel(x, y), op.kernel(y, x)
        if one.dtype.kind == "f":
            one[np.isnan(one)] = other[np.isnan(other)] = np.nan
        assert bits(one) == bits(other)


@PRECISIONS
@by_name([op for op in OPS if op.unit is not None])
def test_unit_holds_bit_for_bit(op, dtype):
    (x, *_) = draw(op, op.examples[0], dtype, generator(op))
    if x.dtype.kind == "f":
        specials = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38]
        x = np.concatenate([x.reshape(-1), np.array(specials, dtype)])
    assert bits(op.kernel(x, np.array(op.unit, x.dtype))) == bits(x)


# the gradient rules -------------------------------------------------------------------------------


def read_by(need: str, value: Any) -> Any:
    """Return what an executor would have kept of `value`."""
    if need == "value":
        return value
    return type_of(value) if need == "type" else None


def gradient(
    op: Op, position: int, g: Any, operands: tuple[Any, ...], attrs: dict[str, Any]
) -> Any:
    """Return the gradient of one operand by its rule, which sees only what it declares."""
    rule = op.operand_rule(position)
    out = np.asarray(op.kernel(*operands, **attrs))
    needs = rule.needs(position, len(operands))
    kept = tuple(map(read_by, needs, operands))
    operand_type = type_of(operands[position])
    return np.asarray(pull_back(op, position, g, read_by(rule.out, out), kept, attrs, operand_type))


def random_like(array: Any, rng: np.random.Generator) -> Any:
    values = rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1.0, 1.0], array.shape)
    if array.dtype.kind == "c":
        values = values + 1j * rng.uniform(-1, 1, array.shape)
    return np.asarray(values)


def inner(x: Any, y: Any) -> float:
    # transposed, not conjugated: see the complex numbers in oplibrary/ops/elementwise.py
    return float(np.sum(x * y).real)


@pytest.mark.parametrize(("op", "example", "position"), GRADIENT_CASES)
def test_gradient_is_that_of_central_differences(op, example, position):
    rng = generator(op)
    attrs = attributes(op, example)
    operands = draw(op, example, np.float64, rng)
    x = operands[position]
    out = np.asarray(op.kernel(*operands, **attrs))
    if x.dtype.kind not in "fc" or out.dtype.kind not in "fc":
        return
    if op.name == "eig":  # its vectors are fixed up to phases only: see test_decompositions.py
        return
    g = random_like(out, rng).astype(out.dtype)
    analytic = gradient(op, position, g, operands, attrs)
    assert type_of(analytic) == type_of(x)

    direction = random_like(x, rng)
    if op.symmetric and position == 0:
        direction = symmetric_part(direction)
    # a cast to float32 rounds the difference
    step, tolerance = (1e-6, 1e-6) if out.dtype.itemsize >= 8 else (1e-2, 1e-4)

    def along(t: float) -> float:
        moved = (*operands[:position], x + t * direction, *operands[position + 1 :])
        return inner(g, np.asarray(op.kernel(*moved, **attrs), g.dtype))

    numerical = (along(step) - along(-step)) / (2 * step)
    scale = np.sum(np.abs(analytic * direction)) + 1e-3
    assert abs(inner(analytic, direction) - numerical) <= tolerance * scale


def toy(rule: Any) -> Op:
    return Op(
        name="toy",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=np.square,
        infer=lambda x: x,
        vjp=(rule,),
        expr="{0} * {0}",
    )


def test_a_wrong_rule_is_found():
    example = Example(((3, 4),), {})
    test_gradient_is_that_of_central_differences(toy(lambda g, _out, x: (g + g) * x), example, 0)
    with pytest.raises(AssertionError):
        test_gradient_is_that_of_central_differences(toy(lambda g, _out, x: g * x), example, 0)
    with pytest.raises(TypeError):  # the rule reads an operand that it declared unneeded
        test_gradient_is_that_of_central_differences(toy(lambda g, _out, _x: g * _x), example, 0)
