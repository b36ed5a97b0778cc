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

from dyngraph import methods as _methods
from dyngraph.engine.namespace import NAMESPACE as _NAMESPACE
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
from oplibrary.core.dispatch import SCANS as _SCANS
from oplibrary.core.dispatch import TRANSFORMS as _TRANSFORMS
from oplibrary.executors.kernels import kernels_report, set_kernels
from oplibrary.executors.namespace import LateNames as _LateNames
from oplibrary.executors.namespace import common_names as _common_names
from oplibrary.executors.namespace import public_names as _public_names
from oplibrary.executors.warm_memory import keep_memory_warm as _keep_memory_warm
from oplibrary.messages.source import enter_package as _enter_package
from oplibrary.values.types import TensorType

_enter_package(__file__)
_keep_memory_warm()

_LATE = _LateNames(
    "dyngraph",
    {
        "dyngraph": "errors fft linalg special",
        "dyngraph.engine.backward": "backward",
        "dyngraph.engine.generator": "manual_seed",
        "dyngraph.functions.checkpoint": "checkpoint",
        "dyngraph.functions.control_flow": "cond fori_loop map scan switch while_loop",
        "dyngraph.functions.custom_function": "Function",
        "dyngraph.functions.gradcheck": "gradcheck gradgradcheck",
        "dyngraph.functions.transforms": """
            grad hessian jacobian jvp linearize value_and_grad vjp vmap
        """,
        "dyngraph.random": "rand randn randperm",
        "oplibrary": "optimizers",
        "oplibrary.transforms.custom_jvp": "custom_jvp",
        "oplibrary.transforms.custom_vjp": "custom_vjp",
    },
    _NAMESPACE.get,
)
"""What is loaded when it is first asked for, by the modules that it stands in."""

_SCANS.modules[Tensor] = "dyngraph.functions.control_flow"
_TRANSFORMS.modules[Tensor] = "dyngraph.functions.transforms"

globals().update(_common_names(data_dependent_shapes=True))
__all__ = sorted({*_public_names(globals()), *_LATE.places, *_NAMESPACE.names()})


def __getattr__(name: str) -> _Any:
    return globals().setdefault(name, _LATE.load(name, __all__))


def __dir__() -> list[str]:
    return list(__all__)
