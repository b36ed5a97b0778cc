"""The instrument: one program in both modes, measured side by side.

Examples
--------
>>> import numpy as np
>>> import sidebyside as sbs
>>> workload = sbs.Workload(
...     lambda xp, x, w: xp.sum(xp.tanh(x @ w)),
...     inputs=lambda rng, size: (np.ones((4, 3), "float32"), np.ones((3, 2), "float32")),
...     wrt=(1,),
...     name="layer",
... )
>>> comparison = sbs.compare([workload], modes=("dynamic", "static"), budget=0.01)
>>> comparison.row("layer").cell("static").difference.ulp
0.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oplibrary.messages.source import enter_package

if TYPE_CHECKING:
    from sidebyside import errors
    from sidebyside.public import *  # noqa: F403

enter_package(__file__, "workloads/builtin", "workloads/foreign")

__version__ = "0.2.0"

__all__ = [  # noqa: F405  what `public` has
    "BUILTIN",
    "FOREIGN",
    "MODES",
    "Cell",
    "Change",
    "Changes",
    "Comparison",
    "Decision",
    "Example",
    "Figure",
    "History",
    "Mode",
    "Prepared",
    "Row",
    "Splits",
    "Table",
    "TensorType",
    "Training",
    "Workload",
    "__version__",
    "compare",
    "compare_training",
    "decide",
    "diff",
    "errors",
    "find_mode",
    "find_workload",
    "find_workloads",
    "history",
    "load",
    "measure_flexibility",
    "measure_table",
    "show",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import everything when the first name is asked for: processes of modes need a small part."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "errors":
        return import_module("sidebyside.errors")
    public = import_module("sidebyside.public")
    globals().update({each: getattr(public, each) for each in __all__ if hasattr(public, each)})
    return globals()[name]


def __dir__() -> list[str]:
    return list(__all__)
