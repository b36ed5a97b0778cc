"""DebugExecutable: what ``compile(..., debug=True)`` returns."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from oplibrary.messages.errors import GraphError, PicklingError
from oplibrary.values.types import Array
from staticgraph.backends.backend import Runner
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.compile import Driver, debug_driver
from staticgraph.compiler.executable import Executable
from staticgraph.compiler.options import Options
from staticgraph.debugging.borrowed import poisoning
from staticgraph.debugging.debugger import Action, Breakpoint, Debugger
from staticgraph.debugging.trace import format_trace
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program


class DebugExecutable(Executable):
    """An executable that runs instruction by instruction and can be looked into.

    It runs the program as declared, without passes unless some were asked for, and so do the
    branches and loop bodies in it. Every value of the last run is kept, of a branch or a loop's
    body those of the last time that it ran. Their names are those of the nodes; within a branch or
    a body they have its path in front, as in ``"scan.body/tanh"`` and ``"switch.branches[1]/log"``
    (`cond` is a switch whose branch 1 is the true one).

    Attributes
    ----------
    hooks : list of callable
        Each is called after every instruction with the instruction, its operands and its result.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (3,))
    ...     y = sg.log(x)
    ...     run = sg.compile(sg.sum(y), [x], debug=True)
    >>> seen = run.break_at(y, lambda frame: print(frame.name, frame.operands[0]))
    >>> run([1.0, 1.0, 1.0])
    log [1. 1. 1.]
    array(0., dtype=float32)
    >>> run.inspect("log")
    array([0., 0., 0.], dtype=float32)
    """

    def __init__(self, debugger: Debugger, *parts: Any) -> None:
        super().__init__(*parts)
        self._debugger = debugger
        self.hooks = debugger.hooks

    def __reduce__(self) -> NoReturn:
        raise PicklingError(
            "an executable that was compiled with debug=True cannot be pickled or copied",
            cause="its breakpoints, hooks and values belong to the process that debugs it",
            fix="compile the program without debug=True, and pickle that",
        )

    def __copy__(self) -> Executable:
        return self.__reduce__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Executable:
        return self.__reduce__()

    def break_at(self, target: Node | str, action: Action | None = None) -> Breakpoint:
        """Stop after each instruction that `target` means, in branches and loop bodies too.

        Parameters
        ----------
        target : Node or str
            A node; the name of a value; the name of an op, which means all of its instructions; or
            a line such as ``"model.py:12"``.
        action : callable, optional
            Called with a `Frame`; by default the frame is printed and `breakpoint` called. What it
            raises ends the run.

        Returns
        -------
        Breakpoint
            Its ``remove()`` lets runs go on, and ``hits`` counts.

        Raises
        ------
        GraphError
            If no instruction is meant; the closest names are shown.
        LeakedNodeError
            If the node is of another graph.
        """
        return self._debugger.add_breakpoint(target, action)

    @property
    def values(self) -> dict[str, Array]:
        """Every array of the last run by name, in the order computed; read-only arrays."""
        return self._debugger.values()

    def inspect(self, target: Node | str) -> Array:
        """Return one value of the last run, also in the middle of it.

        Parameters
        ----------
        target : Node or str
            A node or a name. A name within a branch or body needs its path only where there are
            several of that name.

        Raises
        ------
        GraphError
            If the last run computed no such value, or there was none.
        LeakedNodeError
            If the node is of another graph.
        """
        return self._debugger.value(target)

    def watch_nan(self, enabled: bool = True) -> None:
        """Let runs fail at the first instruction that makes NaN, or infinity out of finite numbers.

        The error is an `AnomalyError`, with the op, the user's line and what its operands were. An
        infinity that is fed or declared, such as that of a mask, may go on; NaN that is fed is
        reported where it is first computed with.
        """
        self._debugger.watching = enabled

    def trace(self) -> str:
        """Return the last run as text: each instruction with its line, type, range and mean.

        Those of a branch or a loop's body stand below it, as the last time that it ran.

        Raises
        ------
        GraphError
            If there was no run yet.
        """
        if not self._debugger.record:
            raise GraphError(
                "trace: the program has not run yet",
                cause="it shows the values of the last run",
                fix="call the executable first",
            )
        return format_trace(self._debugger.record)


def drive(graph: Graph, options: Options) -> Driver:
    """Return the driver that runs a program of `graph` by instruction, to be looked into."""
    passes = options.passes or ()
    debugger = Debugger(graph, passes, options.verify)

    def build(program: Program, _: BufferPlan) -> Runner:
        runner = debugger.runner(program)
        return poisoning(runner) if options.borrow else runner

    make = partial(DebugExecutable, debugger)
    return Driver(load_backend("interpret"), passes, debugger.bind, build, make)


debug_driver.enter(drive)
