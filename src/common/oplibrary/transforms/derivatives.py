"""Derivatives of functions, once for all executors: value_and_grad, vjp, jvp, jacobian, hessian.

A function takes arrays of its executor, or nested tuples, lists and dicts of them, and gives such.
An executor derives from `Transforms` and says how it makes what is differentiated, and how it
differentiates; the functions of its namespace are the methods of one instance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.dtypes import FLOATING
from oplibrary.core.parameters import require_callable
from oplibrary.core.tree import LEAF, Structure, flatten, leaf_paths, unflatten
from oplibrary.core.types import Array, TensorType, type_of
from oplibrary.executors.autodiff import complex_value, conjugated, require_policy
from oplibrary.messages.errors import (
    ArgumentError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
)
from oplibrary.messages.source import Source
from oplibrary.ops.arguments import normalize_ints
from oplibrary.ops.joining import stack
from oplibrary.transforms.vmap import vectorized


class _Inputs(NamedTuple):
    """What a function is differentiated with respect to.

    Attributes
    ----------
    arguments : list
        All that the function is called with, the inputs in it.
    leaves : list
        The inputs, one after the other.
    structures : list of Structure
        Of each argument with inputs in it.
    """

    arguments: list[Any]
    leaves: list[Any]
    structures: list[Structure]

    def trees(self, gradients: Sequence[Any]) -> tuple[Any, ...]:
        """Return a gradient for each leaf in the structures of the arguments."""
        left = iter(gradients)
        return tuple([unflatten(structure, left) for structure in self.structures])


class Transforms(ABC):
    """The derivatives of functions for one executor."""

    kind: type
    """The executor's array: results of other types have no gradient."""

    # what an executor says ----------------------------------------------------------------------

    @abstractmethod
    def tracked(self, x: Any) -> bool:
        """Tell whether derivatives with respect to `x` may be asked of what is computed now."""

    @abstractmethod
    def recording(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return a block in which operations can be differentiated, given a call's arguments."""

    @abstractmethod
    def array(self, x: Any) -> Any:
        """Return data as an array of the executor."""

    @abstractmethod
    def input(self, x: Any, tracked: bool) -> Any:
        """Return an array as one of its own to differentiate with respect to.

        Where it is `tracked`, derivatives go on from it to what it was computed from.
        """

    @abstractmethod
    def full(self, type: TensorType, value: float) -> Any:
        """Return an array in which every element is `value`."""

    @abstractmethod
    def gradients(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        cotangents: Sequence[Any] | None,
        unused: str,
        create_graph: bool,
        retain_graph: bool = False,
    ) -> Sequence[Any]:
        """Return the gradient of the outputs by each input.

        Parameters
        ----------
        outputs, inputs : sequence of array
        cotangents : sequence of array, optional
            One an output, None for one of a single element.
        unused : {"zero", "none", "warn", "raise"}
        create_graph : bool
            Whether the gradients themselves must be differentiable.
        retain_graph : bool
            Whether there will be other gradients of the same outputs.
        """

    @abstractmethod
    def detach(self, x: Any) -> Any:
        """Return a result without what leads back to the inputs, if it would keep that."""

    def depends(self, gradient: Any) -> bool:
        """Tell whether `gradient`, made with ``create_graph``, depends on its cotangent."""
        return gradient is not None

    def opened(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return a block in which operations on `leaves` can run."""
        return nullcontext()

    def declared_at(self, x: Any) -> Source | None:
        """Return the user's line that made an array, where the executor knows it."""
        return None

    def rows(self, value: Any, inputs: Sequence[Any], create_graph: bool) -> Sequence[Any]:
        """Return the gradients of every element of `value`, stacked along axis 0, an input each."""
        rows = [
            self.gradients([value], inputs, [cotangent], "zero", create_graph, True)
            for cotangent in _basis(type_of(value))
        ]
        return [stack(list(column)) for column in zip(*rows, strict=True)]

    # the derivatives ----------------------------------------------------------------------------

    def value_and_grad(
        self,
        function: Callable[..., Any],
        argnums: int | Sequence[int] = 0,
        has_aux: bool = False,
        create_graph: bool = False,
        unused: str = "zero",
    ) -> Callable[..., Any]:
        """Return a function that gives the value of `function` and its gradients.

        Parameters
        ----------
        function : callable
            Its result, or the first of its results with `has_aux`, holds one number.
        argnums : int or sequence of int
            The arguments to differentiate with respect to; each may be a tree of arrays.
        has_aux : bool
            Whether the function returns ``(value, aux)``; then so does the new one, first.
        create_graph : bool
            Make the gradients differentiable. That is so anyway where the arguments themselves
            require a gradient, and in a declared graph.
        unused : {"zero", "none", "warn", "raise"}
            What to give for an argument without a path to the value.

        Returns
        -------
        callable
            ``(value, gradients)``; the gradients have the structure of the argument, in a tuple if
            `argnums` is a sequence.

        Raises
        ------
        NonScalarError
            If the value has several elements; raised by the new function, as the others are.
        NotDifferentiableError
            If one of the arguments is made of integers or booleans, or the value is complex.
        ArgumentError
            If there is no argument at one of `argnums`, or none of its values.

        Notes
        -----
        The gradient by complex numbers z = x + iy is dL/dx + i dL/dy, as in PyTorch: the direction
        of steepest ascent, so that z - rate * gradient descends. JAX's is its conjugate.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dg.value_and_grad(lambda x: dg.sum(x * x))(dg.tensor([1.0, 2.0]))
        (tensor(5.), tensor([2., 4.]))
        >>> import staticgraph as sg
        >>> graph = sg.trace(sg.value_and_grad(lambda x: sg.sum(x * x)), sg.TensorType((3,)))
        >>> graph.outputs
        [Node(sum: float32[]), Node(add: float32[3])]
        """
        require_callable("value_and_grad", function)
        require_policy(unused)
        several = not isinstance(argnums, int)
        positions = normalize_ints(argnums, "argnums")

        def run(*args: Any, **kwargs: Any) -> Any:
            tracked = self._tracked(args, positions)
            deep = create_graph or any(tracked)
            with self.recording(flatten(args)[0]):
                inputs = self._inputs(args, positions, tracked)
                result = function(*inputs.arguments, **kwargs)
                value, aux = self._split(result) if has_aux else (result, None)
                found = self.gradients([self._scalar(value)], inputs.leaves, None, unused, deep)
            trees = inputs.trees(found)
            value = value if deep else self.detach(value)
            return (value, aux) if has_aux else value, trees if several else trees[0]

        return _wrapping(run, function, "value_and_grad")

    def grad(
        self,
        function: Callable[..., Any],
        argnums: int | Sequence[int] = 0,
        has_aux: bool = False,
        create_graph: bool = False,
        unused: str = "zero",
    ) -> Callable[..., Any]:
        """Return a function that gives the gradients of `function`; see `value_and_grad`.

        With `has_aux` it gives ``(gradients, aux)``.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dg.grad(dg.grad(lambda x: x * x * x))(dg.tensor(2.0))
        tensor(12.)
        >>> import staticgraph as sg
        >>> second = sg.grad(sg.grad(lambda x: x * x * x))
        >>> sg.trace(second, sg.TensorType(())).outputs[0].type
        float32[]
        """
        run = self.value_and_grad(function, argnums, has_aux, create_graph, unused)

        def gradient(*args: Any, **kwargs: Any) -> Any:
            value, grads = run(*args, **kwargs)
            return (grads, value[1]) if has_aux else grads

        return _wrapping(gradient, function, "grad")

    def vjp(
        self, function: Callable[..., Any], *primals: Any
    ) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """Return the value of `function` and the function that pulls a cotangent back.

        Parameters
        ----------
        function : callable
            Its result is an array, or a tree of them.
        *primals : array or tree of array
            What it is called with.

        Returns
        -------
        value
        pull : callable
            ``pull(cotangent)`` gives a gradient for each of the primals, in a tuple; the cotangent
            is an array like the value, or a tree of them. With complex numbers it is the gradient
            of the real part of ``sum(conj(cotangent) * value)``, as in PyTorch: of a holomorphic
            function, the cotangent times the conjugate of the derivative. JAX conjugates neither.

        Examples
        --------
        >>> import dyngraph as dg
        >>> y, pull = dg.vjp(lambda x: x * x, dg.tensor([1.0, 2.0]))
        >>> pull(dg.tensor([1.0, 10.0]))
        (tensor([ 2., 40.]),)
        >>> import staticgraph as sg
        >>> with sg.Graph():
        ...     x = sg.placeholder("x", (2,))
        ...     y, pull = sg.vjp(lambda x: x * x, x)
        ...     pull(sg.ones((2,)))
        (Node(add: float32[2]),)
        """
        require_callable("vjp", function)
        positions = range(len(primals))
        tracked = self._tracked(primals, positions)
        deep = any(tracked)
        with self.recording(flatten(primals)[0]):
            inputs = self._inputs(primals, positions, tracked)
            value = function(*inputs.arguments)
        outputs, structure = flatten(value)
        for output in outputs:
            self._result(output, "vjp")

        def pull(cotangent: Any) -> tuple[Any, ...]:
            given = [None] * len(outputs) if cotangent is None else flatten(cotangent)[0]
            if len(given) != len(outputs):
                raise ArgumentError(
                    f"vjp: {len(given)} cotangents for {len(outputs)} results",
                    cause="each result has its own",
                    fix="pass a cotangent like the value: an array, or a tree of arrays",
                )
            further = deep or any(map(self.tracked, given))
            found = self.gradients(outputs, inputs.leaves, given, "zero", further, True)
            return inputs.trees(found)

        return value if deep else unflatten(structure, map(self.detach, outputs)), pull

    def jvp(self, function: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return the value of `function` and its derivative in the direction of `tangents`.

        It is the gradient of a gradient: the vjp is linear in its cotangent, and its transpose is
        the jvp. What only the first gradient needs is dead code in a declared graph, and does not
        run.

        Parameters
        ----------
        function : callable
            Its result is one array.
        primals, tangents : sequence of array
            The arguments, and a direction of the same shape for each; complex for complex ones.

        References
        ----------
        J. Townsend, A new trick for calculating Jacobian vector products, 2017.

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
        args = _listed(primals)
        positions = range(len(args))
        given = flatten(_listed(tangents))[0]
        tracked = self._tracked(args, positions)
        deep = any(tracked) or any(map(self.tracked, given))
        with self.recording([*flatten(args)[0], *given]):
            directions = [self.array(t) for t in given]
            inputs = self._inputs(args, positions, tracked)
            _require_directions(inputs.leaves, directions)
            value = self._result(function(*inputs.arguments), "jvp")
            dummy = self.input(self.full(type_of(value), 1), False)
            pulled = self.gradients([value], inputs.leaves, [dummy], "none", True)
            pairs = [(g, t) for g, t in zip(pulled, directions, strict=True) if self.depends(g)]
            if pairs:
                outputs, cotangents = zip(*pairs, strict=True)
                (tangent,) = self.gradients(outputs, [dummy], cotangents, "zero", deep)
            else:
                tangent = self.full(type_of(value), 0)
        return value if deep else self.detach(value), tangent

    def jacobian(
        self,
        function: Callable[..., Any],
        inputs: Any,
        create_graph: bool = False,
        holomorphic: bool = False,
    ) -> Any:
        """Return the derivative of every element of the value by every element of the inputs.

        Each element of the value takes a backward pass of its own; a declared graph holds a loop
        over them where there are many.

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

        Returns
        -------
        array or tuple of array
            Of shape ``value.shape + input.shape``, one an input.

        Raises
        ------
        NotDifferentiableError
            If the value is complex and the function is not said to be holomorphic, or is and has
            real inputs or a real value.

        Examples
        --------
        >>> import dyngraph as dg
        >>> dg.jacobian(lambda x: x * x, dg.tensor([1.0, 3.0]))
        tensor([[2., 0.],
                [0., 6.]])
        """
        require_callable("jacobian", function)
        single = not isinstance(inputs, (tuple, list))
        (blocks,) = self._jacobians(
            lambda *xs: (self._result(function(*xs), "jacobian"),),
            _listed(inputs),
            create_graph,
            holomorphic,
        )
        return blocks[0] if single else blocks

    def hessian(self, function: Callable[..., Any], inputs: Any) -> Any:
        """Return the second derivatives of a function that returns one number.

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
        xs = _listed(inputs)
        gradient = self.grad(function, tuple(range(len(xs))), create_graph=True)
        blocks = self._jacobians(gradient, xs, False)
        return blocks[0][0] if single else blocks

    # many examples ------------------------------------------------------------------------------

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

    # steps --------------------------------------------------------------------------------------

    def _jacobians(
        self,
        function: Callable[..., tuple[Any, ...]],
        args: tuple[Any, ...],
        create_graph: bool,
        holomorphic: bool = False,
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
            found = tuple([self._blocks(value, xs, deep) for value in values])
            if holomorphic:
                found = tuple([tuple(map(conjugated, blocks)) for blocks in found])
            return found

    def _blocks(self, value: Any, xs: Sequence[Any], deep: bool) -> tuple[Any, ...]:
        """Return the derivative of `value` by each of `xs`."""
        shapes = [(*value.shape, *x.shape) for x in xs]
        if not value.size:
            types = [TensorType(shape, x.dtype) for shape, x in zip(shapes, xs, strict=True)]
            return tuple([self.full(type, 0) for type in types])
        rows = self.rows(value, xs, deep)
        return tuple([row.reshape(shape) for row, shape in zip(rows, shapes, strict=True)])

    def _tracked(self, args: Sequence[Any], positions: Sequence[int]) -> list[bool]:
        """Tell of each value at `positions` whether it is tracked, before anything is recorded."""
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ArgumentError(
                    f"argnums names argument {position} of {len(args)}",
                    cause="arguments are counted from 0, by position",
                    fix="pass the argument by position, or change argnums",
                )
        return [self.tracked(x) for position in positions for x in flatten(args[position])[0]]

    def _inputs(
        self, args: Sequence[Any], positions: Sequence[int], tracked: list[bool]
    ) -> _Inputs:
        """Return the arguments with those at `positions` as arrays of their own.

        The same array may be passed twice, or be used by the function from outside: only its use as
        that argument counts.
        """
        inputs = _Inputs(list(args), [], [])
        flags = iter(tracked)
        for position in positions:
            values, structure = flatten(args[position])
            if not values:
                raise ArgumentError(
                    f"argument {position} is {args[position]!r}, which holds no array",
                    cause="a gradient is taken with respect to numbers",
                    fix="pass an array, or name another argument with argnums",
                )
            fresh = []
            for value, path in zip(values, leaf_paths(structure), strict=True):
                x = self.array(value)
                if x.dtype.kind not in FLOATING:
                    raise NotDifferentiableError(
                        f"argument {position}{path} has the type {type_of(x)}",
                        fix="cast it to float32 first, or leave it out of argnums",
                        related=self._declared(x),
                    )
                fresh.append(self.input(x, next(flags)))
            inputs.arguments[position] = unflatten(structure, fresh)
            inputs.leaves.extend(fresh)
            inputs.structures.append(structure)
        return inputs

    def _split(self, result: Any) -> tuple[Any, Any]:
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(
                f"has_aux: the function returned {self._shown(result)} and not (value, aux)",
                cause="with has_aux the value comes first and everything else second",
                fix="return (value, aux)",
            )
        return result

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, self.kind) and type_of(value).size == 1:
            self._result(value, "value_and_grad")
            if type_of(value).dtype.kind == "c":
                raise self._complex(value)
            return value
        raise NonScalarError(
            f"the function returned {self._shown(value)}",
            cause="a gradient is defined for a function that returns one number",
            fix="return a scalar such as sum(...), or use jacobian",
            related=self._declared(value),
        )

    def _result(self, value: Any, name: str) -> Any:
        """Return a value of the function that can be differentiated."""
        if not isinstance(value, self.kind):
            raise ArgumentError(
                f"{name}: the function returned {self._shown(value)}",
                cause="its result is differentiated, so it must be an array that it computed",
                fix="return an array, computed with the functions of the namespace",
            )
        if type_of(value).dtype.kind not in FLOATING:
            raise NotDifferentiableError(
                f"{name}: the function returned {self._shown(value)}",
                related=self._declared(value),
            )
        return value

    def _complex(self, value: Any) -> NotDifferentiableError:
        error = complex_value(self._shown(value))
        error.related = self._declared(value)
        return error

    def _shown(self, value: Any) -> str:
        found = type_of(value) if isinstance(value, self.kind) else type(value).__name__
        return f"a value of type {found}"

    def _declared(self, value: Any) -> tuple[tuple[str, Source | None], ...]:
        known = self.declared_at(value) if isinstance(value, self.kind) else None
        return () if known is None else (("declared", known),)


def _basis(type: TensorType) -> Iterator[Array]:
    """Yield every array of that type which is one at one element and zero elsewhere."""
    for index in np.ndindex(type.shape):
        array = np.zeros(type.shape, type.dtype)
        array[index] = 1
        yield array


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


def _listed(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def _require_directions(primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    if len(primals) != len(tangents):
        raise ArgumentError(
            f"jvp: {len(tangents)} tangents for {len(primals)} primals",
            cause="each primal moves along a tangent of its own",
            fix="pass one tangent a primal, zeros for those that stay",
        )
    for position, (x, t) in enumerate(zip(primals, tangents, strict=True)):
        if x.shape != t.shape:
            raise ShapeError(
                f"tangent {position} has shape {t.shape} and its primal {x.shape}",
                cause="a tangent is a direction in the space of its primal",
                fix="pass tangents of the primals' shapes",
            )


def _wrapping(run: Any, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return `run` with a name, and with the function in it: tracing guards what that reads."""
    run.__wrapped__ = function
    run.__name__ = f"{name}({getattr(function, '__name__', 'function')})"
    return run  # type: ignore[no-any-return]
