"""Whether operations record themselves: gradient mode and anomaly mode, a thread at a time."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from common.errors import ArgumentError


class _Mode(threading.local):
    recording = True
    anomaly = False
    recorder: list[Any] | None = None


class _Special:
    """How many threads are in a mode other than the usual one.

    The hot path reads this one number; only where it is not zero does it look at the thread's own
    mode, which costs ten times as much.
    """

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()

    def enter(self) -> None:
        with self.lock:
            self.count += 1

    def leave(self) -> None:
        with self.lock:
            self.count -= 1


_mode = _Mode()
special = _Special()


def is_grad_enabled() -> bool:
    """Tell whether operations of this thread record themselves."""
    return special.count == 0 or _mode.recording


def is_anomaly_enabled() -> bool:
    """Tell whether this thread looks for NaN in gradients."""
    return special.count != 0 and _mode.anomaly


@contextlib.contextmanager
def collect_nodes(into: list[Any]) -> Iterator[None]:
    """Enter every node that this thread records into a list."""
    before = _mode.recorder
    _mode.recorder = into
    special.enter()
    try:
        yield
    finally:
        special.leave()
        _mode.recorder = before


def recorder() -> list[Any] | None:
    """Return the list that nodes are collected in, if there is one."""
    return _mode.recorder


class _Setting:
    """Set one field of the thread's mode inside a ``with`` block or a decorated function."""

    _field = "recording"
    _value = False

    def __init__(self, function: Any = None) -> None:
        if function is not None:
            raise ArgumentError(
                f"{type(self).__name__} was given a {type(function).__name__}",
                cause="it is made first, and decorates or guards then",
                fix=f"write @{type(self).__name__}() with its parentheses",
            )
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(getattr(_mode, self._field))
        special.enter()
        setattr(_mode, self._field, self._value)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        setattr(_mode, self._field, self._before.pop())
        special.leave()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(function):
            raise ArgumentError(
                f"{type(self).__name__}() was called with a {type(function).__name__}",
                cause="it decorates a function, or stands in a with statement",
                fix=f"write `with {type(self).__name__}():`, or put it above a def",
            )

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)._again(self):
                return function(*args, **kwargs)

        return wrapped

    def _again(self) -> _Setting:
        return type(self)()


class no_grad(_Setting):
    """Record nothing inside a ``with`` block or a decorated function.

    Examples
    --------
    >>> import dyngraph as dg
    >>> x = dg.tensor([1.0], requires_grad=True)
    >>> with dg.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """


class inference_mode(no_grad):
    """Record nothing: the same as `no_grad`, under the name PyTorch gives it for inference."""


class enable_grad(_Setting):
    """Record again inside a `no_grad` block."""

    _value = True


class set_grad_enabled(_Setting):
    """Record or not, by a flag, inside a ``with`` block or a decorated function.

    Parameters
    ----------
    mode : bool
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._value = bool(mode)

    def _again(self) -> _Setting:
        return type(self)(self._value)


class detect_anomaly(_Setting):
    """Name the operation whose gradient became NaN, and the line that ran it.

    Every operation remembers its line inside the block, which makes it slower. Run the forward and
    the backward pass inside.

    Raises
    ------
    AnomalyError
        From ``backward()``, at the first gradient that holds NaN.
    """

    _field = "anomaly"
    _value = True
