"""Writing to nodes in place: `x[i] = v`, `x += y`, `x.mul_(y)`, `numpy.add(x, y, out=z)`.

The new value is a further node of the graph, and the user's node goes on as it; see
`staticgraph.graph.handles`. A write to a view becomes a write to what it is a view of, and all
other views of that follow, as in dyngraph. What a graph cannot follow is refused: writing to an
argument of the traced function, whose caller would not see the change, to a variable, to a value
from around a branch or a loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from oplibrary.core.dispatch import LIFTED
from oplibrary.core.op import Op
from oplibrary.executors.in_place import (
    CHOSEN_BY_EXAMPLES,
    install_in_place,
    one_for_all_examples,
    read_only,
    require_fit,
    writes_to_leaf,
)
from oplibrary.messages.errors import InPlaceError
from oplibrary.ops import indexing
from oplibrary.ops.elementwise import cast
from oplibrary.ops.gather import take
from oplibrary.ops.indexing import basic_index, basic_set, set_item
from oplibrary.ops.movement import broadcast_to, permute_dims, reshape
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.ops.selection import advanced_index, advanced_set
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array, Shape, is_scalar
from staticgraph.declare.build import to_node
from staticgraph.declare.lower import lower
from staticgraph.declare.namespace import lookup
from staticgraph.declare.node_layouts import layout_of
from staticgraph.declare.operands import as_array
from staticgraph.graph.graph import current_graph
from staticgraph.graph.graph_ops import ARGUMENT, CONSTANT, PLACEHOLDER, STOP_GRADIENT, VARIABLE
from staticgraph.graph.handles import go_on, selection_of
from staticgraph.graph.node import Node
from staticgraph.program.layout import find_layouts
from staticgraph.program.polynomial import is_symbolic

# what shares memory -------------------------------------------------------------------------------


class _Attributes:
    """Attributes as part of a key."""

    __slots__ = ("attrs", "key")

    def __init__(self, attrs: Mapping[str, Any]) -> None:
        self.attrs = attrs
        self.key = exact_key(attrs)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Attributes) and self.key == other.key


def _owner(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


@lru_cache(4096)
def _shares(
    op: Op, shape: Shape, dtype: np.dtype[Any], order: Any, attributes: _Attributes
) -> tuple[bool, bool]:
    """Tell whether a view op shares memory with an operand of that layout, and may be written."""
    array = np.zeros(shape, dtype, order=order)  # pages that nobody touches cost nothing
    view = op.kernel(array, **attributes.attrs)
    return _owner(view) is array, view.flags.writeable


def _link(node: Node) -> tuple[bool, bool]:
    """Tell whether `node` is a view of its operand, and whether it may be written to."""
    if node.op is STOP_GRADIENT or node.selection is not None:
        return True, True
    if not node.op.view:
        return False, True
    operand = node.operands[0]
    shape = operand.type.shape
    if is_symbolic(shape):
        return _symbolic_link(node)
    asked = node.op, shape, operand.dtype
    attributes = _Attributes(node.attrs)
    shares, writeable = _shares(*asked, "C", attributes)
    if len(shape) > 1 and _shares(*asked, "F", attributes)[0] != shares:
        # a reshape may have to copy: it depends on where the elements are
        shares = layout_of(node).base is layout_of(operand).base
    return shares, writeable


def _symbolic_link(node: Node) -> tuple[bool, bool]:
    layout = layout_of(node)
    program = lower(node.graph, [node])
    layouts = find_layouts(program)
    view = program.outputs[0]
    made = next((each for each in program.instructions if each.output is view), None)
    shares = made is not None and layouts[view].base is layouts[made.inputs[0]].base
    lengths = node.type.shape
    overlaps = layout.strides is None or any(
        stride == 0 and n != 1 for stride, n in zip(layout.strides, lengths, strict=True)
    )
    return shares, not overlaps


def family(node: Node) -> list[Node]:
    """Return the node, the one that it is a view of, and so on to the one that is no view."""
    chain = [node]
    while _link(chain[-1])[0]:
        chain.append(chain[-1].operands[0])
    return chain


def _views_of(base: Node) -> list[tuple[Node, Node]]:
    """Return the views of `base`, and their views, each with what it is a view of."""
    views: list[tuple[Node, Node]] = []
    waiting = [base]
    while waiting:
        node = waiting.pop()
        users = node.graph.succ[node]
        found = [user for user in users if user.operands[0] is node and _link(user)[0]]
        views += [(view, node) for view in found]
        waiting += found
    return views


# what may be written to ---------------------------------------------------------------------------


def _require_writable(chain: list[Node], operation: str) -> None:
    target, base = chain[0], chain[-1]
    through = target is not base
    for node in chain:
        if not _link(node)[1]:
            raise read_only(operation)
        if node.op is STOP_GRADIENT:
            raise _refusal(
                operation,
                base,
                "detach() and stop_gradient share memory with what they detach, whose gradient "
                "would be lost without a word",
                "write to a copy: y = x.detach().clone()",
            )
    if base.op is ARGUMENT:
        raise writes_to_leaf(operation, through)
    graph = base.graph
    reason = graph.shared.get(base, "")
    fix = "write to a copy, x = x.clone(), or use the out-of-place form, x = x + y"
    if base in graph.writable and not reason:
        return
    if base.op is VARIABLE:
        reason = "what a variable holds changes when a run ends, by an assignment"
        fix = "declare the assignment: w.assign(w - update)"
    elif base.op is PLACEHOLDER and graph.parent is None:
        reason = "it is an argument, and the array of the caller would not change"
    elif base.op is PLACEHOLDER and not reason:
        reason = "it comes from around a branch or a loop, where the change would not be seen"
        fix = "write to a copy, x = x.clone(); carry and return what is to be seen outside"
    elif base.op is CONSTANT:
        reason = "it is an array from outside of the graph, which would not change"
    if reason:
        raise _refusal(operation, base, reason, fix)


def _require_not_differentiated(base: Node, views: list[tuple[Node, Node]], operation: str) -> None:
    """Refuse what a function that is being differentiated was given, and finds by another way."""
    graph = base.graph
    for node in (base, *[view for view, _ in views]):
        for user in graph.succ[node]:
            if user.op is ARGUMENT and user.sequence >= graph.differentiated_from:
                raise _refusal(
                    operation,
                    base,
                    "the function that writes to it is being differentiated with respect to it",
                    "write to a copy, x = x.clone(), or use the out-of-place form, x = x + y",
                )


def _refusal(operation: str, base: Node, cause: str, fix: str) -> InPlaceError:
    return InPlaceError(
        f"{operation} on {base!r}",
        cause=cause,
        fix=fix,
        related=((f"{base.name} declared", base.source),),
    )


# writing ------------------------------------------------------------------------------------------


def write(target: Node, result: Node, operation: str, replaces: bool = False) -> Node:
    """Let `target` go on as `result`, and return it.

    Parameters
    ----------
    target, result : Node
    operation : str
        What the user wrote, for messages.
    replaces : bool
        Whether the result was not computed from the target.

    Raises
    ------
    InPlaceError
        If the graph cannot follow the change.
    ShapeError, DTypeError
        If the result does not fit into the target.
    """
    if type(result) in LIFTED:
        raise one_for_all_examples(operation)
    graph = current_graph() or target.graph
    if target.graph is not graph:
        graph.adopt(target)  # refuses what belongs to no graph around this one
        raise _refusal(
            operation,
            target,
            "it comes from around a branch or a loop, where the change would not be seen",
            "write to a copy, x = x.clone(); carry and return what is to be seen outside",
        )
    result = to_node(graph, result)
    require_fit(operation, result.type, target.type)
    chain = family(target)
    _require_writable(chain, operation)
    replaces = replaces or bool(graph.succ[result]) or not result.operands
    if replaces and len(chain) == 1:
        # what was there before keeps a gradient, of zeros
        result = basic_set(target, result, index=())
    else:
        if result.dtype != target.dtype:  # the gradient is summed up in the target's dtype
            result = cast(result, dtype=target.dtype)
        if result.type.shape != target.type.shape:
            result = broadcast_to(result, shape=target.type.shape)
    for view, parent in itertools.pairwise(chain):
        result = _put(parent, result, view)
    base = chain[-1]
    if result.op.view or not _lie_alike(base, result):
        result = basic_set(base, result, index=())
    views = _views_of(base)
    _require_not_differentiated(base, views, operation)
    go_on(base, result, views)
    return target


def _lie_alike(x: Node, y: Node) -> bool:
    """Tell whether two nodes of one shape have their elements in the same places.

    What is written to keeps its places, and a sum over others could round otherwise.
    """
    if len(x.type.shape) < 2 and not x.op.view:
        return True
    first, second = layout_of(x), layout_of(y)
    return (first.contiguous and second.contiguous) or first.coincides(second)


def _put(parent: Node, values: Node, view: Node) -> Node:
    """Declare `parent` with `values` in place of what `view` shows of it."""
    put = _PUT.get(view.op)
    if put is not None:
        return put(parent, values, *view.operands[1:], **view.attrs)
    shape = parent.type.shape
    if is_symbolic(shape):
        raise InPlaceError(
            f"{view.op.name} of {parent!r}, whose lengths each run chooses, was written to",
            cause="which elements it shows is not known before a run",
            fix="write to a copy, x = x.clone(), or to the array itself, x[i] = v",
            related=((f"{view.name} declared", view.source),),
        )
    places = np.arange(parent.type.size).reshape(shape)
    shown = np.asarray(view.op.kernel(places, **view.attrs)).reshape(-1)
    flat = reshape(values, shape=(shown.size,))
    if shown.size != places.size or not np.array_equal(shown, places.reshape(-1)):
        whole = reshape(parent, shape=(places.size,))
        flat = advanced_set(whole, flat, shown, axes=(0,), position=0)
    return reshape(flat, shape=shape)  # type: ignore[no-any-return]


def _put_permuted(_parent: Node, values: Node, *, axes: tuple[int, ...]) -> Node:
    return permute_dims(values, axes=tuple(np.argsort(axes).tolist()))  # type: ignore[no-any-return]


def _put_taken(parent: Node, values: Node, index: Node, *, axis: int) -> Node:
    return advanced_set(parent, values, index, axes=(axis,), position=axis)  # type: ignore[no-any-return]


_PUT: dict[Op, Callable[..., Node]] = {
    basic_index: basic_set,
    permute_dims: _put_permuted,
    take: _put_taken,
    advanced_index: advanced_set,
}
"""Views that need no list of positions to be put back."""


def _method(name: str, spelling: str) -> Callable[..., Any]:
    def method(self: Node, *args: Any, **kwargs: Any) -> Any:
        if self in self.graph.weak:  # a Python number, which never changes: x += 1 makes another
            if spelling.endswith("="):
                return NotImplemented
            raise _refusal(spelling, self, "it is a Python number", "write x = x + y")
        function = lookup(name)
        assert function is not None
        return write(self, function(self, *args, **kwargs), spelling)

    return method


def fill_(self: Node, value: Any) -> Node:
    """Overwrite every element with `value`."""
    return write(self, _values(self, value), "fill_", replaces=True)


def zero_(self: Node) -> Node:
    """Overwrite every element with zero."""
    return write(self, _values(self, 0), "zero_", replaces=True)


def copy_(self: Node, source: Any) -> Node:
    """Overwrite the elements with those of `source`, which broadcasts; gradients flow to it."""
    return write(self, _values(self, source), "copy_", replaces=True)


def _values(target: Node, value: Any) -> Node:
    if isinstance(value, Node):
        return value
    array = as_array(value, target.dtype if is_scalar(value) else None)
    made: Node = target.graph.constant_array(array)
    return made


def getitem(self: Node, key: Any) -> Node:
    """Return ``self[key]``: a view where the key is made of numbers, known now or in a run."""
    node: Node = indexing.getitem(self, key)
    if indexing.shows(key):
        node.selection = self, key
    return node


def setitem(self: Node, key: Any, value: Any) -> None:
    """Overwrite the elements that `key` selects: ``x[key] = value``."""
    if isinstance(value, Node) and _selects(value, self, key):
        return  # x[key] += y has written to the view already
    if isinstance(value, (list, tuple)):
        value = stack_nested(value) if holds_values(value) else as_array(value, self.dtype)
    write(self, set_item(self, key, value), "x[...] = value")


def _selects(view: Node, base: Node, key: Any) -> bool:
    """Tell whether `view` is what a key of numbers, this very one, selects from `base`."""
    base_and_key = selection_of(view)
    return base_and_key is not None and base_and_key[0] is base and base_and_key[1] is key


@contextmanager
def _read_only(self: Node) -> Iterator[None]:
    """Refuse in-place changes for the time of the block."""
    base = family(self)[-1]
    shared = base.graph.shared
    known = base in shared
    shared.setdefault(base, CHOSEN_BY_EXAMPLES)
    try:
        yield
    finally:
        if not known:
            del shared[base]


install_in_place(Node, _method, lambda name: lookup(name))
for _function in (fill_, zero_, copy_, _read_only):
    setattr(Node, _function.__name__, _function)
setattr(Node, "__getitem__", getitem)  # noqa: B010
setattr(Node, "__setitem__", setitem)  # noqa: B010
