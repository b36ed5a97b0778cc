"""What `sidebyside` offers; it is imported when one of the names is first asked for."""

from __future__ import annotations

from oplibrary.core.types import TensorType
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
    "compare",
    "compare_training",
    "decide",
    "diff",
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
