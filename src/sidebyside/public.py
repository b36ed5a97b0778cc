"""What `sidebyside` offers; it is imported when one of the names is first asked for."""

from __future__ import annotations

from oplibrary.values.types import TensorType as TensorType
from sidebyside.drawing.figure import Figure as Figure
from sidebyside.drawing.figure import show as show
from sidebyside.modes import MODES as MODES
from sidebyside.modes import Mode as Mode
from sidebyside.modes import Prepared as Prepared
from sidebyside.modes import find_mode as find_mode
from sidebyside.results.cell import Cell as Cell
from sidebyside.results.comparison import Comparison as Comparison
from sidebyside.results.comparison import Row as Row
from sidebyside.results.decision import Decision as Decision
from sidebyside.results.saved.change import Change as Change
from sidebyside.results.saved.change import Changes as Changes
from sidebyside.results.saved.change import diff as diff
from sidebyside.results.saved.file import load as load
from sidebyside.results.saved.history import History as History
from sidebyside.results.saved.history import history as history
from sidebyside.results.table import Table as Table
from sidebyside.studies.comparison import compare as compare
from sidebyside.studies.decision import decide as decide
from sidebyside.studies.flexibility import Example as Example
from sidebyside.studies.flexibility import measure_flexibility as measure_flexibility
from sidebyside.studies.table import measure_table as measure_table
from sidebyside.studies.training import compare_training as compare_training
from sidebyside.studies.training import train as train
from sidebyside.workloads.builtin import BUILTIN as BUILTIN
from sidebyside.workloads.foreign import FOREIGN as FOREIGN
from sidebyside.workloads.loading import find_workload as find_workload
from sidebyside.workloads.loading import find_workloads as find_workloads
from sidebyside.workloads.workload import Splits as Splits
from sidebyside.workloads.workload import Training as Training
from sidebyside.workloads.workload import Workload as Workload
