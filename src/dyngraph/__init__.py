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

from typing import Any as _Any

from dyngraph import errors, fft, linalg, special
from dyngraph import methods as _methods
from dyngraph.engine.backward import backward
from dyngraph.engine.generator import manual_seed
from dyngraph.engine.namespace import NAMESPACE as _NAMESPACE
from dyngraph.engine.namespace import late_function as _late_function
from dyngraph.functions.checkpoint import checkpoint
from dyngraph.functions.control_flow import cond, fori_loop, map, scan, switch, while_loop
from dyngraph.functions.custom_function import Function
from dyngraph.functions.gradcheck import gradcheck, gradgradcheck
from dyngraph.functions.transforms import (
    grad,
    hessian,
    jacobian,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)
from dyngraph.random import rand, randn, randperm
from dyngraph.tape.grad_mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from dyngraph.tape.hooks import saved_tensors_hooks
from dyngraph.tensors.conversion import (
    as_tensor,
    asarray,
    from_dlpack,
    from_numpy,
    is_tensor,
    stop_gradient,
    tensor,
)
from dyngraph.tensors.tensor import Tensor
from oplibrary import optimizers
from oplibrary.core.op import LATE as _LATE
from oplibrary.core.types import TensorType
from oplibrary.executors.kernels import kernels_report, set_kernels
from oplibrary.executors.namespace import LATE_DTYPES as _LATE_DTYPES
from oplibrary.executors.namespace import common_names as _common_names
from oplibrary.executors.namespace import late_dtype as _late_dtype
from oplibrary.executors.namespace import public_names as _public_names
from oplibrary.executors.spellings import MissingName as _MissingName
from oplibrary.executors.warm_memory import keep_memory_warm as _keep_memory_warm
from oplibrary.messages.source import enter_package as _enter_package
from oplibrary.transforms.custom_jvp import custom_jvp
from oplibrary.transforms.custom_vjp import custom_vjp

_enter_package(__file__)
_keep_memory_warm()

globals().update(_common_names(data_dependent_shapes=True), **_NAMESPACE)
__all__ = sorted({*_public_names(globals()), *_LATE, *_LATE_DTYPES})


def __getattr__(name: str) -> _Any:
    found: _Any = _late_dtype(name) or _late_function(name)
    if found is None:
        raise _MissingName("dyngraph", name, __all__)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
