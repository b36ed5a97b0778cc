"""TensorFlow's lists of tensors, which loops read and fill: here arrays with one more axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.graphdefs.ops.table import entry, is_known, known, lengths, number


def _shape_of(element: Any, given: Any) -> tuple[int, ...]:
    """Return the shape of a list's elements: what is put in says what the list does not."""
    shape = tuple(element) if element is not None else None
    if shape is None:
        given = lengths(given) if given is not None else (-1,)
        shape = given if all(n >= 0 for n in given) else None
    if shape is None:
        raise UnsupportedOpError(
            "the shape of the elements of this tf.TensorArray is not known",
            cause="here a list of tensors is an array, which has its shape from the start",
            fix="make it with tf.TensorArray(dtype, size, element_shape=(2, 3))",
        )
    return shape


def _pick(xp: Any, x: Any, index: Any) -> Any:
    return x[int(index)] if is_known(index) else xp.take(x, index, axis=0)


def _put(xp: Any, x: Any, index: Any, value: Any) -> Any:
    at = int(index) if is_known(index) else index
    return xp.set_item(xp.asarray(x), (at,), value)


@entry("TensorListReserve", ignored="shape_type")
def _reserve(
    xp: Any, element_shape: Any, num_elements: Any, element_dtype: Any, element: Any
) -> Any:
    known_shape = element_shape if is_known(element_shape) and element_shape.ndim else None
    shape = _shape_of(element, known_shape)
    return np.zeros((number(num_elements, "size of a tf.TensorArray"), *shape), element_dtype)


@entry("TensorListFromTensor", ignored="element_shape element_dtype shape_type")
def _from_tensor(xp: Any, tensor: Any) -> Any:
    return tensor


@entry("TensorListGetItem", ignored="element_shape element_dtype Tshape")
def _get(xp: Any, input_handle: Any, index: Any) -> Any:
    return _pick(xp, input_handle, index)


@entry("TensorListSetItem", ignored="element_dtype", resize_if_index_out_of_bounds=False)
def _set(xp: Any, input_handle: Any, index: Any, item: Any) -> Any:
    return _put(xp, input_handle, index, item)


@entry("TensorListStack", ignored="element_shape element_dtype num_elements")
def _stacked(xp: Any, input_handle: Any) -> Any:
    return input_handle


@entry("TensorListLength", ignored="")
def _length(xp: Any, input_handle: Any) -> Any:
    return np.array(input_handle.shape[0], "int32")


@entry("TensorListElementShape", ignored="")
def _element_shape(xp: Any, input_handle: Any, shape_type: Any) -> Any:
    return np.array(input_handle.shape[1:], shape_type)


@entry("TensorListGather", ignored="element_shape element_dtype")
def _gathered(xp: Any, input_handle: Any, indices: Any) -> Any:
    return xp.take(input_handle, indices, axis=0)


@entry("TensorListScatterV2", ignored="element_shape element_dtype shape_type")
def _scattered(xp: Any, tensor: Any, indices: Any, num_elements: Any) -> Any:
    places = known(indices, "indices")
    count = max(number(num_elements, "size"), int(places.max()) + 1)
    zeros = np.zeros((count, *tensor.shape[1:]), tensor.dtype)
    return xp.set_item(xp.asarray(zeros), (places,), tensor)


@entry("TensorListConcatV2", ignored="element_shape element_dtype shape_type leading_dims")
def _joined(xp: Any, input_handle: Any) -> Any:
    count, size, *rest = input_handle.shape
    return [xp.reshape(input_handle, (-1, *rest)), np.full(count, size, "int64")]


# of TensorFlow 1: the flow has what the list has, and the handle says nothing ---------------------


@entry(
    "TensorArrayV3",
    ignored="clear_after_read identical_element_shapes tensor_array_name",
    dynamic_size=False,
)
def _tensor_array(xp: Any, size: Any, dtype: Any, element_shape: Any, element: Any) -> Any:
    shape = _shape_of(element, None if element_shape is None else np.array(element_shape))
    made = np.zeros((number(size, "size of a tf.TensorArray"), *shape), dtype)
    return [np.zeros((), bool), made]


@entry("TensorArrayReadV3", ignored="handle dtype")
def _read(xp: Any, index: Any, flow_in: Any) -> Any:
    return _pick(xp, flow_in, index)


@entry("TensorArrayWriteV3", ignored="handle T")
def _write(xp: Any, index: Any, value: Any, flow_in: Any) -> Any:
    return _put(xp, flow_in, index, value)


@entry("TensorArrayScatterV3", ignored="handle T")
def _scatter(xp: Any, indices: Any, value: Any, flow_in: Any) -> Any:
    return xp.set_item(xp.asarray(flow_in), (indices,), value)


@entry("TensorArrayGatherV3", ignored="handle dtype element_shape")
def _gather(xp: Any, indices: Any, flow_in: Any) -> Any:
    return xp.take(flow_in, indices, axis=0)


@entry("TensorArraySizeV3", ignored="handle")
def _size(xp: Any, flow_in: Any) -> Any:
    return np.array(flow_in.shape[0], "int32")
