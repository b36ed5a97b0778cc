"""Whether operations record themselves: gradient mode and anomaly mode, a thread at a time."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Self

from oplibrary.messages.errors import ArgumentError


class _Mode(threading.local):
    recording = True
    anomaly = False
    blocks = 0  # with statements that this thread is in
    statements = 0  # calls of set_grad_enabled that count this thread as special
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

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if args and inspect.isroutine(args[0]):  # a decorator without parentheses
            return cls()(args[0])
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        if args:
            raise ArgumentError(
                f"{type(self).__name__} was given a {type(args[0]).__name__}",
                cause="it takes no argument but the function that it decorates",
                fix=f"write `with {type(self).__name__}():`, or put it above a def",
            )
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(getattr(_mode, self._field))
        special.enter()
        _mode.blocks += 1
        setattr(_mode, self._field, self._value)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        setattr(_mode, self._field, self._before.pop())
        _mode.blocks -= 1
        special.leave()
        if _mode.statements and not _mode.blocks and _mode.recording:
            _settle()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(function):
            raise ArgumentError(
                f"{type(self).__name__}() was called with a {type(function).__name__}",
                cause="it decorates a function, or stands in a with statement",
                fix=f"write `with {type(self).__name__}():`, or put it above a def",
            )
        if inspect.isgeneratorfunction(function):
            return self._generator(function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return wrapped

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with the mode set while it runs, and not where it waits."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            step = functools.partial(next, generator)
            while True:
                try:
                    with self._again():
                        value = step()
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield value
                    step = functools.partial(generator.send, sent)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    step = functools.partial(generator.throw, error)

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


class inference_mode(_Setting):
    """Record nothing: the same as `no_grad`, under the name PyTorch gives it for inference.

    Parameters
    ----------
    mode : bool
        False records, as `enable_grad` does.
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._value = not _flag(mode, "inference_mode")

    def _again(self) -> _Setting:
        return type(self)(not self._value)


class enable_grad(_Setting):
    """Record again inside a `no_grad` block."""

    _value = True


class set_grad_enabled(_Setting):
    """Record or not, by a flag: from now on, or inside a ``with`` block or a decorated function.

    Parameters
    ----------
    mode : bool

    Examples
    --------
    >>> import dyngraph as dg
    >>> x = dg.tensor([1.0], requires_grad=True)
    >>> _ = dg.set_grad_enabled(False)
    >>> (x * 2).requires_grad
    False
    >>> _ = dg.set_grad_enabled(True)
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._value = _flag(mode, "set_grad_enabled")
        self._earlier = _mode.recording
        special.enter()
        _mode.statements += 1
        _mode.recording = self._value
        if self._value and not _mode.blocks:
            _settle()

    def __enter__(self) -> Self:
        _mode.recording = self._earlier  # a block has the mode inside only
        return super().__enter__()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` as one that runs in this mode."""
        _mode.recording = self._earlier
        return super().__call__(function)

    def _again(self) -> _Setting:
        return enable_grad() if self._value else no_grad()


def _settle() -> None:
    """Count this thread out again, whose statements have brought it back to the usual mode."""
    for _ in range(_mode.statements):
        special.leave()
    _mode.statements = 0


def _flag(mode: Any, name: str) -> bool:
    if isinstance(mode, bool):
        return mode
    raise ArgumentError(
        f"{name} was given a {type(mode).__name__}",
        cause="it switches recording on or off",
        fix=f"write {name}(True) or {name}(False)",
    )


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
