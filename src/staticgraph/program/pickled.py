"""What programs, graphs and executables become in a pickle: what a file holds of a program."""

from __future__ import annotations

from typing import Any

from staticgraph.program.upcall import Upcall

reduced: Upcall[[Any], tuple[Any, ...]] = Upcall("staticgraph.archive.pickling")
"""Return what `object.__reduce__` of a program, a graph or an executable returns."""
