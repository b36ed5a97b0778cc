"""Programs of other libraries: read, checked against their source, and handed over as graphs."""

from staticgraph.importing.pytorch.reading import from_torch
from staticgraph.importing.shared.imported import Imported

__all__ = ["Imported", "from_torch"]
