"""What the kinds of results have in common: the comparison in them."""

from __future__ import annotations

from sidebyside.results.comparison import Comparison
from sidebyside.results.decision import Decision
from sidebyside.results.saved.file import SavedResult
from sidebyside.results.table import Table


def comparison_of(result: SavedResult) -> Comparison:
    """Return the comparison that a result is, or is made of."""
    if isinstance(result, Comparison):
        return result
    assert isinstance(result, (Decision, Table))
    return result.comparison
