"""NumPy's functions that are compositions of ops, and so run in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.core.registry import FUNCTIONS


def composition_of(name: str) -> Callable[..., Any] | None:
    """Return the composition that is NumPy's function called `name`, loaded now, or None."""
    module = FUNCTIONS.modules.get(name, "")
    return FUNCTIONS[name] if module.startswith(f"{__name__}.") else None
