"""The modes: one adapter a file, loaded when it is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.util import find_spec

from oplibrary.messages.errors import ArgumentError, MissingPackageError
from sidebyside.modes.mode import Mode, PassRecord, Prepared, Trainer

__all__ = ["MODES", "Mode", "PassRecord", "Prepared", "Trainer", "find_mode", "is_installed"]

# name: (module, attribute, packages to install)
_PLACES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "dynamic": ("dynamic", "DYNAMIC", ()),
    "static": ("static", "STATIC", ()),
    "static:numpy": ("static", "STATIC_NUMPY", ()),
    "static:interpret": ("static", "STATIC_INTERPRET", ()),
    "static:native": ("static", "STATIC_NATIVE", ()),
    "numpy": ("plain_numpy", "NUMPY", ()),
    "torch": ("torch_eager", "TORCH", ("torch",)),
    "torch.compile": ("torch_compile", "TORCH_COMPILE", ("torch",)),
    "jax": ("jax_eager", "JAX", ("jax",)),
    "jax.jit": ("jax_jit", "JAX_JIT", ("jax",)),
    "tensorflow": ("tensorflow_eager", "TENSORFLOW", ("tensorflow",)),
    "tf.function": ("tensorflow_function", "TF_FUNCTION", ("tensorflow",)),
    "tf.function:xla": ("tensorflow_xla", "TF_FUNCTION_XLA", ("tensorflow",)),
    "autograd": ("hips_autograd", "AUTOGRAD", ("autograd",)),
    "pytensor": ("pytensor_function", "PYTENSOR", ("pytensor",)),
    "onnxruntime": ("onnx_runtime", "ONNX_RUNTIME", ("onnxruntime", "onnx")),
}

MODES = tuple(_PLACES)
"""Every name that `find_mode` knows."""


def find_mode(name: str) -> Mode:
    """Return the mode called `name`.

    Raises
    ------
    ArgumentError
        If there is none.
    MissingPackageError
        If its package is not installed.
    """
    place = _PLACES.get(name)
    if place is None:
        close = difflib.get_close_matches(name, MODES, n=1)
        raise ArgumentError(
            f"there is no mode {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            cause=f"the modes are {', '.join(MODES)}",
            fix="choose some of them, separated by commas",
        )
    module, attribute, packages = place
    try:
        mode: Mode = getattr(import_module(f"sidebyside.modes.{module}"), attribute)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        raise MissingPackageError(
            f"mode {name!r} needs {package}",
            cause=f"{package} is not installed",
            fix=f"pip install {' '.join(packages)}, or leave the mode out",
        ) from None
    return mode


def is_installed(name: str) -> bool:
    """Tell whether the packages of the mode called `name` are installed, without loading them."""
    return all(find_spec(package) is not None for package in _PLACES[name][2])
