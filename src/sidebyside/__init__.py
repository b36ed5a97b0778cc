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

from oplibrary.core.types import TensorType
from oplibrary.messages.source import enter_package
from sidebyside import errors
from sidebyside import report as _report  # enters how results are shown
from sidebyside.drawing.figure import Figure, show
from sidebyside.modes import MODES, Mode, Prepared, find_mode
from sidebyside.results.cell import Cell
from sidebyside.results.comparison import Comparison, Row
from sidebyside.results.decision import Decision
from sidebyside.results.saved.change import Change, Changes, diff
from sidebyside.results.saved.file import load
from sidebyside.results.saved.history import History, history
from sidebyside.results.table import Table
from sidebyside.studies.comparison import compare
from sidebyside.studies.decision import decide
from sidebyside.studies.flexibility import Example, measure_flexibility
from sidebyside.studies.table import measure_table
from sidebyside.studies.training import compare_training, train
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.foreign import FOREIGN
from sidebyside.workloads.loading import find_workload, find_workloads
from sidebyside.workloads.workload import Splits, Training, Workload

enter_package(__file__, "workloads/builtin", "workloads/foreign")

__version__ = "0.2.0"

__all__ = [
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


def __dir__() -> list[str]:
    return list(__all__)
