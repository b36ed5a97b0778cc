"""Functions of the user's that run when a gradient passes a node, and when a node saves a value."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from dyngraph.tape.grad_mode import special
from oplibrary.values.parameters import require_callable


class Removable:
    """Take a hook away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class SavedHooks(NamedTuple):
    """How values that nodes save are packed, and unpacked for the backward pass."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


class _Open(threading.local):
    hooks: tuple[SavedHooks, ...] = ()


_open = _Open()


def saved_hooks() -> SavedHooks | None:
    """Return what packs the values that nodes of this thread save, if anything does."""
    return _open.hooks[-1] if _open.hooks else None


class saved_tensors_hooks:
    """Keep, inside a ``with`` block, something else in place of each value that a node saves.

    Parameters
    ----------
    pack : callable
        ``pack(tensor)`` returns anything: a file's name, a tensor of a smaller dtype.
    unpack : callable
        ``unpack(packed)`` returns the tensor again, of the same shape and dtype, when the backward
        pass first reads what that node saved.

    Examples
    --------
    >>> import dyngraph as dg
    >>> x = dg.tensor([1.0, 2.0], requires_grad=True)
    >>> with dg.saved_tensors_hooks(lambda t: t.tolist(), dg.tensor):
    ...     y = dg.sum(dg.exp(x))
    >>> y.backward()
    >>> x.grad
    tensor([2.7183, 7.3891])
    """

    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
        require_callable("saved_tensors_hooks", pack, unpack)
        self._hooks = SavedHooks(pack, unpack)

    def __enter__(self) -> Self:
        _open.hooks += (self._hooks,)
        special.enter()
        return self

    def __exit__(self, *_: object) -> None:
        special.leave()
        _open.hooks = _open.hooks[:-1]
