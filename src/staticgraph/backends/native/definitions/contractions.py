"""Contractions: einsums of two operands, as matrix products, correlations or sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from oplibrary.core.expression import parse_expression
from oplibrary.machine.complex_numbers.parts import part_of
from oplibrary.machine.elements import FLOAT32, FLOAT64, Unsupported
from oplibrary.values.types import TensorType
from staticgraph.backends.native.definitions.correlation import correlate
from staticgraph.backends.native.definitions.definition import (
    OF_PARTS,
    PARTS,
    PRODUCT,
    Definition,
    Elementwise,
    Fold,
    Reshaped,
    Uniform,
    cast_to,
    sum_of_one,
)
from staticgraph.backends.native.definitions.open_lengths import at_most, nominal
from staticgraph.backends.native.definitions.products import (
    Contraction,
    find_strided,
    product_in_place,
    spread,
)
from staticgraph.program.program import Instruction, Value

_SUM, _DIFFERENCE = parse_expression("{0} + {1}"), parse_expression("{0} - {1}")
MOST_OF_PARTS = 64**3
"""Multiplications of complex matrices up to which four products of parts are as quick as one."""
LEAST_LINE = 8
"""Columns of a product of integers from which on they are worked on together."""


def define_contraction(
    instruction: Instruction,
    operands: tuple[Definition, ...],
    subscripts: str,
    copies: Callable[[Definition], Definition],
) -> Definition:
    """Return what an einsum of two operands is.

    `copies` returns a value in memory of its own, the same one for one value.

    Raises
    ------
    Unsupported
        If it is not a product of matrices.
    """
    type_ = instruction.output.type
    if not (type_.size and all(each.size for each in operands)):
        return Uniform(type_.shape, type_.dtype, instruction, 0)  # sums of nothing
    if type_.dtype not in (FLOAT32, FLOAT64) and type_.dtype.kind not in "iuc":
        raise Unsupported(f"matrix products of {type_.dtype}")
    labels, output = subscripts.split("->")
    inputs = labels.split(",")
    if len(inputs) != 2 or any(len(set(each)) < len(each) for each in inputs):
        raise Unsupported("an einsum that is not of two matrices")
    x, y = (cast_to(operand, type_.dtype) for operand in operands)
    lengths: dict[str, int] = {}
    for each, operand in zip(inputs, (x, y), strict=True):
        for label, n in zip(each, operand.shape, strict=True):
            lengths[label] = n if n != 1 else lengths.get(label, 1)
    spec = Contraction(inputs[0], inputs[1], output, lengths)
    if any(label not in inputs[1] + output for label in inputs[0]) or any(
        label not in inputs[0] + output for label in inputs[1]
    ):
        raise Unsupported("an einsum that sums an operand by itself")
    if type_.dtype.kind == "c":
        terms = prod(map(spec.length, (spec.left, spec.right, spec.inner)))
        if not at_most(terms, MOST_OF_PARTS):
            raise Unsupported(
                "large products of complex matrices, which BLAS shares out as a whole"
            )
        return _by_parts(instruction, (x, y), subscripts, copies)
    if type_.dtype.kind in "iu":
        return _by_loops(instruction, x, y, spec, _order_of_integers(spec))
    if 1 in map(spec.length, (spec.left, spec.right, spec.inner)):
        return _by_loops(instruction, x, y, spec, _order_of_vectors(x, y, spec))
    return _by_blas(instruction, x, y, spec, copies)


def _by_parts(
    instruction: Instruction,
    operands: tuple[Definition, ...],
    subscripts: str,
    copies: Callable[[Definition], Definition],
) -> Definition:
    """Return a product of complex numbers: four products of their parts."""
    type_ = instruction.output.type
    part = part_of(type_.dtype)
    of_parts = replace(instruction, output=Value(TensorType(type_.shape, part)))
    x, y = (
        [Elementwise(each.shape, part, of_parts, expression, (each,)) for expression in PARTS]
        for each in operands
    )
    (rr, ri), (ir, ii) = (
        [define_contraction(of_parts, (one, other), subscripts, copies) for other in y] for one in x
    )
    real = Elementwise(type_.shape, part, of_parts, _DIFFERENCE, (rr, ii))
    imaginary = Elementwise(type_.shape, part, of_parts, _SUM, (ri, ir))
    return Elementwise(type_.shape, type_.dtype, instruction, OF_PARTS, (real, imaginary))


def _order_of_vectors(x: Definition, y: Definition, spec: Contraction) -> str:
    """Return the labels of the loops over a product of a vector, from the outermost to the last."""
    # the innermost loop is to go over what lies together
    if any(_lie_together(each, own, spec.inner) for each, own in ((x, spec.x), (y, spec.y))):
        return spec.output + spec.inner
    return spec.inner + spec.output


def _order_of_integers(spec: Contraction) -> str:
    """Return the labels of the loops over a product of integers.

    Lines of the result stay in registers where they fill one: half the time of a sum for each.
    """
    before, last = spec.output[:-1], spec.output[-1:]
    if last and nominal(spec.lengths[last]) >= LEAST_LINE:
        return before + spec.inner + last
    return spec.output + spec.inner


def _by_loops(
    instruction: Instruction, x: Definition, y: Definition, spec: Contraction, labels: str
) -> Definition:
    """Return a product that BLAS is no help with, of a vector or of integers, as a sum."""
    type_ = instruction.output.type
    shape = spec.shape(labels)
    wide = [
        spread(instruction, operand, own, labels, shape)
        for operand, own in ((x, spec.x), (y, spec.y))
    ]
    product: Definition = Elementwise(shape, type_.dtype, instruction, PRODUCT, tuple(wide))
    axes = tuple([i for i, c in enumerate(labels) if c in spec.inner and shape[i] != 1])
    if not axes:
        product = sum_of_one(product) if spec.inner else product
        return Reshaped(type_.shape, type_.dtype, instruction, product)
    return Fold(type_.shape, type_.dtype, instruction, product, "add", axes)


def _lie_together(operand: Definition, own: str, inner: str) -> bool:
    """Tell whether neighbours along the last summed axis of a matrix are neighbours in memory."""
    long = [i for i, n in enumerate(operand.shape) if n != 1]
    if len(long) < 2 or not inner:
        return False
    return find_strided(operand).strides[own.index(inner[-1])] == 1


def _by_blas(
    instruction: Instruction,
    x: Definition,
    y: Definition,
    spec: Contraction,
    copies: Callable[[Definition], Definition],
) -> Definition:
    """Return a product of matrices, of copies of the operands where they are not in order."""
    product = product_in_place(instruction, x, y, spec) or correlate(instruction, x, y, spec)
    if product is not None:
        return product
    for left in (x, None):
        for right in (y, None):
            product = product_in_place(
                instruction,
                copies(x) if left is None else left,
                copies(y) if right is None else right,
                spec,
            )
            if product is not None:
                return product
    raise Unsupported("a product whose result is not a matrix in memory")
