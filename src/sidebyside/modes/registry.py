"""Every mode by name: those of this library, one line each, and those of other distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import NamedTuple

from oplibrary.core.entry_points import load_entry_points
from oplibrary.messages.errors import ArgumentError, MissingPackageError
from oplibrary.messages.suggestion import did_you_mean
from sidebyside.modes.mode import Mode

GROUP = "sidebyside.modes"
"""The group under which other distributions enter a `Mode`."""


class _Place(NamedTuple):
    """Where a mode is, and what can be known of it while its library is not loaded."""

    module: str
    attribute: str
    packages: tuple[str, ...] = ()
    is_peer: bool = False
    """Whether it runs the examples of the flexibility matrix."""
    distributions: tuple[str, ...] = ()
    """What pip calls the packages, where it has other names for them."""

    @property
    def installed(self) -> tuple[str, ...]:
        """What is installed, as pip calls it."""
        return self.distributions or self.packages


_PLACES = {
    "dynamic": _Place("dynamic", "DYNAMIC"),
    "static": _Place("static", "STATIC"),
    "static:numpy": _Place("static", "STATIC_NUMPY"),
    "static:interpret": _Place("static", "STATIC_INTERPRET"),
    "static:native": _Place("static", "STATIC_NATIVE"),
    "static:native:bound": _Place("static", "STATIC_NATIVE_BOUND"),
    "numpy": _Place("plain_numpy", "NUMPY", ("numpy",)),
    "torch": _Place("torch_eager", "TORCH", ("torch",), is_peer=True),
    "torch.compile": _Place("torch_compile", "TORCH_COMPILE", ("torch",), is_peer=True),
    "jax": _Place("jax_eager", "JAX", ("jax",)),
    "jax.jit": _Place("jax_jit", "JAX_JIT", ("jax",), is_peer=True),
    "tensorflow": _Place("tensorflow_eager", "TENSORFLOW", ("tensorflow",)),
    "tf.function": _Place("tensorflow_function", "TF_FUNCTION", ("tensorflow",), is_peer=True),
    "tf.function:xla": _Place("tensorflow_xla", "TF_FUNCTION_XLA", ("tensorflow",)),
    "autograd": _Place("hips_autograd", "AUTOGRAD", ("autograd",)),
    "pytensor": _Place("pytensor_function", "PYTENSOR", ("pytensor",)),
    "onnxruntime": _Place("onnx_runtime", "ONNX_RUNTIME", ("onnxruntime", "onnx")),
    "openvino": _Place("openvino_model", "OPENVINO", ("openvino", "onnx")),
    "iree": _Place(
        "iree_module",
        "IREE",
        ("iree.compiler", "iree.runtime", "onnx"),
        distributions=("iree-base-compiler", "iree-base-runtime", "onnx"),
    ),
    "casadi": _Place("casadi_function", "CASADI", ("casadi",)),
    "casadi:buffer": _Place("casadi_function", "CASADI_BUFFER", ("casadi",)),
}

MODES = tuple(_PLACES)
"""The name of every mode of this library."""

PEERS = tuple(name for name, place in _PLACES.items() if place.is_peer)
"""The modes of other libraries that run the examples of the flexibility matrix."""


def find_mode(name: str) -> Mode:
    """Return the mode called `name`, of this library or of another distribution.

    Raises
    ------
    ArgumentError
        If there is none.
    MissingPackageError
        If its package is not installed.

    Warns
    -----
    BrokenEntryPointWarning
        If it is another distribution's, and broken.
    """
    place = _PLACES.get(name)
    if place is None:
        entered = load_entry_points(GROUP, Mode, MODES, name)
        if name in entered:
            return replace(entered[name], name=name)
        known = (*MODES, *entered_names())
        raise ArgumentError(
            f"there is no mode {name!r}{did_you_mean(name, known)}",
            cause=f"the modes are {', '.join(known)}",
            fix="choose some of them, separated by commas",
        )
    try:
        mode: Mode = getattr(import_module(f"sidebyside.modes.{place.module}"), place.attribute)
    except ModuleNotFoundError as error:
        package = _top(error.name or "")
        if package not in map(_top, place.packages):
            raise
        raise MissingPackageError(
            f"mode {name!r} needs {package}",
            cause=f"{package} is not installed",
            fix=f"pip install {' '.join(place.installed)}, or leave the mode out",
        ) from None
    return replace(mode, packages=place.installed)


def mode_names(modes: str | Sequence[str]) -> list[str]:
    """Return the names in `modes`, which may stand in one text, separated by commas.

    Examples
    --------
    >>> mode_names("dynamic, static"), mode_names(("numpy",))
    (['dynamic', 'static'], ['numpy'])
    """
    if isinstance(modes, str):
        return [name.strip() for name in modes.split(",") if name.strip()]
    return list(modes)


def entered_modes() -> dict[str, Mode]:
    """Return the modes of other distributions by name; what is broken is warned of."""
    return load_entry_points(GROUP, Mode, MODES)


def entered_names() -> tuple[str, ...]:
    """Return the names that other distributions enter, without loading anything."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)} - set(MODES)))


def missing_packages(name: str) -> tuple[str, ...]:
    """Return the packages that the mode called `name` needs and that are not installed."""
    packages = _PLACES[name].packages if name in _PLACES else ()
    return tuple(package for package in packages if not _is_there(package))


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # what it is a part of is not there, either
        return False


def _top(module: str) -> str:
    return module.partition(".")[0]


def is_installed(name: str) -> bool:
    """Tell whether the packages of the mode called `name` are installed, without loading them."""
    return not missing_packages(name)
