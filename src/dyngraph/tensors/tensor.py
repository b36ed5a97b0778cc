"""The dynamic value: an array, and the node that made it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dyngraph.tape.detachment import Detachment
from dyngraph.tape.hooks import Removable
from dyngraph.tape.nodes import AccumulateGrad, GradFn, extra_of
from dyngraph.tape.versions import version_of
from oplibrary.core.registry import REGISTRY
from oplibrary.executors.numpy.protocols import call_ufunc
from oplibrary.executors.operators import ArrayOperators
from oplibrary.messages.errors import (
    ArgumentError,
    DTypeError,
    InPlaceError,
    NonScalarError,
    NotDifferentiableError,
    out_of_memory,
)
from oplibrary.values.data import copy_of, to_dlpack
from oplibrary.values.dtypes import FLOATING, is_bfloat16
from oplibrary.values.types import Array, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    # a generated stub alone: what `dyngraph.methods` puts into the class, as it needs rooms above
    from dyngraph.tensors.tensor_methods import TensorMethods
else:
    TensorMethods = ArrayOperators


class Tensor(TensorMethods):
    """An array that knows which operation made it.

    Use `tensor` to make one from data. Operators and methods run at once; where an operand requires
    a gradient the result's `grad_fn` records the operation.

    Attributes
    ----------
    grad : Tensor or None
        What ``backward()`` accumulated; only leaves keep one, unless ``retain_grad()`` was called.
    """

    __slots__ = ("__weakref__", "_array", "_detachment", "_node", "_parent", "_views")

    _array: Array
    _node: GradFn | AccumulateGrad | None
    # the three below are set only where they are needed
    _parent: tuple[Tensor, Any, dict[str, Any]]  # of a view: whose, by which op, with which attrs
    _views: list[weakref.ref[Tensor]]
    _detachment: Detachment

    # what it is -------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self._array.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward()`` reaches this tensor; settable on leaves."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user and not by a recorded operation."""
        return not isinstance(self._node, GradFn)

    @property
    def grad_fn(self) -> GradFn | None:
        """The node of the operation that made this tensor; None for leaves."""
        return self._node if isinstance(self._node, GradFn) else None

    @property
    def _version(self) -> int:
        return version_of(self._array)

    # getting values out ---------------------------------------------------------------------------

    def numpy(self) -> Array:
        """Return the elements as an array that shares memory with this tensor.

        Raises
        ------
        NotDifferentiableError
            If the tensor requires a gradient, which NumPy would lose without a word.
        """
        if self._node is not None:
            raise NotDifferentiableError(
                "NumPy cannot keep the graph of a tensor that requires a gradient",
                cause="gradients would stop here without a word",
                fix="use tensor.detach().numpy() for the numbers, or dyngraph's own functions",
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        return np.array(array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            return call_ufunc(ufunc, inputs)
        from oplibrary.executors.numpy.ufuncs import call_ufunc_with

        return call_ufunc_with(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from oplibrary.executors.numpy.functions import call_function

        return call_function(function, args, kwargs)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        return to_dlpack(
            self.numpy(), stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def item(self, *index: Any) -> Any:
        """Return the only element as a Python number.

        Raises
        ------
        NonScalarError
            If there is not exactly one.
        ArgumentError
            If an index is passed, as NumPy's ``item`` takes it.
        """
        if index:
            shown = ", ".join(map(repr, index))
            flat = len(index) != len(self.shape)
            element = f"x{'.flatten()' if flat else ''}[{shown}]" if self.shape else "x"
            raise ArgumentError(
                f"item({shown}) of a tensor of shape {self.shape}",
                cause="item() takes no index here: it is for a tensor of one element",
                fix=f"write {element}.item()",
            )
        if self._array.size != 1:
            raise NonScalarError(
                f"one number asked of a tensor of shape {self.shape}",
                cause=f"it holds {self._array.size} elements",
                fix="index or reduce it first, or use tolist()",
            )
        return self._array.item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        try:
            return self._array.tolist()
        except MemoryError as error:
            raise out_of_memory(error, "tolist") from None

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise NonScalarError(
                f"the truth value of a tensor of shape {self.shape} is ambiguous",
                cause="each element has its own",
                fix="use .any() or .all(), or where(condition, a, b)",
            )
        return bool(self._array.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        if self._node is not None:
            _announce_number_taken(sys._getframe(1))
        return float(self.item())

    def __complex__(self) -> complex:
        if self._node is not None:
            _announce_number_taken(sys._getframe(1))
        return complex(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iu" or self._array.size != 1:
            raise DTypeError(
                f"a tensor {TensorType(self.shape, self.dtype)} is not an index",
                cause="an index is one integer",
                fix="convert it with int(...)",
            )
        return int(self._array.item())

    def __len__(self) -> int:
        if not self._array.ndim:
            raise DTypeError("a 0-d tensor has no length", cause="it has no axes", fix="use .size")
        return int(self._array.shape[0])

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self._array.ndim else str(self)

    def __repr__(self) -> str:
        from dyngraph.tensors import printing

        return printing.format_tensor(self._array, self._node)

    def _repr_html_(self) -> str:
        from dyngraph.tensors import printing

        return printing.tensor_html(self._array, self._node)

    def _require_leaf(self, done: str) -> None:
        if isinstance(self._node, GradFn):
            raise NotDifferentiableError(
                f"a tensor with a graph cannot be {done}",
                cause=f"it was made by {self._node.describe()}, and the recorded operations "
                "stay where they are",
                fix="use tensor.detach(), which has no graph, or clone(), through which "
                "gradients flow",
            )

    def __reduce__(self) -> Any:
        self._require_leaf("pickled")
        return _leaf, (self._array, self._node is not None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._require_leaf("copied deeply")
        again = _leaf(copy_of(self._array, "deepcopy"), self._node is not None)
        if self.is_leaf and self.grad is not None:
            again.grad = tensor_of(copy_of(self.grad._array, "deepcopy"))
        memo[id(self)] = again
        return again

    # graph ------------------------------------------------------------------------------------

    def requires_grad_(self, flag: bool = True) -> Tensor:
        """Ask for a gradient, or no longer, and return this tensor.

        Raises
        ------
        NotDifferentiableError
            If the dtype is neither a floating-point nor a complex one.
        ArgumentError
            If the tensor is not a leaf and `flag` is False.
        """
        if flag:
            if self._node is None:
                if self._array.dtype.kind not in FLOATING:
                    raise NotDifferentiableError(
                        f"a tensor of dtype {self._array.dtype} cannot require a gradient",
                        cause="only floating-point and complex values have gradients",
                        fix='make it floating-point first, for example dtype="float32"',
                    )
                self._node = AccumulateGrad(TensorType(self._array.shape, self._array.dtype))
        elif isinstance(self._node, GradFn):
            raise ArgumentError(
                "requires_grad can be switched off only on leaves",
                cause=f"this tensor was made by {self._node.describe()}",
                fix="use detach()",
            )
        else:
            self._node = None
        return self

    def detach(self) -> Tensor:
        """Return a tensor that shares the elements and has no graph."""
        out = Tensor()
        out._array = self._array
        out._node = None
        if self._node is not None:
            out._detachment = Detachment("detach()")
        return out

    def detach_(self) -> Tensor:
        """Drop this tensor's graph and return it.

        Raises
        ------
        InPlaceError
            If the tensor is a view, whose graph is that of its base.
        """
        if self._node is not None and hasattr(self, "_parent"):
            raise InPlaceError(
                "detach_() on a view",
                cause="a view shares its graph with its base",
                fix="use detach(), which gives another tensor",
            )
        if self._node is not None:
            self._detachment = Detachment("detach_()")
        self._node = None
        return self

    def clone(self) -> Tensor:
        """Return a copy; gradients flow through it."""
        return REGISTRY["clone"](self)  # type: ignore[no-any-return]

    def contiguous(self) -> Tensor:
        """Return this tensor, copied only if its elements are not in C order."""
        return self if self._array.flags.c_contiguous else self.clone()

    def _memory(self) -> Array:
        return self._array

    def _part(self, copy: Tensor) -> Tensor:
        copy._array.flags.writeable = False
        return copy

    @contextmanager
    def _read_only(self) -> Iterator[None]:
        """Refuse in-place changes, those through views made meanwhile as well, for a block."""
        flags = self._array.flags
        writeable = flags.writeable
        flags.writeable = False
        try:
            yield
        finally:
            if writeable:
                flags.writeable = True

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor although it is not a leaf.

        Raises
        ------
        NotDifferentiableError
            If the tensor does not require a gradient.
        """
        if self._node is None:
            raise NotDifferentiableError(
                "retain_grad() on a tensor that does not require a gradient",
                cause="no gradient will reach it",
                fix="create an input with requires_grad=True",
            )
        if isinstance(self._node, GradFn):
            extra_of(self._node).retained = True

    @property
    def retains_grad(self) -> bool:
        """Whether ``retain_grad()`` was called on this non-leaf tensor."""
        node = self._node
        return isinstance(node, GradFn) and node.extra is not None and node.extra.retained

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Removable:
        """Call `hook` with this tensor's gradient in each backward pass.

        Parameters
        ----------
        hook : callable
            ``hook(grad)`` returns None, or the gradient to go on with.

        Returns
        -------
        Removable
            Its ``remove()`` takes the hook away again.
        """
        if not callable(hook):
            raise ArgumentError(
                f"register_hook was given a {type(hook).__name__}",
                cause="a hook is a function that is called with the gradient",
                fix="write x.register_hook(lambda grad: ...)",
            )
        if self._node is None:
            raise NotDifferentiableError(
                "a hook on a tensor that does not require a gradient",
                cause="no gradient will reach it",
                fix="create an input with requires_grad=True",
            )
        hooks = extra_of(self._node).hooks
        hooks.append(hook)
        return Removable(hooks, hook)

    def _remember_view(self, view: Tensor) -> None:
        try:
            views = self._views
        except AttributeError:
            views = self._views = []
        views.append(weakref.ref(view))
        if len(views) & (len(views) - 1) == 0:  # at each power of two, forget the dead ones
            views[:] = [ref for ref in views if ref() is not None]


def tensor_of(array: Array, node: GradFn | AccumulateGrad | None = None) -> Tensor:
    """Return the tensor that holds `array` itself, made by `node`."""
    out = Tensor()
    out._array = array
    out._node = node
    return out


def _leaf(array: Array, requires_grad: bool) -> Tensor:
    is_bfloat16(array.dtype)  # notes it: a pickle may bring the first one
    out = tensor_of(array)
    return out.requires_grad_() if requires_grad else out


def _announce_number_taken(frame: FrameType) -> None:
    from dyngraph.tensors.lost_numbers import announce_number_taken

    announce_number_taken(frame)
