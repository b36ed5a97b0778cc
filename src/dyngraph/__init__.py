"""The dynamic executor: every operation runs at once and records itself.

Examples
--------
>>> import dyngraph as dg
>>> w = dg.tensor([1.0], requires_grad=True)
>>> x = dg.tensor([2.0], requires_grad=True)
>>> y = dg.mul(dg.add(w, x), dg.add(w, 1))
>>> y
tensor([6.], grad_fn=<MulBackward0>)
>>> y.backward()
>>> w.grad, x.grad
(tensor([5.]), tensor([2.]))
"""

from __future__ import annotations

import math as _math

import numpy as _numpy

from dyngraph import errors
from dyngraph import methods as _methods
from dyngraph.engine.backward import backward
from dyngraph.engine.generator import manual_seed
from dyngraph.engine.namespace import NAMESPACE as _NAMESPACE
from dyngraph.functions.checkpoint import checkpoint
from dyngraph.functions.control_flow import cond, fori_loop, map, scan, switch, while_loop
from dyngraph.functions.custom_function import Function
from dyngraph.functions.gradcheck import gradcheck, gradgradcheck
from dyngraph.functions.transforms import grad, hessian, jacobian, jvp, value_and_grad, vjp
from dyngraph.random import rand, randn, randperm
from dyngraph.tape.grad_mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from dyngraph.tensors.conversion import as_tensor, from_dlpack, from_numpy, tensor
from dyngraph.tensors.tensor import Tensor
from oplibrary.core.types import TensorType
from oplibrary.executors.namespace_info import NamespaceInfo as _NamespaceInfo
from oplibrary.messages.source import enter_package as _enter_package

_enter_package(__file__)

asarray = as_tensor
globals().update(_NAMESPACE)

float32, float64 = _numpy.dtype("float32"), _numpy.dtype("float64")
complex64, complex128 = _numpy.dtype("complex64"), _numpy.dtype("complex128")
int8, int16, int32, int64 = (_numpy.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (_numpy.dtype(f"uint{n}") for n in (8, 16, 32, 64))
bool = _numpy.dtype("bool")
float, double, long = float32, float64, int64
e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi


def __array_namespace_info__() -> _NamespaceInfo:
    """Return what the array API standard asks a namespace to say about itself."""
    return _NamespaceInfo(data_dependent_shapes=True)


def is_tensor(value: object) -> object:
    """Tell whether `value` is a Tensor."""
    return isinstance(value, Tensor)


__all__ = sorted(name for name in globals() if not name.startswith("_"))
