"""The constants of a graph, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.messages.errors import DTypeError
from oplibrary.values.dtypes import is_numeric
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array, TensorType, resolve_scalar
from staticgraph.graph.graph_ops import CONSTANT
from staticgraph.graph.node import Node

_SMALL = 4096
"""Arrays of at most this many bytes are told apart by their bytes, larger ones by identity."""


class Constants:
    """Make the constant nodes of one graph and remember them.

    Parameters
    ----------
    add_op : callable
        That of the graph.
    """

    def __init__(self, add_op: Callable[..., Node]) -> None:
        self._add_op = add_op
        self._scalars: dict[Any, Node] = {}
        self._small: dict[Any, Node] = {}
        self._large: dict[int, tuple[Array, Node]] = {}  # the arrays are kept, so ids stay theirs

    def scalar(self, value: Any, dtypes: tuple[np.dtype[Any], ...]) -> Node:
        """Return the constant that Python number `value` acts as beside `dtypes` (NEP 50)."""
        key = (exact_key(value), dtypes)
        known = self._scalars.get(key)
        if known is None:
            known = self._scalars[key] = self.array(resolve_scalar(value, dtypes))
        return known

    def array(self, value: Array, name: str = "", copy: bool = True, own: bool = False) -> Node:
        """Return the constant of an array; one that was made of equal elements, unless named.

        With `own` it is a node that is never returned again.
        """
        small = value.nbytes <= _SMALL
        # what lies otherwise in memory is another constant: a product of it may round otherwise
        lies = () if value.flags.c_contiguous else value.strides
        key = (value.dtype.str, value.shape, lies, value.tobytes()) if small else None
        known = None if name or own else self._known(key, value)
        if known is not None:
            return known
        if not is_numeric(value.dtype):
            raise DTypeError(
                f"a constant of dtype {value.dtype}",
                cause="elements are numbers or booleans",
                fix="encode the data as numbers first",
            )
        stored = np.array(value, order="K") if copy else value
        stored.flags.writeable = False
        type = TensorType(stored.shape, stored.dtype)
        node = self._add_op(CONSTANT, (), {"value": stored}, type=type, name=name)
        if own:
            pass
        elif small:
            self._small.setdefault(key, node)
        else:
            self._large[id(value)] = value, node
        return node

    def _known(self, key: Any, value: Array) -> Node | None:
        if key is not None:
            return self._small.get(key)
        _, known = self._large.get(id(value), (None, None))
        # the array may have been changed since
        same = known is not None and known.value.tobytes() == value.tobytes()
        return known if same else None
