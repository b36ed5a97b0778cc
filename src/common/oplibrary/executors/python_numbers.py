"""What executors ask about the Python numbers among the operands of an op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.values.types import TensorType


def ints_are_indices(
    op: Op, types: Callable[[bool], Sequence[TensorType]], attrs: Mapping[str, Any]
) -> bool:
    """Tell whether an op takes Python ints as int64 alone, whatever dtype is beside them.

    Elsewhere an int takes the dtype of the arrays beside it; an index would be no index then. The
    op's own rule for types is asked.

    Parameters
    ----------
    op : Op
    types : callable
        ``types(whole)`` returns the types of the operands, where ints are int64 if `whole`.
    attrs : mapping

    Examples
    --------
    >>> import numpy as np
    >>> from oplibrary.ops.gather import take
    >>> from oplibrary.ops.elementwise import add
    >>> array = TensorType((3,), "float32")
    >>> types = lambda whole: (array, TensorType((), "int64" if whole else "float32"))
    >>> ints_are_indices(take, types, {"axis": 0}), ints_are_indices(add, types, {})
    (True, False)
    """

    def accepts(whole: bool) -> bool:
        try:
            op.infer(*types(whole), **attrs)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # the rule is asked whether it fits; a call says what is wrong
            return False
        return True

    return op.kind is not Kind.ELEMENTWISE and not accepts(False) and accepts(True)
