"""The nodes of the dynamic graph: what each operation leaves behind for the backward pass.

A node holds arrays, edges and attributes, never Tensors, so a tape has no reference cycles and is
freed at once when the last Tensor that leads to it is gone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from oplibrary.core.op import Op, Rule
from oplibrary.executors.autodiff import fit
from oplibrary.messages.source import Place, Source
from oplibrary.values.types import Array, TensorType

if TYPE_CHECKING:
    from dyngraph.tape.hooks import Removable

tick = itertools.count(1).__next__
"""Number operations and in-place changes in the order in which they happen."""


class Extra:
    """What few nodes have: hooks, a retained gradient, the line of the operation.

    Attributes
    ----------
    hooks : list of callable
        ``hook(grad)`` may return another gradient.
    before, after : list of callable
        The node's own hooks: see `dyngraph.engine.hooks`.
    accumulated : list of callable
        Run when a leaf has added a gradient.
    retained : bool
        Whether ``retain_grad`` was called.
    grad : Tensor or None
        The retained gradient.
    source : Source or None
        The user's line, known in anomaly mode.
    """

    __slots__ = ("accumulated", "after", "before", "grad", "hooks", "retained", "source")

    def __init__(self) -> None:
        self.hooks: list[Callable[[Any], Any]] = []
        self.before: list[Callable[[Any], Any]] = []
        self.after: list[Callable[[Any, Any], Any]] = []
        self.accumulated: list[Callable[[], Any]] = []
        self.retained = False
        self.grad: Any = None
        self.source: Source | None = None


class Freed:
    """Stands in a node for what an earlier backward pass, at `place`, freed."""

    __slots__ = ("place",)

    def __init__(self, place: Place | None) -> None:
        self.place = place


class Dropped:
    """Stands in a node for what a checkpoint dropped, and brings it back."""

    __slots__ = ("restore",)

    def __init__(self, restore: Callable[[], None]) -> None:
        self.restore = restore


class AccumulateGrad:
    """The end of the tape at a leaf: it adds what arrives to ``leaf.grad``.

    Attributes
    ----------
    type : TensorType
        Of the leaf, and of its gradient.
    grad : Tensor or None
    sequence : int
        Smaller than that of any operation on the leaf.
    """

    __slots__ = ("__weakref__", "extra", "grad", "sequence", "type")
    if TYPE_CHECKING:  # `dyngraph.engine.hooks` puts them here
        register_hook: Callable[[Any], Removable]
        register_prehook: Callable[[Any], Removable]

    is_leaf: ClassVar[bool] = True
    next_functions: ClassVar[tuple[()]] = ()

    def __init__(self, type: TensorType) -> None:
        self.type = type
        self.grad: Any = None
        self.sequence = tick()
        self.extra: Extra | None = None

    def name(self) -> str:
        """Return the node's name as PyTorch spells it."""
        return "AccumulateGrad"

    def parts(self, g: Any) -> list[Any]:
        """Return the gradients that `g`, which arrived here, stands for: itself."""
        return [g]

    def joined(self, parts: list[Any]) -> Any:
        """Return the gradient that stands for `parts`."""
        return parts[0]


