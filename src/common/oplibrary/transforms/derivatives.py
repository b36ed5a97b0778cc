"""Transformations of functions, once for all executors: derivatives, and many examples at once.

The functions of an executor's namespace are the methods of one instance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oplibrary.transforms.jacobians import Jacobians
from oplibrary.transforms.vmap import vectorized


class Transforms(Jacobians):
    """The transformations of functions for one executor."""

    def vmap(
        self,
        function: Callable[..., Any],
        in_axes: Any = 0,
        out_axes: Any = 0,
        axis_size: int | None = None,
    ) -> Callable[..., Any]:
        """Return a function that runs `function`, written for one example, for many at once.

        Parameters
        ----------
        function : callable
            Its arguments and results are arrays, or trees of them. It runs once; each of its
            operations works on all examples.
        in_axes : int, None, or a container of them
            Along which axis the examples are: one for all arguments, or one for each; for an
            argument that is a tree, one, or a container like it. None is for what all examples
            share. Arrays that are passed by name go along axis 0.
        out_axes : int, None, or a container of them
            Along which axis of the results the examples are to be; likewise.
        axis_size : int, optional
            How many examples there are, where no argument says so.

        Returns
        -------
        callable
            Calls of it can be nested, differentiated, and differentiate: ``vmap(grad(f))`` gives
            the gradient of each example.

        Raises
        ------
        ShapeError
            If the arguments have several numbers of examples; raised by the new function, as the
            others are.
        ArgumentError
            If the axes do not fit the arguments or the results.
        SymbolicBoolError
            If the function asks for the truth of a value, which each example has its own.

        Notes
        -----
        An operation that has no rule for many examples runs for one after the other: it is as
        right, and no faster than a loop.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dot = dg.vmap(lambda x, y: dg.sum(x * y), in_axes=(0, None))
        >>> dot(dg.tensor([[1.0, 2.0], [3.0, 4.0]]), dg.tensor([1.0, 10.0]))
        tensor([21., 43.])
        >>> dg.vmap(dg.grad(lambda x: x * x))(dg.tensor([1.0, 2.0]))
        tensor([2., 4.])
        """
        return vectorized(function, in_axes, out_axes, axis_size, self.array, self.opened)
