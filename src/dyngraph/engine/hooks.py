"""Hooks on nodes, as in PyTorch: what runs before a node pulls, after it, and after a leaf adds.

A node with hooks is given a class of its own whose `pull` runs them, so that one without costs
nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from dyngraph.tape.grad_mode import no_grad
from dyngraph.tape.hooks import Removable, SavedHooks
from dyngraph.tape.nodes import AccumulateGrad, Dropped, GradFn, TapeNode, extra_of
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.executors.autodiff import conjugated
from oplibrary.messages.errors import ArgumentError, NotDifferentiableError
from oplibrary.values.types import Array, type_of

Gradients = tuple[Tensor | None, ...]


def _require_hook(name: str, hook: Any, form: str) -> None:
    if not callable(hook):
        raise ArgumentError(
            f"{name} was given a {type(hook).__name__}",
            cause="a hook is a function that is called in the backward pass",
            fix=f"write {form}",
        )


def _tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else tensor_of(np.asarray(g))


def _tensors(gradients: Sequence[Any]) -> Gradients:
    return tuple([None if g is None else conjugated(_tensor(g)) for g in gradients])


def _replaced(name: str, given: Gradients, result: Any, symbolic: bool) -> list[Any]:
    """Return what a hook gave in place of the gradients `given`, as the backward pass has them."""
    listed = result if isinstance(result, tuple) else (result,)
    fits = len(listed) == len(given) and all(map(_fits, listed, given))
    if not fits:
        shown = ", ".join(
            repr(type_of(x)) if isinstance(x, Tensor) else type(x).__name__ for x in listed
        )
        wanted = ", ".join("None" if x is None else repr(type_of(x)) for x in given)
        raise ArgumentError(
            f"{name}: the hook returned ({shown}) for the gradients ({wanted})",
            cause="a hook returns None, or a tuple of tensors like the gradients it got",
            fix="return one tensor a gradient, of its shape, and None where there is none",
        )
    inner = [x if x is None else conjugated(x) for x in listed]
    return [x if x is None or symbolic else x._array for x in inner]


def _fits(new: Any, old: Tensor | None) -> bool:
    """Tell whether a gradient may take the place of another."""
    if new is None or old is None:
        return new is None
    return isinstance(new, Tensor) and new.shape == old.shape


# before and after a node pulls ----------------------------------------------------------------


def _register_hook(self: TapeNode, hook: Callable[[Gradients, Gradients], Any]) -> Removable:
    """Call `hook` in each backward pass after this node has computed its gradients.

    Parameters
    ----------
    hook : callable
        ``hook(grad_inputs, grad_outputs)`` gets two tuples: the gradients of the operation's
        operands, None where there is none, and those of its results. It returns None, or a tuple
        to go on with in place of the first. At a leaf the first tuple is empty, and the gradient
        has been added.

    Returns
    -------
    Removable
        Its ``remove()`` takes the hook away again.
    """
    form = "grad_fn.register_hook(lambda grad_inputs, grad_outputs: None)"
    _require_hook("register_hook", hook, form)
    return _added(self, extra_of(self).after, hook)


def _register_prehook(self: TapeNode, hook: Callable[[Gradients], Any]) -> Removable:
    """Call `hook` in each backward pass before this node computes its gradients.

    Parameters
    ----------
    hook : callable
        ``hook(grad_outputs)`` gets the gradients of the operation's results in a tuple, and returns
        None, or a tuple to go on with.

    Returns
    -------
    Removable
        Its ``remove()`` takes the hook away again.
    """
    _require_hook("register_prehook", hook, "grad_fn.register_prehook(lambda grad_outputs: None)")
    return _added(self, extra_of(self).before, hook)


def _added(node: TapeNode, hooks: list[Any], hook: Any) -> Removable:
    hooks.append(hook)
    if isinstance(node, GradFn) and not isinstance(node, _Hooked):
        kind: Any = type(node)
        node.__class__ = _hooked_type(kind)
    return Removable(hooks, hook)


class _Hooked:
    """Marks the node classes whose `pull` runs hooks."""

    __slots__ = ()


@cache
def _hooked_type(plain: type[GradFn]) -> type[GradFn]:
    """Return a class of nodes like `plain` whose `pull` runs the hooks of its node."""

    def pull(self: Any, g: Any, out: Any, operands: tuple[Any, ...]) -> Sequence[Any]:
        g = run_before(self, g)
        return _run_after(self, plain.pull(self, g, out, operands), g)

    members = {"__slots__": (), "pull": pull, "__module__": plain.__module__}
    return type(plain.__name__, (plain, _Hooked), members)


def run_before(node: Any, g: Any) -> Any:
    """Return the gradient that arrived at `node` after its pre-hooks."""
    for hook in tuple(node.extra.before):
        parts = node.parts(g)
        given = _tensors(parts)
        result = hook(given)
        if result is not None:
            symbolic = any(isinstance(part, Tensor) for part in parts)
            g = node.joined(_replaced("register_prehook", given, result, symbolic))
    return g


def _run_after(node: Any, grads: Sequence[Any], g: Any) -> Sequence[Any]:
    for hook in tuple(node.extra.after):
        given = _tensors(grads)
        result = hook(given, _tensors(node.parts(g)))
        if result is not None:
            symbolic = any(isinstance(part, Tensor) for part in (*grads, *node.parts(g)))
            grads = _replaced("register_hook", given, result, symbolic)
    return grads


# at a leaf ------------------------------------------------------------------------------------


def run_accumulated(node: AccumulateGrad, g: Any) -> None:
    """Run the hooks of a leaf to which `g` was added."""
    extra = node.extra
    assert extra is not None
    for hook in tuple(extra.after):
        hook((), (_tensor(g),))
    for added in tuple(extra.accumulated):
        added()


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Removable:
    """Call `hook` with this leaf in each backward pass, when its ``grad`` is complete.

    Parameters
    ----------
    hook : callable
        ``hook(leaf)`` may update the leaf and set its ``grad`` to None, so that no two gradients
        need exist at once. Nothing is recorded while it runs. What it returns is not used.

    Returns
    -------
    Removable
        Its ``remove()`` takes the hook away again.

    Raises
    ------
    NotDifferentiableError
        If the tensor is no leaf that requires a gradient.
    """
    form = "x.register_post_accumulate_grad_hook(lambda x: None)"
    _require_hook("register_post_accumulate_grad_hook", hook, form)
    node = self._node
    if not isinstance(node, AccumulateGrad):
        raise NotDifferentiableError(
            "a post-accumulate hook on a tensor that is no leaf"
            if node is not None
            else "a post-accumulate hook on a tensor that does not require a gradient",
            cause="only leaves that require a gradient accumulate one",
            fix="create the tensor with requires_grad=True; register_hook() is for any tensor",
        )
    leaf = weakref.ref(self)  # weak, as the tensor keeps the node

    def run() -> None:
        tensor = leaf()
        if tensor is not None:
            with no_grad():
                hook(tensor)

    hooks = extra_of(node).accumulated
    hooks.append(run)
    return Removable(hooks, run)


# what a node saves ----------------------------------------------------------------------------


def pack_saved(node: GradFn, hooks: SavedHooks) -> None:
    """Let `node`, just recorded, keep what `hooks` pack in place of its arrays."""
    assert node.operands is not None
    if not node.saved():
        return
    out, *operands = [_packed(hooks, x) for x in (node.out, *node.operands)]
    reference = weakref.ref(node)  # weak, since the node will keep `restore`

    def restore() -> None:
        again = reference()
        if again is not None:
            again.out = out()
            again.operands = tuple([find() for find in operands])

    node.out = Dropped(restore)
    node.operands = None


def packed_array(hooks: SavedHooks, array: Array) -> Callable[[], Array]:
    """Pack `array` and return what unpacks it.

    Raises
    ------
    ArgumentError
        When it is unpacked, if that gives something else.
    """
    type_ = type_of(array)
    with no_grad():
        kept = hooks.pack(tensor_of(array))

    def unpack() -> Array:
        with no_grad():
            again = hooks.unpack(kept)
        if not isinstance(again, Tensor) or type_of(again) != type_:
            shown = repr(type_of(again)) if isinstance(again, Tensor) else type(again).__name__
            raise ArgumentError(
                f"saved_tensors_hooks: unpack returned {shown} for a saved {type_}",
                cause="gradients are computed with what it returns in place of the saved value",
                fix="return a tensor of the shape and dtype that pack was given",
            )
        return again._array

    return unpack


def _packed(hooks: SavedHooks, saved: Any) -> Callable[[], Any]:
    if isinstance(saved, np.ndarray):
        return packed_array(hooks, saved)
    return lambda: saved


def _install() -> None:
    for kind in (GradFn, AccumulateGrad):
        setattr(kind, "register_hook", _register_hook)  # noqa: B010
        setattr(kind, "register_prehook", _register_prehook)  # noqa: B010


_install()
