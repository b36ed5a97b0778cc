"""Constructors of the common families of ops, with the infer rule that each family shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from oplibrary.core.op import Example, Kind, Op, Option, Rule, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.values.dtypes import promoted_by
from oplibrary.values.types import (
    TensorType,
    broadcast_shapes,
    normalize_axes,
)

UNARY_EXAMPLES = (example((3, 4)), example(()), example((0, 2)), example((2, 1, 3)))
BINARY_EXAMPLES = (
    example((3, 4), (3, 4)),
    example((3, 4), (4,)),
    example((2, 1), (1, 3)),
    example((), (2, 3)),
    example((0, 3), (1,)),
)


def resolve_dtype(name: str, ufunc: np.ufunc, types: tuple[TensorType, ...]) -> np.dtype[Any]:
    """Return the dtype of ``ufunc``'s result, by NumPy's own rules.

    Raises
    ------
    DTypeError
        If NumPy defines no loop for these dtypes.
    """
    dtypes = tuple(t.dtype for t in types)
    try:
        return promoted_by(ufunc, *dtypes)
    except TypeError:
        listing = " and ".join(map(str, dtypes))
        raise DTypeError(
            f"{name} is not defined for {listing}",
            cause=f"NumPy has no {ufunc.__name__} for {listing}",
            fix="convert with astype or cast first",
        ) from None


def elementwise_infer(name: str, ufunc: np.ufunc) -> Callable[..., TensorType]:
    """Return the infer rule of an elementwise op whose dtypes are those of `ufunc`."""

    def infer(*types: TensorType) -> TensorType:
        shape = broadcast_shapes(*(t.shape for t in types))
        return TensorType(shape, resolve_dtype(name, ufunc, types))

    return infer


def unary(
    name: str,
    kernel: Callable[..., Any],
    *,
    expr: str,
    vjp: Rule | None = None,
    jvp: Rule | None = None,
    dtypes: np.ufunc | None = None,
    alias: tuple[str, ...] = (),
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: tuple[float, ...] = (),
    examples: tuple[Example, ...] = UNARY_EXAMPLES,
    doc: str,
) -> Op:
    """Register an elementwise op of one operand.

    `dtypes` is the ufunc whose dtype rules hold, where `kernel` is not a ufunc itself. A kernel
    that is no ufunc has the signature ``kernel(x, out=None)``.
    """
    rules = dtypes if dtypes is not None else kernel
    assert isinstance(rules, np.ufunc), name
    return register(
        Op(
            name=name,
            kind=Kind.ELEMENTWISE,
            arity=1,
            kernel=kernel,
            infer=elementwise_infer(name, rules),
            vjp=None if vjp is None else (vjp,),
            jvp=jvp,
            expr=expr,
            alias=alias,
            takes_out=True,
            domain=domain,
            kinks=kinks,
            examples=examples,
            doc=doc,
        )
    )


def binary(
    name: str,
    kernel: Callable[..., Any],
    *,
    expr: str,
    vjp: tuple[Rule | None, Rule | None] | None = None,
    dtypes: np.ufunc | None = None,
    alias: tuple[str, ...] = (),
    commutative: bool = False,
    unit: float | None = None,
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: tuple[float, ...] = (),
    examples: tuple[Example, ...] = BINARY_EXAMPLES,
    refuse: Callable[..., None] | None = None,
    doc: str,
) -> Op:
    """Register an elementwise op of two operands that broadcast together."""
    rules = dtypes if dtypes is not None else kernel
    assert isinstance(rules, np.ufunc), name
    return register(
        Op(
            name=name,
            kind=Kind.ELEMENTWISE,
            arity=2,
            kernel=kernel,
            infer=elementwise_infer(name, rules),
            vjp=vjp,
            expr=expr,
            alias=alias,
            commutative=commutative,
            unit=unit,
            takes_out=True,
            domain=domain,
            kinks=kinks,
            examples=examples,
            refuse=refuse,
            doc=doc,
        )
    )


def reduced_shape(
    shape: tuple[int, ...], axis: int | tuple[int, ...] | None, keepdims: bool
) -> tuple[int, ...]:
    """Return the shape that is left when `axis` is reduced."""
    axes = normalize_axes(axis, len(shape))
    if not isinstance(keepdims, (int, np.integer, np.bool_)) or abs(int(keepdims)) >= 2**31:
        raise ArgumentError(
            f"keepdims must be a bool, not {keepdims!r}",
            cause="the reduced axes are kept, with length 1, or they are not",
            fix="pass keepdims=True, or leave it out",
        )
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


REDUCTION_ATTRS: Mapping[str, Any] = {"axis": None, "keepdims": False}
REDUCTION_EXAMPLES = (
    example((3, 4)),
    example((3, 4), axis=0),
    example((3, 4), axis=-1, keepdims=True),
    example((2, 3, 4), axis=(0, 2)),
    example(()),
)


def reduction(
    name: str,
    kernel: Callable[..., Any],
    *,
    infer_dtype: Callable[[np.dtype[Any]], np.dtype[Any]],
    vjp: Rule | None = None,
    alias: tuple[str, ...] = (),
    attrs: Mapping[str, Any] = REDUCTION_ATTRS,
    options: Mapping[str, Option] = MappingProxyType({}),
    domain: tuple[float, float] = (-2.0, 2.0),
    examples: tuple[Example, ...] = REDUCTION_EXAMPLES,
    takes_out: bool = True,
    needs_elements: bool = False,
    combine: str = "",
    lowering: Callable[..., Any] | None = None,
    jvp: Rule | None = None,
    doc: str,
) -> Op:
    """Register an op that reduces `axis`: ``kernel(x, out=None, *, axis, keepdims)``.

    `needs_elements` refuses to reduce zero elements, where the op has no identity.
    """

    def infer(
        x: TensorType,
        *,
        axis: int | tuple[int, ...] | None = None,
        keepdims: bool = False,
        **_: Any,
    ) -> TensorType:
        shape = reduced_shape(x.shape, axis, keepdims)
        if needs_elements and any(x.shape[a] == 0 for a in normalize_axes(axis, x.ndim)):
            raise ShapeError(
                f"{name} of no elements, shape {x.shape}, axis {axis}",
                cause=f"{name} has no value where there is nothing to choose from",
                fix="check the length first",
            )
        return TensorType(shape, infer_dtype(x.dtype))

    return register(
        Op(
            name=name,
            kind=Kind.REDUCTION,
            arity=1,
            kernel=kernel,
            infer=infer,
            vjp=None if vjp is None else (vjp,),
            attrs=attrs,
            options=options,
            alias=alias,
            takes_out=takes_out,
            combine=combine,
            jvp=jvp,
            lowering=lowering,
            domain=domain,
            examples=examples,
            doc=doc,
        )
    )


def movement(
    name: str,
    kernel: Callable[..., Any],
    *,
    infer: Callable[..., TensorType],
    vjp: Rule | None,
    attrs: Mapping[str, Any],
    view: bool,
    examples: tuple[Example, ...],
    options: Mapping[str, Option] = MappingProxyType({}),
    alias: tuple[str, ...] = (),
    public: bool = True,
    namespaces: tuple[str, ...] = ("",),
    batch: Rule | None = None,
    doc: str,
) -> Op:
    """Register an op of one operand that moves elements and computes nothing."""
    return register(
        Op(
            name=name,
            kind=Kind.MOVEMENT,
            arity=1,
            kernel=kernel,
            infer=infer,
            vjp=None if vjp is None else (vjp,),
            attrs=attrs,
            options=options,
            alias=alias,
            view=view,
            examples=examples,
            public=public,
            namespaces=namespaces,
            batch=batch,
            doc=doc,
        )
    )
