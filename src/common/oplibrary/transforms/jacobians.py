"""Whole matrices of derivatives: jacobian and hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from oplibrary.core.batching import move_axis
from oplibrary.core.registry import REGISTRY
from oplibrary.executors.autodiff import conjugated
from oplibrary.messages.errors import ArgumentError, NotDifferentiableError
from oplibrary.ops.elementwise import cast
from oplibrary.ops.joining import stack
from oplibrary.transforms.batched import Batched, level_of
from oplibrary.transforms.differentiation import listed
from oplibrary.transforms.forward import ForwardMode
from oplibrary.transforms.reverse import ReverseMode
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import LEAF, flatten
from oplibrary.values.types import Array, TensorType, type_of


class Jacobians(ReverseMode, ForwardMode):
    """Derivatives of every element by every element."""

    def jacobian(
        self,
        function: Callable[..., Any],
        inputs: Any,
        create_graph: bool = False,
        holomorphic: bool = False,
        mode: str | None = None,
    ) -> Any:
        """Return the derivative of every element of the value by every element of the inputs.

        In reverse mode each element of the value takes a backward pass of its own; a declared graph
        holds a loop over them where there are many. In forward mode the tangents of all elements of
        an input are pushed at once, as under `vmap`.

        Parameters
        ----------
        function : callable
            Its result is one array.
        inputs : array or sequence of array
            What it is called with: one argument, or several.
        create_graph : bool
            Make the result differentiable, as in `value_and_grad`.
        holomorphic : bool
            Say that the function is holomorphic: inputs and value are complex, and the result is
            the complex derivative. Without it the value must be real; the derivative of a real
            value by a complex input is its gradient, as that of `value_and_grad`.
        mode : {"forward", "reverse"}, optional
            By default forward where the inputs have fewer elements than the value, and nothing on
            the way is a `custom_vjp`.

        Returns
        -------
        array or tuple of array
            Of shape ``value.shape + input.shape``, one an input.

        Raises
        ------
        NotDifferentiableError
            If the value is complex and the function is not said to be holomorphic, or is and has
            real inputs or a real value; in forward mode also if it is not, and has complex inputs.
        ArgumentError
            If `mode` is none, or the elements that it goes through are not known before a run.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dg.jacobian(lambda x: x * x, dg.tensor([1.0, 3.0]))
        tensor([[2., 0.],
                [0., 6.]])
        """
        require_callable("jacobian", function)
        _require_mode(mode)
        single = not isinstance(inputs, (tuple, list))
        (blocks,) = self._jacobians(
            lambda *xs: (self._result(function(*xs), "jacobian"),),
            listed(inputs),
            create_graph,
            holomorphic,
            mode,
        )
        return blocks[0] if single else blocks

    def hessian(self, function: Callable[..., Any], inputs: Any) -> Any:
        """Return the second derivatives of a function that returns one number.

        It is the jacobian of the gradient: in forward mode, or in reverse mode if the function is
        made of a `custom_vjp`.

        Parameters
        ----------
        function : callable
        inputs : array or sequence of array
            As of `jacobian`.

        Returns
        -------
        array, or tuple of tuples of array
            Of shape ``inputs.shape + inputs.shape``; block ``[i][j]`` for several inputs.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dg.hessian(lambda x: dg.sum(x * x * x), dg.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
        """
        require_callable("hessian", function)
        single = not isinstance(inputs, (tuple, list))
        xs = listed(inputs)
        gradient = self.grad(function, tuple(range(len(xs))), create_graph=True)
        blocks = self._jacobians(gradient, xs, False, False, "either")
        return blocks[0][0] if single else blocks

    def _jacobians(
        self,
        function: Callable[..., tuple[Any, ...]],
        args: tuple[Any, ...],
        create_graph: bool,
        holomorphic: bool,
        mode: str | None,
    ) -> tuple[tuple[Any, ...], ...]:
        """Return for each of the function's values its derivative by each argument."""
        positions = range(len(args))
        for position in positions:
            if flatten(args[position])[1] is not LEAF:
                raise ArgumentError(
                    f"input {position} is a {type(args[position]).__name__}, not one array",
                    cause="rows and columns of the result are elements of arrays",
                    fix="pass its arrays as inputs of their own",
                )
        tracked = self._tracked(args, positions)
        deep = create_graph or any(tracked)
        with self.recording(args):
            xs = self._inputs(args, positions, tracked).leaves
            values = function(*xs)
            _require_holomorphic([*xs, *values] if holomorphic else values, holomorphic)
            if mode is None:
                forward = not holomorphic and any(x.dtype.kind == "c" for x in xs)
                forward = not forward and self._elements(xs) < self._elements(values)
                forward = forward and not self.reverse_only(values, xs)
            else:
                forward = mode == "forward"
                forward = forward or (mode == "either" and not self.reverse_only(values, xs))
            by = self._by_columns if forward else self._by_rows
            return tuple([by(value, xs, deep, holomorphic) for value in values])

    def _elements(self, xs: Sequence[Any]) -> float:
        if any(map(self.symbolic, xs)):
            return float("inf")
        return sum(type_of(x).size for x in xs)

    def _by_rows(
        self, value: Any, xs: Sequence[Any], deep: bool, holomorphic: bool
    ) -> tuple[Any, ...]:
        """Return the derivative of `value` by each of `xs`, in reverse mode."""
        self._require_known(value, "the function returned a value of")
        shapes = [(*value.shape, *x.shape) for x in xs]
        if not value.size:
            types = [TensorType(shape, x.dtype) for shape, x in zip(shapes, xs, strict=True)]
            return tuple([self.full(type, 0) for type in types])
        rows = self.rows(value, xs, deep)
        if holomorphic:
            rows = list(map(conjugated, rows))
        return tuple([row.reshape(shape) for row, shape in zip(rows, shapes, strict=True)])

    def rows(self, value: Any, inputs: Sequence[Any], create_graph: bool) -> Sequence[Any]:
        """Return the gradients of every element of `value`, stacked along axis 0, an input each."""
        rows = [
            self.gradients([value], inputs, [cotangent], "zero", create_graph, True)
            for cotangent in _basis(type_of(value))
        ]
        return [stack(list(column)) for column in zip(*rows, strict=True)]

    def _by_columns(
        self, value: Any, xs: Sequence[Any], deep: bool, holomorphic: bool
    ) -> tuple[Any, ...]:
        """Return the derivative of `value` by each of `xs`, in forward mode."""
        return tuple([self._column(value, x, deep, holomorphic) for x in xs])

    def _column(self, value: Any, x: Any, deep: bool, holomorphic: bool) -> Any:
        if x.dtype.kind == "c" and not holomorphic:
            raise NotDifferentiableError(
                f"the jacobian, in forward mode, by a complex input {type_of(x)}",
                cause="a complex number moves in two directions, and only the derivative of a "
                "holomorphic function is the same in both",
                fix='pass holomorphic=True if it is, or mode="reverse"',
            )
        self._require_known(x, "an input has")
        given, result = type_of(x), type_of(value)
        shape = (*value.shape, *x.shape)
        columns = None
        if given.size and result.size:
            columns = self.columns(value, x, deep)
        if columns is None:
            return self.full(TensorType(shape, x.dtype), 0)
        last = move_axis(columns, 1 + result.ndim, 0, result.ndim)
        if last.dtype != x.dtype:
            last = cast(last, dtype=x.dtype)
        return last.reshape(shape)

    def columns(self, value: Any, x: Any, create_graph: bool) -> Any:
        """Return the derivatives of `value` by every element of `x`, stacked along axis 0.

        None if it depends on none.
        """
        given = type_of(x)
        basis = np.eye(given.size, dtype=given.dtype).reshape(given.size, *given.shape)
        with level_of(given.size, self.array) as level:
            (found,) = self.tangents(
                [value], [x], [Batched(self.array(basis), level)], create_graph
            )
        if found is None:
            return None
        if type(found) is Batched and found._level is level:
            return found._value
        return REGISTRY["broadcast_to"](found, shape=(given.size, *type_of(found).shape))

    def _require_known(self, x: Any, what: str) -> None:
        if self.symbolic(x):
            raise ArgumentError(
                f"{what} type {type_of(x)}, whose length each run chooses",
                cause="each of its elements has a derivative of its own, and how many there are "
                "must be known when the graph is declared",
                fix="declare it for one length, or use vjp, or jvp, in the directions in question",
                related=self._declared(x),
            )


def _basis(type: TensorType) -> Iterator[Array]:
    """Yield every array of that type which is one at one element and zero elsewhere."""
    for index in np.ndindex(type.shape):
        array = np.zeros(type.shape, type.dtype)
        array[index] = 1
        yield array


def _require_mode(mode: Any) -> None:
    if mode not in (None, "forward", "reverse"):
        raise ArgumentError(
            f"jacobian: mode is {mode!r}",
            cause="derivatives go from the inputs forward or from the value back",
            fix='pass mode="forward", mode="reverse", or leave it out',
        )


def _require_holomorphic(arrays: Sequence[Any], holomorphic: bool) -> None:
    """Refuse complex values of a function that is not said to be holomorphic, and real ones else.

    Raises
    ------
    NotDifferentiableError
    """
    for x in arrays:
        if (x.dtype.kind == "c") != holomorphic:
            raise NotDifferentiableError(
                f"the jacobian of a function with a {'real' if holomorphic else 'complex'} array "
                f"{type_of(x)}",
                cause="a holomorphic function takes and gives complex numbers"
                if holomorphic
                else "a function of complex numbers has one derivative only if it is holomorphic",
                fix="leave holomorphic=True out, or convert with astype first"
                if holomorphic
                else "pass holomorphic=True if it is, or differentiate its real and imaginary "
                "parts: jacobian(lambda z: real(f(z)), z)",
            )
