"""Session: run parts of a graph by name, as in TensorFlow 1.x."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from common.errors import FeedError, GraphError
from common.source import Source
from common.tree import flatten, unflatten
from common.types import Array
from staticgraph.executable import Executable, compile
from staticgraph.graph import Graph
from staticgraph.node import Node
from staticgraph.operands import as_array
from staticgraph.roles import GROUP, PLACEHOLDER


class Session:
    """Run a graph: fetch any of its nodes, feed any of its nodes.

    Each combination of fetches and feeds is compiled once, with only what the fetches need. The
    first run makes the graph final.

    Parameters
    ----------
    graph : Graph
        What is run.
    **options
        Passed to `compile`, such as ``backend="numpy"``.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph() as graph:
    ...     x = sg.placeholder("x", (3,))
    ...     total = sg.sum(x * x)
    >>> with sg.Session(graph) as session:
    ...     session.run(total, {x: [1.0, 2.0, 3.0]})
    array(14., dtype=float32)
    """

    def __init__(self, graph: Graph, **options: Any) -> None:
        if not isinstance(graph, Graph):
            raise GraphError(
                f"Session was given a {type(graph).__name__}",
                cause="a session runs one declared graph",
                fix="write Session(graph), with graph = sg.Graph()",
            )
        self.graph = graph
        self._options = options
        self._executables: dict[Any, Executable] = {}
        self._closed = False

    def run(self, fetches: Any, feed_dict: Mapping[Node | str, Any] | None = None) -> Any:
        """Return the values of `fetches`.

        Parameters
        ----------
        fetches : Node, str, or a tree of them
            A name may be written as TensorFlow does, ``"add_3:0"``.
        feed_dict : mapping of Node or str to array_like, optional
            The placeholders that the fetches need. Any other node may be fed too; then it is not
            computed.

        Returns
        -------
        numpy.ndarray, or a tree of them
            In the structure of `fetches`; None for a `group`.

        Raises
        ------
        FeedError
            If a needed placeholder is not fed, or a value does not fit its node.
        GraphError
            If a name is unknown, or the session is closed.
        """
        if self._closed:
            raise GraphError(
                "run() of a session that is closed",
                cause="it was closed by close() or at the end of its with block",
                fix="run inside the with block, or make a new Session(graph)",
            )
        leaves, structure = flatten(fetches)
        graph = self.graph
        fetched = tuple([graph.resolve(fetch) for fetch in leaves])
        feeds = {self._fed(key): value for key, value in (feed_dict or {}).items()}
        key = (fetched, tuple(feeds))
        executable = self._executables.get(key)
        if executable is None:
            graph.finalize()
            executable = compile(list(fetched), inputs=list(feeds), **self._options)
            self._executables[key] = executable
        results = executable(*[_value_for(node, value) for node, value in feeds.items()])
        shown = [
            None if node.op is GROUP else result
            for node, result in zip(fetched, results, strict=True)
        ]
        return unflatten(structure, shown)

    def _fed(self, key: Any) -> Node:
        try:
            return self.graph.resolve(key)
        except GraphError as error:
            raise FeedError(f"feed_dict: {error.what}", cause=error.cause, fix=error.fix) from None

    def close(self) -> None:
        """Forget what was compiled; later runs are errors."""
        self._closed = True
        self._executables.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _value_for(node: Node, value: Any) -> Array:
    """Return `value` as an array of the type of `node`.

    Python numbers and lists take the node's dtype; an array must have it.
    """
    strong = isinstance(value, (np.ndarray, np.generic))
    array = np.asarray(value) if strong else as_array(value, node.dtype)
    if array.shape == node.shape and array.dtype == node.dtype:
        return array
    what = "placeholder" if node.op is PLACEHOLDER else "node"
    wrong_shape = array.shape != node.shape
    related: tuple[tuple[str, Source | None], ...] = ((f"{node.name} declared", node.source),)
    raise FeedError(
        f"{what} {node.name!r} is {node.type} and was fed {array.dtype}{list(array.shape)}",
        cause="a static graph fixes shapes and dtypes before it runs",
        fix=f"feed an array of shape {node.shape}, or declare the {what} with the other shape"
        if wrong_shape
        else f'feed value.astype("{node.dtype}"), or declare the {what} as {array.dtype}',
        related=related,
    )
