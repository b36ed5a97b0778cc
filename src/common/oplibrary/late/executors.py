"""What executors give to compositions, by the type of their values; loaded where one needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.late.table import Late

SCANS: Late[type, Callable[..., Any]] = Late()
"""The ``scan`` of each executor."""

TRANSFORMS: Late[type, Any] = Late()
"""The `oplibrary.transforms.lifting.LiftedTransforms` of each executor."""
