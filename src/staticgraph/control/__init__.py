"""Control flow that is part of the graph: branches and loops declared once, run as the data asks."""

from staticgraph.control.conditional import cond, switch
from staticgraph.control.loops import fori_loop, map, scan, while_loop

__all__ = ["cond", "fori_loop", "map", "scan", "switch", "while_loop"]
