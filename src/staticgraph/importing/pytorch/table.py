"""The table of PyTorch's operators, which the files of their families fill."""

from staticgraph.importing.shared.table import Table

TABLE = Table()
"""By the operator's name in its schema, ``aten.add.Tensor``; parameters are the schema's."""

PLACED = ("layout", "device", "pin_memory", "memory_format", "non_blocking")
"""Arguments that say where and how values lie, and not which they are."""
