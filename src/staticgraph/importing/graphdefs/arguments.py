"""What an op of TensorFlow is given: its inputs and attributes, by the names of its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Read = Callable[[Any], Any]

_VECTORS = ("begin", "end", "size")
_LISTED = ("StridedSlice", "Slice")
"""Operands of which some elements may be known, and the ops that have them."""


def arguments_of(
    op: Any, read: Read, has_value: Callable[[Any], bool], dtype: Read
) -> dict[str, Any]:
    """Return the inputs and attributes of an op by the names of its definition.

    Parameters
    ----------
    op : op of TensorFlow
    read : callable
        ``read(tensor)`` is what a tensor is in the program.
    has_value : callable
        ``has_value(tensor)`` tells whether a tensor is in the program already.
    dtype : callable
        ``dtype(theirs)`` is NumPy's, or None where it has none.
    """
    definition = op.op_def
    found: dict[str, Any] = {}
    at = 0
    for arg in definition.input_arg:
        if arg.number_attr or arg.type_list_attr:
            size = (
                op.get_attr(arg.number_attr)
                if arg.number_attr
                else len(op.get_attr(arg.type_list_attr))
            )
            found[arg.name] = [read(x) for x in op.inputs[at : at + size]]
            at += size
        else:
            found[arg.name] = _operand(op, arg.name, op.inputs[at], read, has_value)
            at += 1
    for attribute in definition.attr:
        if attribute.type != "func" and attribute.type != "list(func)":
            found[attribute.name] = _attribute(attribute.type, op.get_attr(attribute.name), dtype)
    return found


def _operand(op: Any, name: str, tensor: Any, read: Read, has_value: Callable[[Any], bool]) -> Any:
    made = tensor.op
    packed = (
        op.type in _LISTED
        and name in _VECTORS
        and made.type == "Pack"
        and not made.inputs[0].shape.rank
        and all(map(has_value, made.inputs))
    )
    if packed:  # some of its elements may be known
        return [read(x) for x in made.inputs]
    return read(tensor)


def _attribute(kind: str, value: Any, dtype: Read) -> Any:
    if kind == "type":
        return dtype(value) or value.name
    if kind == "string":
        return value.decode()
    if kind == "shape":
        return None if value.unknown_rank else tuple([each.size for each in value.dim])
    if kind.startswith("list("):
        return tuple([_attribute(kind[5:-1], each, dtype) for each in value])
    return value


def gives_list(op: Any) -> bool:
    """Tell whether an op's result is a list, be it of one tensor."""
    return any(arg.number_attr or arg.type_list_attr for arg in op.op_def.output_arg)
