"""Operations whose gradient the user writes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from dyngraph.engine.apply import annotate
from dyngraph.engine.hooks import packed_array
from dyngraph.engine.inplace import continue_from
from dyngraph.tape import versions
from dyngraph.tape.grad_mode import is_grad_enabled, no_grad, special
from dyngraph.tape.hooks import saved_hooks
from dyngraph.tape.nodes import AccumulateGrad, Freed, GradFn, TapeNode, tick
from dyngraph.tape.versions import storage_of
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.executors.autodiff import conjugated
from oplibrary.messages.errors import (
    ArgumentError,
    InPlaceError,
    NotDifferentiableError,
    ShapeError,
)
from oplibrary.ops.elementwise import cast
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array, TensorType

_Kept = Array | Callable[[], Array] | None
"""A saved array, or what unpacks it: see `dyngraph.saved_tensors_hooks`."""


class Context:
    """What ``forward`` leaves for ``backward``.

    Any attribute may be set on it.

    Attributes
    ----------
    needs_input_grad : tuple of bool
        For each argument of ``forward``, whether its gradient is wanted.
    saved_tensors : tuple of Tensor or None
        What ``save_for_backward`` was given.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        # each with the node that leads on from it, or the position it has among the results
        self._arrays: tuple[tuple[_Kept, TapeNode | int | None], ...] = ()
        self._owner: weakref.ref[FunctionGradFn] | None = None
        self._not_differentiable: set[int] = set()
        self._dirty: set[int] = set()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep `tensors`, arguments or results of ``forward``, for ``backward``."""
        self._saved = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that no gradient flows from these results."""
        self._not_differentiable = {id(t) for t in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that ``forward`` changed these arguments in place; they must be results, too."""
        self._dirty = {id(t) for t in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether ``backward`` gets zeros, or None, for results that led nowhere."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved, on the graph so that second derivatives work."""
        tensors: list[Tensor | None] = []
        for array, node in self._arrays:
            if isinstance(node, int):
                owner = self._owner() if self._owner is not None else None
                node = None if owner is None else OutputGradFn.of(owner, node)
            if array is not None and not isinstance(array, np.ndarray):
                array = array()
            tensors.append(None if array is None else tensor_of(array, node))
        return tuple(tensors)


class Gradients:
    """The gradients of several results, on their way to one node."""

    __slots__ = ("parts",)

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    def __add__(self, other: Gradients) -> Gradients:
        merged = dict(self.parts)
        for index, g in other.parts.items():
            merged[index] = merged[index] + g if index in merged else g
        return Gradients(merged)


class FunctionGradFn(GradFn):
    """One application of a `Function`."""

    __slots__ = ("context", "output_types")
    function: ClassVar[type[Function]]
    context: Context
    output_types: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]

    def saved(self) -> list[Array]:
        """Return the arrays that ``backward`` will read."""
        return [array for array, _ in self.context._arrays if isinstance(array, np.ndarray)]

    def parts(self, g: Any) -> list[Any]:
        """Return the gradient of each result, None where none arrived."""
        return [g.parts.get(index) for index in range(len(self.output_types))]

    def joined(self, parts: list[Any]) -> Gradients:
        """Return the gradients of the results as one."""
        return Gradients({i: part for i, part in enumerate(parts) if part is not None})

    def describe(self) -> str:
        """Return the function's name."""
        return self.function.__name__

    def free(self, freed: Freed) -> None:
        """Let go of the saved arrays, if there are any."""
        if self.context._arrays:
            self.context._arrays = ()
            self.out = freed
            self.operands = None

    def pull(self, g: Any, out: Any, operands: tuple[Any, ...]) -> list[Any]:
        """Return what the user's ``backward`` gives."""
        symbolic = is_grad_enabled()  # else nobody goes on from what is computed here
        cotangents: list[Tensor | None] = []
        for index, (shape, dtype) in enumerate(self.output_types):
            part = g.parts.get(index)
            if part is None and not self.context._materialize:
                cotangents.append(None)
                continue
            if part is None:
                part = np.zeros(shape, dtype)
            cotangents.append(conjugated(part if isinstance(part, Tensor) else tensor_of(part)))
        result = self.function.backward(self.context, *cotangents)
        grads = list(result) if isinstance(result, tuple) else [result]
        if len(grads) != len(self.edges):
            raise ArgumentError(
                f"{self.function.__name__}.backward returned {len(grads)} gradients for "
                f"{len(self.edges)} arguments of forward",
                cause="there is one gradient for each argument, None where it has none",
                fix="return one value for each argument of forward, in order",
            )
        checked: list[Any] = []
        for position, (grad, edge) in enumerate(zip(grads, self.edges, strict=True)):
            if grad is None or edge is None:
                checked.append(None)
                continue
            grad = grad if isinstance(grad, Tensor) else tensor_of(np.asarray(grad))
            assert self.operands is not None
            wanted = self.operands[position]
            if grad.shape != wanted.shape:
                raise ShapeError(
                    f"{self.function.__name__}.backward returned shape {grad.shape} for argument "
                    f"{position} of shape {wanted.shape}",
                    cause="a gradient has the shape of its argument",
                    fix="sum over the axes that broadcasting added",
                )
            if grad.dtype != wanted.dtype:
                grad = cast(grad, dtype=wanted.dtype)
            grad = conjugated(grad)
            checked.append(grad if symbolic else grad._array)
        return checked

    def push(
        self,
        tangents: Sequence[Any],
        out: Any,
        operands: tuple[Any, ...],
        transpose: Callable[..., list[Any]],
    ) -> Any:
        """Return the tangent of each result: by the user's ``jvp``, or by ``backward``."""
        if self.function.jvp is None:
            types = [TensorType(shape, dtype) for shape, dtype in self.output_types]
            return transpose(types, tangents)
        result = self.function.jvp(self.context, *tangents)
        found = list(result) if isinstance(result, tuple) else [result]
        if len(found) != len(self.output_types):
            raise ArgumentError(
                f"{self.function.__name__}.jvp returned {len(found)} tangents for "
                f"{len(self.output_types)} results",
                cause="there is one tangent for each result, None for one that does not move",
                fix="return one value for each result of forward, in order",
            )
        for position, (tangent, (shape, dtype)) in enumerate(
            zip(found, self.output_types, strict=True)
        ):
            if tangent is None:
                continue
            if tuple(tangent.shape) != tuple(shape):
                raise ShapeError(
                    f"{self.function.__name__}.jvp returned shape {tangent.shape} for result "
                    f"{position} of shape {shape}",
                    cause="a tangent has the shape of its result",
                    fix="broadcast it to the shape of the result",
                )
            if tangent.dtype != dtype:
                found[position] = cast(tangent, dtype=dtype)
        return found


