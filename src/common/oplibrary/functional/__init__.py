"""Functions of neural networks that are compositions of ops, and so run in every mode."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import FUNCTIONS


def __getattr__(name: str) -> Any:
    if not FUNCTIONS.modules.get(name, "").startswith(f"{__name__}."):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return FUNCTIONS[name]