class GradFn:
    """One recorded operation.

    Attributes
    ----------
    edges : tuple
        For each operand the node that its gradient goes to, or None.
    out : ndarray, TensorType or None
        The result, where a rule reads it.
    operands : tuple
        For each operand its array, its type or None, as the rules need.
    types : tuple of TensorType or None
        The operands' types, kept where an operand's gradient may need summing or casting.
    attrs : mapping
    sequence : int
    extra : Extra or None
    """

    __slots__ = ("__weakref__", "edges", "extra", "operands", "out", "sequence")
    if TYPE_CHECKING:  # `dyngraph.engine.hooks` puts them here
        register_hook: Callable[[Any], Removable]
        register_prehook: Callable[[Any], Removable]

    is_leaf: ClassVar[bool] = False
    op: ClassVar[Op]
    types: ClassVar[Any] = None
    attrs: ClassVar[Mapping[str, Any]] = {}
    saves: ClassVar[bool] = True
    push: Callable[..., Any]  # `dyngraph.engine.forward` puts it here

    edges: tuple[Any, ...]  # of GradFn, AccumulateGrad or None
    extra: Extra | None
    operands: tuple[Any, ...] | None
    out: Any
    sequence: int

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that this node's gradients go to, in PyTorch's format."""
        return tuple((edge, 0) for edge in self.edges)

    def name(self) -> str:
        """Return the node's name as PyTorch spells it, such as ``AddBackward0``."""
        return type(self).__name__

    def saved(self) -> list[Array]:
        """Return the arrays that the gradient rules will read."""
        return [x for x in (self.out, *(self.operands or ())) if hasattr(x, "strides")]

    def pull(self, g: Any, out: Any, operands: tuple[Any, ...]) -> Sequence[Any]:
        """Return the gradient of each operand, None where there is no edge.

        Parameters
        ----------
        g : ndarray or Tensor
            The gradient of the result.
        out, operands
            As the attributes of the same name, as arrays or as Tensors.
        """
        op, attrs, types = self.op, self.attrs, self.types
        grads: list[Any] = []
        for position, edge in enumerate(self.edges):
            if edge is None:
                grads.append(None)
                continue
            if op.arity is None:
                grad = op.rules[0].rule(position, g, out, *operands, **attrs)  # type: ignore[union-attr]
            else:
                grad = op.rules[position].rule(g, out, *operands, **attrs)  # type: ignore[union-attr]
            grads.append(grad if types is None else fit(grad, types[position]))
        return grads

    def parts(self, g: Any) -> list[Any]:
        """Return the gradients of the results that `g`, which arrived here, stands for."""
        return [g]

    def joined(self, parts: list[Any]) -> Any:
        """Return what stands for `parts`, the gradients of the results."""
        return parts[0]

    def free(self, freed: Freed) -> None:
        """Let go of the saved arrays; not called where `saves` is False."""
        self.out = freed
        self.operands = None

    def describe(self) -> str:
        """Return the op's name, for messages."""
        return self.op.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


class UnaryGradFn(GradFn):
    """An elementwise operation of one operand, whose gradient needs no fitting."""

    __slots__ = ()


class BinaryGradFn(GradFn):
    """An elementwise operation of two operands."""

    __slots__ = ("types",)
    types: tuple[TensorType, ...] | None  # type: ignore[misc]


def _unary_pull(rule: Rule) -> Callable[..., tuple[Any, ...]]:
    """Return the `GradFn.pull` of an op of one operand with this rule."""

    def pull(self: UnaryGradFn, g: Any, out: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        return (rule(g, out, operands[0]),)

    return pull


def _binary_pull(x_rule: Rule | None, y_rule: Rule | None) -> Callable[..., tuple[Any, ...]]:
    """Return the `GradFn.pull` of an op of two operands with these rules."""

    def pull(self: BinaryGradFn, g: Any, out: Any, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        x, y = operands
        x_edge, y_edge = self.edges
        x_grad = None if x_edge is None or x_rule is None else x_rule(g, out, x, y)
        y_grad = None if y_edge is None or y_rule is None else y_rule(g, out, x, y)
        if self.types is not None:
            x_type, y_type = self.types
            x_grad = None if x_grad is None else fit(x_grad, x_type)
            y_grad = None if y_grad is None else fit(y_grad, y_type)
        return x_grad, y_grad

    return pull


class GeneralGradFn(GradFn):
    """Any operation."""

    __slots__ = ("attrs", "types")
    types: tuple[TensorType, ...] | None  # type: ignore[misc]
    attrs: Mapping[str, Any]  # type: ignore[misc]


TapeNode = GradFn | AccumulateGrad


def extra_of(node: TapeNode) -> Extra:
    """Return the `Extra` of `node`, made if there is none yet."""
    if node.extra is None:
        node.extra = Extra()
    return node.extra


def grad_fn_type(op: Op, base: type[GradFn]) -> type[GradFn]:
    """Return the node class of `op`, named as PyTorch names it: ``mul`` gives ``MulBackward0``."""
    spelling = op.alias[0] if op.alias else op.name
    name = "".join(part.capitalize() for part in spelling.split("_")) + "Backward0"
    saves = any(
        rule is not None
        and bool({"value", "complex", "others"} & {rule.out, *rule.operands, rule.rest})
        for rule in op.rules
    )
    members: dict[str, Any] = {"__slots__": (), "op": op, "saves": saves, "__module__": __name__}
    rules = [None if rule is None else rule.rule for rule in op.rules]
    if base is UnaryGradFn and rules and rules[0] is not None:
        members["pull"] = _unary_pull(rules[0])
    elif base is BinaryGradFn and any(rules):
        members["pull"] = _binary_pull(*rules)
    return type(name, (base,), members)