class OutputGradFn(GradFn):
    """One result of a `Function`: it sends its gradient to the function's node."""

    __slots__ = ("index",)
    index: int
    saves = False

    @classmethod
    def of(cls, node: GradFn, index: int) -> OutputGradFn:
        """Return the node of the result at `index` of a function's node."""
        output = cls()
        output.edges = (node,)
        output.out = None
        output.operands = ()
        output.extra = None
        output.index = index
        output.sequence = tick()
        return output

    def describe(self) -> str:
        """Return the function's name."""
        return str(self.edges[0].describe())

    def name(self) -> str:
        """Return the function's name with ``Backward``."""
        return str(self.edges[0].name())

    def pull(self, g: Any, out: Any, operands: tuple[Any, ...]) -> list[Any]:
        """Pass the gradient on, marked with the result it belongs to."""
        return [Gradients({self.index: g})]

    def push(
        self,
        tangents: Sequence[Any],
        out: Any,
        operands: tuple[Any, ...],
        transpose: Callable[..., list[Any]],
    ) -> Any:
        """Return the tangent of this result."""
        (of_all,) = tangents
        return None if of_all is None else of_all[self.index]


class Function:
    """An operation with a gradient of its own; subclass it.

    ``forward(ctx, *args)`` computes with tensors that record nothing; ``backward(ctx, *grads)``
    gets the gradient of each result and returns one for each argument, None where there is none.
    Written with dyngraph's operations, ``backward`` can be differentiated again. Call ``apply``.
    In forward mode ``jvp(ctx, *tangents)`` gives the tangent of each result; without it,
    ``backward`` is differentiated by its argument.

    Examples
    --------
    >>> import dyngraph as dg
    >>> class Double(dg.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = dg.tensor([1.0], requires_grad=True)
    >>> Double.apply(x)
    tensor([2.], grad_fn=<DoubleBackward>)
    """

    _node_type: ClassVar[type[FunctionGradFn]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._node_type = type(
            f"{cls.__name__}Backward", (FunctionGradFn,), {"__slots__": (), "function": cls}
        )

    @staticmethod
    def forward(ctx: Context, *args: Any) -> Any:
        """Compute the result, or a tuple of results."""
        raise ArgumentError(
            "this Function has no forward",
            cause="forward computes the result, and each operation has its own",
            fix="subclass Function and define the static method forward(ctx, *args)",
        )

    setup_context: ClassVar[Callable[..., None] | None] = None
    """``setup_context(ctx, args, result)``, where ``forward(*args)`` is written without a ctx."""

    @staticmethod
    def backward(ctx: Context, *grads: Any) -> Any:
        """Compute the gradient of each argument."""
        raise NotDifferentiableError(
            "this Function has no backward",
            cause="its forward ran on a tensor that requires a gradient",
            fix="define the static method backward(ctx, *grads), or detach() the argument",
        )

    jvp: ClassVar[Callable[..., Any] | None] = None
    """``jvp(ctx, *tangents)``: the tangent of each result, given those of the arguments or None."""

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the function and record it."""
        edges = tuple(x._node if isinstance(x, Tensor) else None for x in args)
        context = Context(tuple(edge is not None for edge in edges))
        started = versions.latest[0]
        with no_grad():
            if cls.setup_context is None:
                result = cls.forward(context, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(context, args, result)
        several = isinstance(result, tuple)
        outputs = result if several else (result,)
        for output in outputs:
            if not isinstance(output, Tensor):
                raise ArgumentError(
                    f"{cls.__name__}.forward returned a {type(output).__name__}",
                    cause="the results must be tensors",
                    fix="wrap arrays in dyngraph.tensor(...)",
                )
        recording = is_grad_enabled() and any(context.needs_input_grad)
        if recording:
            cls._check_changes(context, args, outputs, started)
            fresh = tuple(_fresh(output, args, context) for output in outputs)
            node = cls._node_type()
            node.edges = edges
            node.operands = tuple(
                TensorType(x.shape, x.dtype) if isinstance(x, Tensor) else None for x in args
            )
            node.out = None
            node.extra = None
            node.context = context
            node.output_types = tuple((t.shape, t.dtype) for t in outputs)
            node.sequence = tick()
            if special.count:
                annotate(node)
            context._arrays = _saved(context._saved, args, outputs)
            context._owner = weakref.ref(node)
            for index, (output, out) in enumerate(zip(outputs, fresh, strict=True)):
                if out.dtype.kind in FLOATING and id(output) not in context._not_differentiable:
                    continue_from(out, OutputGradFn.of(node, index))
        else:
            fresh = tuple(tensor_of(output._array) for output in outputs)
        context._saved = ()
        return fresh if several else fresh[0]

    @classmethod
    def _check_changes(
        cls, context: Context, args: tuple[Any, ...], outputs: tuple[Tensor, ...], started: int
    ) -> None:
        """Refuse changes of arguments that ``forward`` does not admit to, or must not make."""
        if versions.latest[0] == started:
            return
        for position, x in enumerate(args):
            if not isinstance(x, Tensor) or versions.change_after(x._array, started) is None:
                continue
            what = f"{cls.__name__}.forward changed argument {position} in place"
            if id(x) not in context._dirty or not any(output is x for output in outputs):
                raise InPlaceError(
                    what,
                    cause="gradients of what else was computed from it would be wrong",
                    fix="clone() it first, or call ctx.mark_dirty(x) and return it",
                )
            if isinstance(x._node, AccumulateGrad) or hasattr(x, "_parent"):
                raise InPlaceError(
                    f"{what}, which is a {'view' if hasattr(x, '_parent') else 'leaf'}",
                    cause="its own value is needed, or other tensors share its elements",
                    fix="pass x.clone()",
                )


def _fresh(output: Tensor, args: tuple[Any, ...], context: Context) -> Tensor:
    """Return the Tensor that gets the new graph; it shares memory with no argument."""
    if id(output) in context._dirty:
        return output
    owner = storage_of(output._array)
    shared = any(isinstance(x, Tensor) and storage_of(x._array) is owner for x in args)
    return tensor_of(output._array.copy() if shared else output._array)


def _saved(
    saved: tuple[Any, ...], args: tuple[Any, ...], outputs: tuple[Any, ...]
) -> tuple[tuple[_Kept, TapeNode | int | None], ...]:
    """Return each saved tensor as its array and how to lead on from it.

    A saved result leads to the very node that saves it; it is kept as its position, so that the
    tape stays free of cycles.
    """
    kept: list[tuple[_Kept, TapeNode | int | None]] = []
    hooks = saved_hooks()

    def keep(array: Array) -> _Kept:
        return array if hooks is None else packed_array(hooks, array)

    for x in saved:
        position = next((i for i, output in enumerate(outputs) if output is x), None)
        if x is None:
            kept.append((None, None))
        elif position is not None and not any(a is x for a in args):
            kept.append((keep(x._array), position))
        else:
            kept.append((keep(x._array), x._node))
    return tuple(kept)
