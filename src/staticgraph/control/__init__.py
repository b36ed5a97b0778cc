"""Control flow in the graph: branches and loops, declared once and run as the data asks."""

from staticgraph.control.checkpoint import checkpoint
from staticgraph.control.conditional import cond, switch
from staticgraph.control.loops import fori_loop, map
from staticgraph.control.scan import scan
from staticgraph.control.while_loop import while_loop

__all__ = ["checkpoint", "cond", "fori_loop", "map", "scan", "switch", "while_loop"]
