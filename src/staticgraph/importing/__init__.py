"""Programs of other libraries: read, checked against their source, and handed over as graphs."""

from staticgraph.importing.jaxprs.reading import from_jax
from staticgraph.importing.pytorch.reading import from_torch
from staticgraph.importing.shared.imported import Imported

__all__ = ["Imported", "from_jax", "from_torch"]
