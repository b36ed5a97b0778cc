"""How results are shown: as text, HTML, JSON and CSV, all drawn from the same columns.

Importing it enters how each type of result is shown in `sidebyside.results.result.RENDERERS`.
"""

from sidebyside.report import comparison, decision, flexibility, profile, table, training
from sidebyside.report.saved import changes, history

__all__ = [
    "changes",
    "comparison",
    "decision",
    "flexibility",
    "history",
    "profile",
    "table",
    "training",
]
