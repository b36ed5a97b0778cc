"""What derivatives of functions need of an executor, and what they ask of arguments and results.

A function takes arrays of its executor, or nested tuples, lists and dicts of them, and gives such.
An executor derives from `oplibrary.transforms.derivatives.Transforms` and says how it makes what is
differentiated, and how it differentiates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from oplibrary.executors.autodiff import complex_value
from oplibrary.messages.errors import ArgumentError, NonScalarError, NotDifferentiableError
from oplibrary.messages.source import Source
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.tree import Structure, flatten, leaf_paths, unflatten
from oplibrary.values.types import TensorType, type_of


class Inputs(NamedTuple):
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


class Differentiation(ABC):
    """What an executor says, and what every derivative begins and ends with."""

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
    def push(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        tangents: Sequence[Any],
        create_graph: bool,
        transpose: Callable[..., list[Any]],
    ) -> Sequence[Any]:
        """Return the tangent of each output, None for one that does not depend on the inputs.

        Parameters
        ----------
        outputs, inputs : sequence of array
            As of `gradients`.
        tangents : sequence of array
            Of each input, in its shape and dtype.
        create_graph : bool
            Whether the tangents themselves must be differentiable.
        transpose : callable
            What to do where an operation has no rule; see `ForwardMode._transposed`.
        """

    @abstractmethod
    def detach(self, x: Any) -> Any:
        """Return a result without what leads back to the inputs, if it would keep that."""

    def depends(self, gradient: Any) -> bool:
        """Tell whether `gradient`, made with ``create_graph``, depends on its cotangent."""
        return gradient is not None

    def reverse_only(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> bool:
        """Tell whether something between the inputs and the outputs cannot push tangents."""
        raise NotImplementedError

    def not_linear(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> str | None:
        """Return the name of an operation between the two that is not linear, or None.

        What the executor knows no rule of, such as a function of the user's, counts as linear.
        """
        raise NotImplementedError

    # functions with derivatives of their own; see `oplibrary.transforms.custom_call`

    def isolated(self, x: Any) -> Any:
        """Return the value of `x` as one of its own, for a function with its own derivative."""
        raise NotImplementedError

    def moment(self) -> Any:
        """Return what tells later operations from earlier ones, for `attached`."""
        raise NotImplementedError

    def attached(
        self,
        results: Sequence[Any],
        inputs: Sequence[Any],
        kept: Sequence[Any],
        custom: Any,
        moment: Any,
    ) -> Sequence[Any]:
        """Return results whose derivatives by the inputs are what `custom` says.

        Parameters
        ----------
        results : sequence of array
            What was computed, of `isolated` inputs.
        inputs : sequence of array
        kept : sequence of array
            What `custom` is given again when a gradient is pulled.
        custom : CustomCall
        moment
            When the computation began: what is read of earlier values is from outside.

        Raises
        ------
        InPlaceError
            If an input was overwritten meanwhile.
        """
        raise NotImplementedError

    def symbolic(self, x: Any) -> bool:
        """Tell whether each run chooses how many elements `x` has."""
        return False

    def opened(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return a block in which operations on `leaves` can run."""
        return nullcontext()

    def declared_at(self, x: Any) -> Source | None:
        """Return the user's line that made an array, where the executor knows it."""
        return None

    # steps --------------------------------------------------------------------------------------

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

    def _inputs(self, args: Sequence[Any], positions: Sequence[int], tracked: list[bool]) -> Inputs:
        """Return the arguments with those at `positions` as arrays of their own.

        The same array may be passed twice, or be used by the function from outside: only its use as
        that argument counts.
        """
        inputs = Inputs(list(args), [], [])
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


def listed(values: Any) -> tuple[Any, ...]:
    """Return several values, or one, as a tuple."""
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def wrapping(run: Any, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return `run` with a name, and with the function in it: tracing guards what that reads."""
    run.__wrapped__ = function
    run.__name__ = f"{name}({getattr(function, '__name__', 'function')})"
    return run  # type: ignore[no-any-return]
