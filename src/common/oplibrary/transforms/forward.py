"""Forward mode: jvp and linearize.

The function runs, and each of its operations then pushes the tangents of its operands on to its
result, by the rule of its record (`oplibrary.tangents.families`). An operation without one
transposes its gradient rule, alone: what that gives for a cotangent is differentiated by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.executors.autodiff import conjugated
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.elementwise import cast
from oplibrary.transforms.differentiation import Differentiation, listed
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import TensorType, type_of


class ForwardMode(Differentiation):
    """Derivatives in a direction, from the inputs on."""

    def jvp(self, function: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return the value of `function` and its derivative in the direction of `tangents`.

        It is forward mode: each operation pushes the tangents of its operands on, once. No gradient
        is computed for it.

        Parameters
        ----------
        function : callable
            Its result is an array, or a tree of them.
        primals, tangents : sequence of array or tree of array
            The arguments, and a direction of the same shape for each; complex for complex ones.

        Returns
        -------
        value, tangent
            The tangent has the structure of the value.

        Raises
        ------
        ArgumentError
            If a primal has no tangent, or the function returns something else.
        ShapeError, DTypeError
            If a tangent is no direction of its primal.
        NotDifferentiableError
            If one of the primals, or the value, is made of integers or booleans.

        Notes
        -----
        An operation without a rule for tangents, such as a decomposition of matrices, has its
        gradient rule transposed; docs/transforms.md lists them. So has a function with a gradient
        of its own; dyngraph's `Function` may have a static method ``jvp(ctx, *tangents)``.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dg.jvp(lambda x: x * x, [dg.tensor([1.0, 2.0])], [dg.tensor([1.0, 0.5])])
        (tensor([1., 4.]), tensor([2., 2.]))
        >>> import staticgraph as sg
        >>> with sg.Graph():
        ...     x = sg.placeholder("x", (2,))
        ...     _, tangent = sg.jvp(lambda x: x * x, [x], [sg.ones((2,))])
        >>> tangent.type
        float32[2]
        """
        require_callable("jvp", function)
        args = listed(primals)
        value, push = self._linearized("jvp", function, args, flatten(listed(tangents))[0])
        return value, push(tangents)

    def linearize(
        self, function: Callable[..., Any], *primals: Any
    ) -> tuple[Any, Callable[..., Any]]:
        """Return the value of `function` and the function that pushes tangents forward.

        The function runs once, however many directions follow.

        Parameters
        ----------
        function : callable
            Its result is an array, or a tree of them.
        *primals : array or tree of array
            What it is called with.

        Returns
        -------
        value
        push : callable
            ``push(*tangents)``, with a tangent for each of the primals, gives that of the value.

        Examples
        --------
        >>> import dyngraph as dg
        >>> y, push = dg.linearize(lambda x: x * x, dg.tensor([1.0, 2.0]))
        >>> push(dg.tensor([1.0, 0.0])), push(dg.tensor([0.0, 1.0]))
        (tensor([2., 0.]), tensor([0., 4.]))
        """
        require_callable("linearize", function)
        value, push = self._linearized("linearize", function, primals, [])
        return value, lambda *tangents: push(tangents)

    def _linearized(
        self,
        name: str,
        function: Callable[..., Any],
        primals: tuple[Any, ...],
        given: Sequence[Any],
    ) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value, and what pushes tangents, of which some may be `given` already."""
        positions = range(len(primals))
        tracked = self._tracked(primals, positions)
        deep = any(tracked) or any(map(self.tracked, given))
        with self.recording([*flatten(primals)[0], *given]):
            directions = [self.array(t) for t in given]
            inputs = self._inputs(primals, positions, tracked)
            if given:
                _directions(name, inputs.leaves, directions)
            value = function(*inputs.arguments)
        outputs, structure = flatten(value)
        for output in outputs:
            self._result(output, name)

        def push(tangents: Any) -> Any:
            leaves = flatten(listed(tangents))[0]
            further = any(tracked) or any(map(self.tracked, leaves))
            with self.recording([*flatten(primals)[0], *leaves]):
                moved = _directions(name, inputs.leaves, [self.array(t) for t in leaves])
                found = self.tangents(outputs, inputs.leaves, moved, further)
                zeros = [
                    self.full(type_of(y), 0) if t is None else t
                    for y, t in zip(outputs, found, strict=True)
                ]
            return unflatten(structure, zeros)

        return value if deep else unflatten(structure, map(self.detach, outputs)), push

    def tangents(
        self, outputs: Sequence[Any], inputs: Sequence[Any], moved: Sequence[Any], deep: bool
    ) -> Sequence[Any]:
        """Return the tangent of each output, None for one that does not move."""
        return self.push(outputs, inputs, moved, deep, self._transposed)

    def _transposed(
        self,
        pull: Callable[[list[Any]], Sequence[Any]],
        types: Sequence[TensorType],
        tangents: Sequence[Any],
        deep: bool,
    ) -> list[Any]:
        """Push tangents through what is only known to pull gradients back.

        ``pull(g)`` is linear in `g`, and its transpose is what pushes.

        Parameters
        ----------
        pull : callable
            Takes a cotangent for each result, gives a gradient for each operand or None; both as
            gradient rules have them.
        types : sequence of TensorType
            Of the results.
        tangents : sequence of array or None
            Of the operands.
        deep : bool
            Whether the result must be differentiable.

        References
        ----------
        J. Townsend, A new trick for calculating Jacobian vector products, 2017.
        """
        with self.recording(()):
            cotangents = [self.input(self.full(type, 1), False) for type in types]
            pulled = pull(cotangents)
            pairs = [
                (g, conjugated(t))
                for g, t in zip(pulled, tangents, strict=True)
                if t is not None and self.depends(g)
            ]
        if not pairs:
            return [None] * len(types)
        gradients, directions = zip(*pairs, strict=True)
        found = self.gradients(gradients, cotangents, directions, "zero", deep)
        return [conjugated(t) for t in found]


def _directions(name: str, primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Return tangents in the dtypes of their primals."""
    if len(primals) != len(tangents):
        raise ArgumentError(
            f"{name}: {len(tangents)} tangents for {len(primals)} primals",
            cause="each primal moves along a tangent of its own",
            fix="pass one tangent a primal, zeros for those that stay",
        )
    found = []
    for position, (x, t) in enumerate(zip(primals, tangents, strict=True)):
        if tuple(x.shape) != tuple(t.shape):
            raise ShapeError(
                f"tangent {position} has shape {t.shape} and its primal {x.shape}",
                cause="a tangent is a direction in the space of its primal",
                fix="pass tangents of the primals' shapes",
            )
        if t.dtype.kind == "c" and x.dtype.kind != "c":
            raise DTypeError(
                f"tangent {position} is {t.dtype} and its primal {x.dtype}",
                cause="a real number moves along the real line",
                fix="pass the real part, or a complex primal",
            )
        found.append(t if t.dtype == x.dtype else cast(t, dtype=x.dtype))
    return found
