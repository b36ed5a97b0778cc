"""The modes: one adapter a file, loaded when it is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.util import find_spec

from common.errors import ArgumentError, MissingPackageError
from sidebyside.modes.mode import Mode, PassRecord, Prepared, Trainer

__all__ = ["MODES", "Mode", "PassRecord", "Prepared", "Trainer", "find_mode", "is_installed"]

# name: (module, attribute, package to install)
_PLACES = {
    "dynamic": ("dynamic", "DYNAMIC", ""),
    "static": ("static", "STATIC", ""),
    "static:numpy": ("static", "STATIC_NUMPY", ""),
    "static:interpret": ("static", "STATIC_INTERPRET", ""),
    "static:native": ("static", "STATIC_NATIVE", ""),
    "numpy": ("plain_numpy", "NUMPY", ""),
    "torch": ("torch_eager", "TORCH", "torch"),
    "torch.compile": ("torch_compile", "TORCH_COMPILE", "torch"),
    "jax": ("jax_eager", "JAX", "jax"),
    "jax.jit": ("jax_jit", "JAX_JIT", "jax"),
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
    module, attribute, package = place
    try:
        mode: Mode = getattr(import_module(f"sidebyside.modes.{module}"), attribute)
    except ModuleNotFoundError as error:
        if not package or (error.name or "").partition(".")[0] != package:
            raise
        raise MissingPackageError(
            f"mode {name!r} needs {package}",
            cause=f"{package} is not installed",
            fix=f"pip install {package}, or leave the mode out",
        ) from None
    return mode


def is_installed(name: str) -> bool:
    """Tell whether the package of the mode called `name` is installed, without loading it."""
    package = _PLACES[name][2]
    return not package or find_spec(package) is not None
