"""Declaration: what is known of one value of a graph before the graph runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np

from oplibrary.core.op import Op
from oplibrary.messages.source import Source
from oplibrary.values.types import TensorType


class Declaration:
    """What declares one value: an op on operands, with its type and the user's line.

    Attributes
    ----------
    op : Op
    operands : tuple of Node
    attrs : mapping
    type : TensorType
    name : str
        Unique in its graph, such as ``"add_3"``.
    graph : Graph
    source : Source or None
        The user's line that declared it.
    sequence : int or float
        Its place in the order of declaration, in which operands come before their users.
    selection : tuple of Node and key, or None
        What it was selected from with a key of numbers of which some are known only in a run, such
        as a loop's counter: it is a view, as it is for numbers that are known.
    """

    __slots__ = (
        "attrs",
        "graph",
        "name",
        "op",
        "operands",
        "selection",
        "sequence",
        "source",
        "type",
    )

    def __init__(
        self,
        op: Op,
        operands: tuple[Any, ...],
        attrs: Mapping[str, Any],
        type: TensorType,
        name: str,
        graph: nx.MultiDiGraph,
        source: Source | None,
        sequence: float,
    ) -> None:
        self.op = op
        self.operands = operands
        self.attrs = attrs
        self.type = type
        self.name = name
        self.graph = graph
        self.source = source
        self.sequence = sequence
        self.selection: tuple[Any, Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the elements."""
        return self.type.dtype

    def __repr__(self) -> str:
        return f"Node({self.name}: {self.type})"
