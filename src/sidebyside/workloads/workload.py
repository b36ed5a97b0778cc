"""What a workload is: a program with its inputs, its sizes and what to differentiate."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from types import FrameType
from typing import Any

import numpy as np

from oplibrary.messages.errors import (
    ArgumentError,
    OutOfMemoryError,
    SideBySideError,
    WorkloadError,
)
from oplibrary.messages.source import Source, is_our_file
from oplibrary.messages.suggestion import did_you_mean
from oplibrary.values.dtypes import is_numeric
from oplibrary.values.tree import flatten
from oplibrary.values.types import Array

NAMESPACE = "xp"
"""The first parameter of a function that is written against a namespace."""


@dataclass(frozen=True)
class Splits:
    """Real data in two parts; every array has the examples along its first axis.

    Attributes
    ----------
    train, test : tuple of numpy.ndarray
        What follows the parameters in the workload's arguments, for all examples of the part.
    """

    train: tuple[Array, ...]
    test: tuple[Array, ...]


@dataclass(frozen=True)
class Training:
    """How the program of a workload is trained on real data.

    The workload then has ``wrt=(0,)`` and a learning rate: its first argument is the tree of
    parameters, and the arguments after it are one batch.

    Parameters
    ----------
    data : callable
        ``data() -> Splits``.
    parameters : callable
        ``parameters(rng) -> tree of ndarrays``, the initial parameters.
    accuracy : callable
        ``accuracy(xp, parameters, *arrays)``, the fraction of right answers, a scalar.
    epochs : int
    batch_size : int
        Examples of a step; what is left over at the end of an epoch is left out, so that every
        step has the same shapes.
    target : float
        Test accuracy that training must reach.
    seed : int
        Fixes the initial parameters and the order of the examples.
    """

    data: Callable[[], Splits]
    parameters: Callable[[np.random.Generator], Any]
    accuracy: Callable[..., Any]
    epochs: int
    batch_size: int
    target: float
    seed: int = 0

    def initial(self) -> Any:
        """Return the tree of initial parameters."""
        return self.parameters(np.random.default_rng(self.seed))

    def batches(self, arrays: tuple[Array, ...]) -> Iterator[tuple[Array, ...]]:
        """Yield the batches of all epochs, each epoch in a new order fixed by the seed."""
        count = len(arrays[0])
        for epoch in range(self.epochs):
            order = np.random.default_rng((self.seed, epoch)).permutation(count)
            for start in range(0, count - self.batch_size + 1, self.batch_size):
                chosen = order[start : start + self.batch_size]
                yield tuple(array[chosen] for array in arrays)


@dataclass(frozen=True)
class Workload:
    """A program written once, and what is needed to run it in any mode.

    Parameters
    ----------
    function : callable
        ``function(xp, *inputs) -> array or tuple of arrays``, where `xp` is any namespace of
        array functions: dyngraph, staticgraph, numpy, torch, jax.numpy.
    inputs : callable
        ``inputs(rng, size) -> tuple``, one entry an argument: an ndarray, or a tree of ndarrays.
    wrt : tuple of int
        Arguments whose gradients are part of a call. The function's first result is then the
        loss; if it has several elements, their sum is differentiated.
    sizes : tuple
        Each is passed to `inputs`, and measured apart.
    learning_rate : float, optional
        With it a call is a training step: it gives the loss and, in place of the gradients,
        ``parameter - learning_rate * gradient``.
    training : Training, optional
        How to train it on real data.
    name, title, description : str
    tolerance : float
        Largest difference from other libraries, relative to the largest element of a result.
        Between dynamic and static every bit must be the same, whatever this says.
    dynamic_only : bool
        Whether its native control flow depends on values, so that it cannot be declared.

    Raises
    ------
    WorkloadError
        If the parts do not fit together.

    Examples
    --------
    >>> workload = Workload(
    ...     lambda xp, x, w: (x + w) * (w + 1),
    ...     inputs=lambda rng, size: (np.float32([2.0]), np.float32([1.0])),
    ...     wrt=(0, 1),
    ...     name="seed",
    ... )
    >>> workload.make_inputs(None)
    (array([2.], dtype=float32), array([1.], dtype=float32))
    """

    function: Callable[..., Any]
    inputs: Callable[[np.random.Generator, Any], Any]
    wrt: tuple[int, ...] = ()
    sizes: tuple[Any, ...] = (None,)
    learning_rate: float | None = None
    training: Training | None = None
    name: str = ""
    title: str = ""
    description: str = ""
    tolerance: float = 1e-4
    dynamic_only: bool = False
    path: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        try:
            self._check()
        except WorkloadError as error:
            if error.source is not None and error.source.filename in _MADE_BY:
                error.source = _maker()  # not the line of the dataclass's own constructor
            raise

    def _check(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", "workload"))
        for field_name, found in (("function", self.function), ("inputs", self.inputs)):
            if not callable(found):
                raise WorkloadError(
                    f"workload {self.name!r}: {field_name} is a {type(found).__name__}",
                    cause="function(xp, *inputs) is the program, inputs(rng, size) its inputs",
                    fix=f"pass a function as {field_name}",
                )
        self._check_numbers()
        _check_takes(self.name, self.inputs, "inputs(rng, size)", ("a generator", "a size"))
        if not self.sizes:
            raise WorkloadError(
                f"workload {self.name!r} has no sizes",
                cause="each size is measured once",
                fix="leave sizes out if there is only one",
            )
        if self.learning_rate is not None and not self.wrt:
            raise WorkloadError(
                f"workload {self.name!r} has a learning rate and nothing to learn",
                cause="a training step changes the arguments that wrt names",
                fix="pass wrt=(0,), the position of the parameters",
            )
        if self.training is not None and (self.wrt != (0,) or self.learning_rate is None):
            raise WorkloadError(
                f"workload {self.name!r} cannot be trained",
                cause="training needs the parameters as the first argument, and a learning rate",
                fix="pass wrt=(0,) and learning_rate=...",
            )

    def _check_numbers(self) -> None:
        for position in self.wrt:
            if not isinstance(position, int):
                raise WorkloadError(
                    f"workload {self.name!r}: wrt holds {position!r}",
                    cause="wrt names arguments by position, from 0, without the namespace",
                    fix="pass integers, such as wrt=(0,)",
                )
        for option, value in (("tolerance", self.tolerance), ("learning_rate", self.learning_rate)):
            if value is not None and not (isinstance(value, (int, float)) and value >= 0):
                raise WorkloadError(
                    f"workload {self.name!r}: {option} is {value!r}",
                    cause="it is a number, zero or above",
                    fix=f"pass a number as {option}, or leave it out",
                )

    def parameters(self) -> tuple[str, ...]:
        """Return the names of what can be set beside inputs and sizes: see `with_parameter`."""
        return tuple(dict.fromkeys((*_own(self.function), *_own(self.inputs))))

    def with_parameter(self, name: str, value: Any) -> Workload:
        """Return the workload with a parameter of its own set.

        Parameters
        ----------
        name : str
            A parameter with a default, of the program, of `inputs`, or of both.
        value : any

        Raises
        ------
        ArgumentError
            If neither has such a parameter.

        Examples
        --------
        >>> def power(xp, x, *, steps=2):
        ...     y = x
        ...     for _ in range(steps - 1):
        ...         y = y * x
        ...     return y
        >>> cube = Workload(power, lambda rng, size: (np.ones(2),)).with_parameter("steps", 3)
        >>> cube.parameters(), cube.function(np, 2.0)
        ((), 8.0)
        """
        if name not in self.parameters():
            known = ", ".join(self.parameters())
            raise ArgumentError(
                f"workload {self.name!r} has no parameter {name!r}"
                f"{did_you_mean(name, self.parameters())}",
                cause="a parameter of its own has a default, in f(xp, *inputs) or inputs(rng, size)"
                + (f": here {known}" if known else ", and here none has"),
                fix="name one of them" if known else "give one of them such a parameter",
            )
        return replace(
            self,
            function=_with(self.function, name, value),
            inputs=_with(self.inputs, name, value),
        )

    def make_inputs(self, size: Any, seed: int = 0) -> tuple[Any, ...]:
        """Return the inputs of one size, always the same for a seed.

        Raises
        ------
        WorkloadError
            If `inputs` gives something else than a tuple of trees of ndarrays.
        OutOfMemoryError
            If they do not fit in memory.
        """
        try:
            made = self.inputs(np.random.default_rng(seed), size)
        except SideBySideError:
            raise
        except Exception as error:
            if _is_too_large(error):
                raise OutOfMemoryError(
                    f"workload {self.name!r}, size {size_label(size)}: {error}"
                ) from error
            if size in self.sizes:
                raise
            raise WorkloadError(
                f"workload {self.name!r} has no inputs of size {size_label(size)}: "
                f"{type(error).__name__}: {error}",
                cause="its function inputs(rng, size) failed with that size",
                fix=_sizes_to_choose(self.sizes),
            ) from None
        inputs = tuple(made) if isinstance(made, (tuple, list)) else (made,)
        for position, tree in enumerate(inputs):
            for leaf in flatten(tree)[0]:
                if not isinstance(leaf, (np.ndarray, np.generic)):
                    raise WorkloadError(
                        f"workload {self.name!r}: input {position} holds a {type(leaf).__name__}",
                        cause="inputs(rng, size) must give ndarrays, or trees of them, so that "
                        "every mode gets the same numbers",
                        fix="convert it with numpy.asarray, or fix it in the function",
                    )
                if not is_numeric(leaf.dtype):
                    raise WorkloadError(
                        f"workload {self.name!r}: input {position} holds elements of dtype "
                        f"{leaf.dtype}",
                        cause="elements are numbers or booleans in every mode",
                        fix="encode them as numbers in inputs(rng, size)",
                    )
        for position in self.wrt:
            if not 0 <= position < len(inputs):
                raise WorkloadError(
                    f"workload {self.name!r}: wrt names argument {position} of {len(inputs)}",
                    cause="inputs are counted from 0, without the namespace",
                    fix=f"choose from {', '.join(map(str, range(len(inputs)))) or 'none'}",
                )
        given = ("a namespace", *(f"input {position}" for position in range(len(inputs))))
        _check_takes(self.name, self.function, "f(xp, *inputs)", given)
        return inputs


def _sizes_to_choose(sizes: Sequence[Any]) -> str:
    known = ", ".join(filter(None, map(size_label, sizes)))
    return f"its own sizes are {known}" if known else "leave the size out: it has none of its own"


def _own(function: Callable[..., Any]) -> list[str]:
    """Return the parameters of a function that have defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some callables have none
        return []
    return [each.name for each in parameters if each.default is not inspect.Parameter.empty]


