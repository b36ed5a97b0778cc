"""Reverse mode: value_and_grad, grad and vjp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.executors.autodiff import require_policy
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.arguments import normalize_ints
from oplibrary.transforms.differentiation import Differentiation, wrapping
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten, unflatten


class ReverseMode(Differentiation):
    """Gradients: the function runs, then its operations from the last to the first."""

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

        return wrapping(run, function, "value_and_grad")

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

        return wrapping(gradient, function, "grad")

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
