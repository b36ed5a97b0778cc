"""The table of JAX's primitives, which the files of their families fill."""

from staticgraph.importing.shared.table import Table

TABLE = Table()
"""By the primitive's name; operands come in order, parameters by their names."""