def _with(function: Callable[..., Any], name: str, value: Any) -> Callable[..., Any]:
    """Return a function with a parameter set, where it has one of that name."""
    if name not in _own(function):
        return function

    @wraps(function)
    def chosen(*arguments: Any, **others: Any) -> Any:
        return function(*arguments, **{name: value}, **others)

    signature = inspect.signature(function)
    others = [each for each in signature.parameters.values() if each.name != name]
    chosen.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
    return chosen


def takes_namespace(program: Any) -> bool:
    """Tell whether a function is written against a namespace: its first parameter is ``xp``."""
    try:
        parameters = list(inspect.signature(program).parameters)
    except (TypeError, ValueError):  # some callables have none
        return False
    return bool(parameters) and parameters[0] == NAMESPACE


_MADE_BY = ("<string>", dataclasses.__file__)
"""Where the constructor of a dataclass is, and what calls it to replace a field."""


def _maker() -> Source | None:
    """Return the place where a workload is made, outside this library and the dataclass."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not is_our_file(name) and name not in _MADE_BY:
            return Source(name, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


def _check_takes(name: str, function: Callable[..., Any], form: str, given: Sequence[str]) -> None:
    """Refuse a function that cannot be called with as many arguments as it will be.

    Raises
    ------
    WorkloadError
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables have none
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        code = getattr(function, "__code__", None)
        line = None
        if code is not None:
            line = Source(code.co_filename, code.co_firstlineno, code.co_name)
        called = getattr(function, "__name__", "the function")
        raise WorkloadError(
            f"workload {name!r}: {called}{signature} cannot be called as {form}: {error}",
            cause=f"it is called with {len(given)} arguments: {', '.join(given)}",
            fix=f"write it as {form}",
            source=line,
        ) from None


def _is_too_large(error: Exception) -> bool:
    """Tell whether NumPy refused a size: it does so in several ways."""
    if isinstance(error, MemoryError):
        return True
    said = ("array is too big", "Maximum allowed dimension exceeded")
    return isinstance(error, ValueError) and any(text in str(error) for text in said)


def size_label(size: Any) -> str:
    """Return a size as a person writes it: ``4,000,000``, ``512x512``.

    Examples
    --------
    >>> size_label(4_000_000), size_label((512, 512)), size_label(None)
    ('4,000,000', '512x512', '')
    """
    if size is None:
        return ""
    if isinstance(size, int):
        return f"{size:,}"
    if isinstance(size, (tuple, list)):
        return "x".join(str(part) for part in size)
    return str(size)
