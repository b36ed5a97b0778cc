"""Writing in place: what it is called, and what fits, in every executor.

An executor computes the new values out of place and then lets its value go on from them; how, is
its own affair.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from oplibrary.executors.operators import UNARY_METHODS
from oplibrary.late.method import install
from oplibrary.messages.errors import DTypeError, InPlaceError, ShapeError
from oplibrary.values.dtypes import castable
from oplibrary.values.types import Shape, TensorType, broadcast_shapes

IN_PLACE_OPERATORS = {
    "__iadd__": ("add", "+="),
    "__isub__": ("sub", "-="),
    "__imul__": ("mul", "*="),
    "__itruediv__": ("div", "/="),
    "__ifloordiv__": ("floor_divide", "//="),
    "__imod__": ("remainder", "%="),
    "__ipow__": ("pow", "**="),
    "__imatmul__": ("matmul", "@="),
    "__iand__": ("bitwise_and", "&="),
    "__ior__": ("bitwise_or", "|="),
    "__ixor__": ("bitwise_xor", "^="),
    "__ilshift__": ("bitwise_left_shift", "<<="),
    "__irshift__": ("bitwise_right_shift", ">>="),
}
"""Python's in-place operators: the function that each runs, and how it is written."""

_BINARY = (
    "add sub mul div pow floor_divide remainder maximum minimum clip "
    "bitwise_and bitwise_or bitwise_xor logical_and logical_or"
).split()

IN_PLACE_METHODS = {f"{name}_": name for name in (*_BINARY, *UNARY_METHODS)} | {"clamp_": "clip"}
"""Methods that overwrite their array, with the function that each runs."""


def install_in_place(
    kind: type[Any], make: Callable[[str, str], Callable[..., Any]], functions: Any
) -> None:
    """Give the class `kind` the operators and methods above.

    Parameters
    ----------
    kind : type
    make : callable
        Returns the method that runs the function of a name, given how the user writes it.
    functions : callable
        Returns the function of a name, for its signature and its description.
    """
    spelled = {method: (name, method) for method, name in IN_PLACE_METHODS.items()}

    def made(method_name: str, name: str, spelling: str) -> Any:
        function = functions(name)
        method: Any = make(name, spelling)
        method.__name__ = method_name
        method.__qualname__ = f"{kind.__name__}.{method_name}"
        method.__doc__ = f"Overwrite this array with the result of ``{function.__name__}``."
        method.__wrapped__ = function
        return method

    for method_name, (name, spelling) in {**IN_PLACE_OPERATORS, **spelled}.items():
        install(kind, method_name, partial(made, method_name, name, spelling))


def require_fit(operation: str, result: TensorType, target: TensorType) -> None:
    """Refuse a result that does not fit into what it is to overwrite.

    Raises
    ------
    ShapeError, DTypeError
    """
    if result.shape != target.shape and not _fits(result.shape, target.shape):
        raise ShapeError(
            f"{operation}: a result of shape {result.shape} does not fit into {target.shape}",
            cause="an in-place operation cannot enlarge its target",
            fix="use the out-of-place form, x = x + y",
        )
    if result.dtype != target.dtype and not castable(result.dtype, target.dtype, "same_kind"):
        raise DTypeError(
            f"{operation}: a result of dtype {result.dtype} does not fit into {target.dtype}",
            cause="an in-place operation cannot change its target's dtype",
            fix="use the out-of-place form, x = x + y, or convert the operand",
        )


def _fits(shape: Shape, into: Shape) -> bool:
    try:
        return broadcast_shapes(shape, into) == into
    except ShapeError:
        return False


CHOSEN_BY_EXAMPLES = (
    "each example of vmap chooses a branch for itself, so all of them run, and each would see what "
    "the others wrote"
)
"""Why what is passed to such branches may not be written to."""


def read_only(operation: str) -> InPlaceError:
    """Return the error of writing to elements that share memory with each other."""
    return InPlaceError(
        f"{operation}: the target is read-only",
        cause="it is a broadcast view, whose elements share memory, a read-only array, or passed "
        "to branches that all run, since each example of vmap chooses its own",
        fix="clone() it first",
    )


def one_for_all_examples(operation: str) -> InPlaceError:
    """Return the error of writing values of `vmap`, one an example, to what has one for all."""
    return InPlaceError(
        f"{operation}: the new values are one for each example of vmap, the target has one for all",
        cause="an array that was not computed from the examples has no row for each of them",
        fix="use the out-of-place form, x = x + y, or x = set_item(x, key, value)",
    )


def writes_to_leaf(operation: str, through_view: bool) -> InPlaceError:
    """Return the error of writing to what a gradient is taken with respect to."""
    return InPlaceError(
        f"{operation} on a {'view of a ' if through_view else ''}leaf that requires a gradient",
        cause="the leaf's own value is what the gradient is taken with respect to",
        fix="wrap parameter updates in no_grad(), or use the out-of-place form",
    )
