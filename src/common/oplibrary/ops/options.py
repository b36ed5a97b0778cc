"""Arguments that the array API standard gives to many functions: device, dtype, stable."""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import Option
from oplibrary.ops.arguments import require_device, require_flag
from oplibrary.ops.elementwise import cast


def _on_device(x: Any, device: Any) -> Any:
    require_device(device)
    return x


def _converted(x: Any, dtype: Any) -> Any:
    return x if dtype is None else cast(x, dtype=dtype)


def _stable(x: Any, stable: Any) -> Any:
    require_flag(stable, "stable")
    return x


DEVICE = {"device": Option(None, _on_device)}
"""Where the result lives."""

DTYPE = {"dtype": Option(None, _converted, lambda result, dtype, _: _converted(result, dtype))}
"""What elements are converted to before they are accumulated; the result has it, too."""

STABLE = {"stable": Option(True, _stable)}
"""Whether equal elements keep their order, which they always do here."""
