"""Session: run parts of a graph by name, as in TensorFlow 1.x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from oplibrary.core.dispatch import HELD
from oplibrary.messages.errors import FeedError, GraphError, PicklingError
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import Array
from staticgraph.compiler.compile import compile_nodes
from staticgraph.compiler.executable import Executable
from staticgraph.compiler.options import options_from
from staticgraph.declare.lower import missing_error
from staticgraph.graph.graph import Graph
from staticgraph.graph.graph_ops import GROUP
from staticgraph.graph.node import Node


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

    def __init__(self, graph: Graph | None = None, **options: Any) -> None:
        if not isinstance(graph, Graph):
            given = "no graph" if graph is None else f"a {type(graph).__name__}"
            raise GraphError(
                f"Session was given {given}",
                cause="a session runs one declared graph",
                fix="pass the graph that the nodes to run were declared in",
            )
        self.graph = graph
        self._options = options_from("Session", options)
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
            computed. An array must have the node's shape and dtype; Python numbers and lists take
            its dtype.

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
        feeds = self._feeds(feed_dict or {}, fetched)
        # a node that is written to in place is another value from then on
        key = (fetched, tuple(feeds), tuple([node.sequence for node in (*fetched, *feeds)]))
        executable = self._executables.get(key)
        if executable is None:
            graph.finalize()
            executable = compile_nodes(list(fetched), list(feeds), self._options)
            self._executables[key] = executable
        results = executable.call(*feeds.values())
        shown = [
            None if node.op is GROUP else result
            for node, result in zip(fetched, results, strict=True)
        ]
        return unflatten(structure, shown)

    def _feeds(
        self, feed_dict: Mapping[Node | str, Any], fetched: Sequence[Node]
    ) -> dict[Node, Any]:
        """Return the feeds by node."""
        feeds: dict[Node, Any] = {}
        unknown: list[GraphError] = []
        for key, value in feed_dict.items():
            try:
                node = self.graph.resolve(key)
            except GraphError as error:
                unknown.append(error)
                continue
            if node in feeds:
                raise FeedError(
                    f"feed_dict: {node.name!r} is fed twice",
                    cause="the node itself and its name mean the same value",
                    fix="feed it once",
                    related=((f"{node.name} declared", node.source),),
                )
            feeds[node] = value
        if unknown:
            raise _unknown_error(unknown, missing_error(fetched, list(feeds)))
        return feeds

    def close(self) -> None:
        """Forget what was compiled; later runs are errors."""
        self._closed = True
        self._executables.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_executables": {}}  # built again when they are asked for

    def __copy__(self) -> Session:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        raise PicklingError(
            "a session cannot be copied deeply",
            cause="the nodes that it is asked for would be those of another graph",
            fix="make another one, Session(session.graph), or pickle it together with its nodes",
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _unknown_error(unknown: Sequence[GraphError], missing: FeedError | None) -> FeedError:
    """Return the error of keys that name no node, and of what is missing beside them."""
    errors = [*unknown, *([missing] if missing is not None else [])]
    return FeedError(
        "feed_dict: " + "; ".join(error.what for error in errors),
        cause="; ".join(dict.fromkeys(error.cause for error in errors)),
        fix="; ".join(dict.fromkeys(error.fix for error in errors)),
        related=() if missing is None else missing.related,
    )


def _held_by(session: Session) -> tuple[Array, ...]:
    executables = session._executables.values()
    return tuple([each.stored for one in executables for each in one.variables.values()])


HELD[Session] = _held_by
