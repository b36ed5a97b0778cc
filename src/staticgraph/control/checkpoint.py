"""Trade time for memory: a function whose gradient computes its values again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from oplibrary.values.parameters import require_callable, require_parameters
from oplibrary.values.tree import flatten
from staticgraph.control.conditional import declare_choice
from staticgraph.declare.build import require_graph, to_node


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Declare ``function(*args, **kwargs)`` without keeping what its gradient needs.

    It is a branch without an alternative: a region, whose gradient runs it again. What it computes
    on the way lives no longer than it runs.

    Parameters
    ----------
    function : callable
        It may also use nodes of the graph around it.

    References
    ----------
    Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> slope = sg.function(sg.grad(lambda x: sg.checkpoint(lambda x: sg.exp(x) * x, x)))
    >>> float(slope(np.float64(0.0)))
    1.0
    """
    require_callable("checkpoint", function)
    if not kwargs:
        require_parameters("checkpoint", function, flatten(args)[1][2], "a node")

    @functools.wraps(function)
    def run(given: Any, named: Any) -> Any:
        return function(*given, **named)

    del run.__wrapped__  # its parameters are others
    always = to_node(require_graph("checkpoint"), np.asarray(0))
    return declare_choice("checkpoint", always, {"the function": run}, (args, kwargs))
