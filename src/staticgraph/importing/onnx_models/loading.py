"""Files in the ONNX format: opened, checked, and their arrays taken out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import (
    ArgumentError,
    ForeignProgramError,
    MissingPackageError,
    UnsupportedOpError,
)
from staticgraph.importing.shared.block import not_given

_READER = "onnx"


def require_onnx() -> Any:
    """Return the package ``onnx``.

    Raises
    ------
    MissingPackageError
    """
    try:
        import onnx
    except ImportError:
        raise MissingPackageError(
            "from_onnx needs onnx", fix="pip install onnx", cause="it reads the format"
        ) from None
    return onnx


def load(model: Any) -> tuple[Any, str]:
    """Return a model, checked, and what it is called.

    Parameters
    ----------
    model : path, bytes or ModelProto

    Raises
    ------
    ForeignProgramError
        If the file is damaged, is of a version that ``onnx`` does not know, or lacks its data.
    """
    onnx = require_onnx()
    name = ""
    if isinstance(model, (str, os.PathLike)):
        name = os.path.basename(os.fspath(model))
        loaded = _opened(onnx, os.fspath(model), name)
    elif isinstance(model, bytes):
        loaded = _parsed(lambda: onnx.load_from_string(model), "the bytes")
    elif isinstance(model, onnx.ModelProto):
        loaded = model
    else:
        raise ArgumentError(
            f"from_onnx: a {type(model).__name__} is no model",
            cause="a model is a file in the ONNX format, or what onnx.load returns",
            fix='pass its path: sg.from_onnx("model.onnx")',
        )
    name = name or loaded.graph.name or "model"
    _check(onnx, loaded, name)
    return loaded, name


def _opened(onnx: Any, path: str, name: str) -> Any:
    if not os.path.exists(path):
        raise ArgumentError(
            f"from_onnx: there is no file {path}",
            cause="a model is read from its file",
            fix="pass the path of a file that exists",
        )
    return _parsed(lambda: onnx.load(path), name)


def _parsed(read: Any, name: str) -> Any:
    try:
        return read()
    except Exception as error:  # of protobuf, of the files beside it, of what they hold
        raise _refused(name, error) from error


def _refused(name: str, error: Exception) -> ForeignProgramError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0][:300] if lines else type(error).__name__
    return not_given(_READER, name, said, None)


def _check(onnx: Any, model: Any, name: str) -> None:
    """Refuse a model that breaks the rules of the format.

    Domains that ``onnx`` does not know are no error of the format; their operators are refused
    one by one.
    """
    if not model.HasField("graph") or not model.opset_import:
        raise not_given(_READER, name, "it has no graph, or no version of operators", None)
    newest = onnx.defs.onnx_opset_version()
    for each in model.opset_import:
        if each.domain in ("", "ai.onnx") and each.version > newest:
            said = f"it has version {each.version} of the operators, and {newest} is the newest"
            raise not_given(_READER, name, said, None)
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise _refused(name, error) from error


def array_of(onnx: Any, tensor: Any, what: str) -> Any:
    """Return a tensor of a file as an array.

    Raises
    ------
    UnsupportedOpError
        If its numbers are of a kind that the library does not have.
    ForeignProgramError
        If its data are missing or too short.
    """
    dtype_of(onnx, tensor.data_type, what)
    try:
        return np.array(onnx.numpy_helper.to_array(tensor), order="C")
    except Exception as error:
        raise _refused(what, error) from error


def dtype_of(onnx: Any, number: int, what: str) -> np.dtype[Any]:
    """Return the dtype that a number of the format stands for.

    Raises
    ------
    UnsupportedOpError
        If the library has no such numbers.
    """
    try:
        name = onnx.TensorProto.DataType.Name(number)
    except ValueError:
        name = str(number)
    if name not in _DTYPES:
        raise UnsupportedOpError(
            f"{what}: values of type {name.lower()} are not supported",
            cause="the library computes with NumPy's numbers and bfloat16",
            fix="export the model in float32",
        )
    dtype: np.dtype[Any] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number))
    return dtype


_DTYPES: Sequence[str] = """FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 BOOL FLOAT16 DOUBLE UINT32
UINT64 COMPLEX64 COMPLEX128 BFLOAT16""".split()
