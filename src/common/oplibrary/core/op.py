"""The op record: everything the system knows about one operation, in one place.

Executors, passes and backends read the fields of an `Op`; none of them knows any op by name.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.dispatch import ENTRIES, executor_of
from oplibrary.core.expression import ATTRIBUTE, OPERAND, Expression, parse_expression
from oplibrary.core.refusals import explain
from oplibrary.messages.call_errors import written
from oplibrary.messages.errors import ArgumentError
from oplibrary.messages.suggestion import argument_meant
from oplibrary.values.types import Shape, TensorType

Rule = Callable[..., Any]

_NO_CONSTANTS = frozenset({list, np.ndarray, *[np.dtype(code).type for code in "?bBhHiIlLqQefdFD"]})
"""What is passed as an attribute and is not kept as one."""

_ANY_WAY, _NAMED = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY


class Kind(enum.Enum):
    """What an op does to its elements; all that a compiler pass may ask of it."""

    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    MOVEMENT = "movement"
    CONTRACTION = "contraction"
    INDEXING = "indexing"
    CREATION = "creation"
    CONTROL = "control"
    OPAQUE = "opaque"


class Example(NamedTuple):
    """Sample operands of an op: they feed its tests, documentation and benchmarks.

    Each operand is a shape, drawn from the op's domain, or an array used as it is.
    """

    operands: tuple[Shape | np.ndarray[Any, Any], ...]
    attrs: Mapping[str, Any]


def example(*operands: Shape | np.ndarray[Any, Any], **attrs: Any) -> Example:
    """Describe a sample call, as in ``example((3, 4), (4,), axis=0)``."""
    return Example(operands, attrs)


class Option(NamedTuple):
    """An argument of a call that is no attribute: something is done around the op for it.

    Attributes
    ----------
    default : Any
        What a call that leaves it out means.
    before : callable
        ``before(x, value)`` returns the first operand to run on.
    after : callable, optional
        ``after(result, value, x)`` returns the result; `x` is the first operand as it was passed.
    """

    default: Any
    before: Callable[[Any, Any], Any] | None = None
    after: Callable[[Any, Any, Any], Any] | None = None


class OperandRule(NamedTuple):
    """The gradient rule of one operand and what it reads.

    Attributes
    ----------
    rule : callable
        ``rule(g, out, *operands, **attrs)`` returns the gradient of that operand, in the shape of
        the result where broadcasting enlarged the operand; the engine sums it back.
    out : str
        What the rule reads of the result: ``"value"``, ``"type"``, ``""`` or ``"complex"``, the
        value if it is complex.
    operands : tuple of str
        The same for each operand; for a variadic op, for those that the rule names.
    rest : str
        What a variadic op's rule reads of the operands that it does not name; ``"others"`` is the
        values of all but the one whose gradient it gives.
    """

    rule: Rule
    out: str
    operands: tuple[str, ...]
    rest: str = ""

    def needs(self, position: int, count: int) -> tuple[str, ...]:
        """Return what the gradient of the operand at `position` reads of each of `count`."""
        named = self.operands[:count]
        if len(named) == count:
            return named
        rest = "value" if self.rest == "others" else self.rest
        needs = [*named, *[rest] * (count - len(named))]
        if self.rest == "others" and position >= len(named):
            needs[position] = "type"
        return tuple(needs)


def _need(name: str) -> str:
    if name.startswith("_"):
        return ""
    if name.endswith("_if_complex"):
        return "complex"
    return "type" if name.endswith(("_type", "_types")) else "value"


def _positional(rule: Rule) -> tuple[list[str], str]:
    """Return the names of the positional parameters, and that of ``*rest`` or an empty string."""
    if isinstance(rule, FunctionType):  # what `inspect` says of it, in a tenth of the time
        code = rule.__code__
        count = code.co_argcount
        has_rest = code.co_flags & inspect.CO_VARARGS
        rest = code.co_varnames[count + code.co_kwonlyargcount] if has_rest else ""
        return list(code.co_varnames[:count]), rest
    parameters = inspect.signature(rule).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names, "".join([p.name for p in parameters if p.kind is p.VAR_POSITIONAL])


def _operand_rule(rule: Rule, variadic: bool) -> OperandRule:
    names, rest = _positional(rule)
    _, out, *operands = names[1:] if variadic else names
    need = rest if rest == "others" else _need(rest or "_")
    return OperandRule(rule, _need(out), tuple(map(_need, operands)), need)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Op:
    """Describe one operation, whole.

    Calling the record runs the op in whichever mode its operands belong to: NumPy arrays run the
    kernel, a dynamic Tensor runs and records, a static Node declares.

    Parameters
    ----------
    name : str
        The array API standard's spelling, where it has one.
    kind : Kind
    arity : int or None
        Number of operands; None if any number.
    kernel : callable
        ``kernel(*operands, **attrs)`` on NumPy arrays. With `takes_out` it accepts the array to
        write as one more positional argument after the operands.
    infer : callable
        ``infer(*types, **attrs) -> TensorType``: the one rule for shape and dtype and the one
        author of the error text. It takes any operands that have a type.
    vjp : tuple of callable or callable or None
        One rule an operand (None where not differentiable), ``rule(g, out, *operands, **attrs)``;
        a variadic op has a single ``rule(position, g, out, *operands, **attrs)``. The parameter
        names say what the rule reads: a plain name reads the value, ``x_type`` only its
        `TensorType`, ``x_if_complex`` the value where it is complex, ``_x`` nothing (else None is
        passed). Executors keep no more than that. The
        variadic rule may end in ``*xs``, which follows the same convention; ``*others`` reads the
        values of the other operands and the type of the one whose gradient it gives.
        Rules call ops and operators only, so they run on arrays, Tensors and Nodes alike.
    jvp : callable, optional
        ``jvp(push)`` returns the tangent of the result, given a `oplibrary.tangents.families.Push`;
        None where its kind says how, or where the gradient rule is transposed. A rule reads no
        more of the call than the gradient rules do.
    attrs : mapping of str to default
        Attributes in the order in which they may be passed by position; ``...`` means required.
    options : mapping of str to Option
        Further arguments, by name only, such as ``dtype`` of a sum: what they ask for is done
        before and after the op runs, by other ops, so executors and passes never see them.
    by_name : int
        How many of the last attributes are passed by name alone.
    expr : str
        The scalar expression, for code generation; every elementwise op has one. It is parsed
        here, once, into the tree `expression`, which is what others read.
    combine : str
        Of a reduction that does nothing else: how two elements become one, ``"add"``,
        ``"multiply"``, ``"max"``, ``"min"``, ``"and"`` or ``"or"``. The operand is converted to the
        result's dtype first.
    contraction : callable, optional
        Of a contraction that is an einsum: ``contraction(*types, **attrs)`` returns its explicit
        subscripts, one letter an axis, such as ``"ij,jk->ik"``. An axis of length 1 broadcasts.
    selection : callable, optional
        Of an op that selects by index arrays: ``selection(*types, **attrs)`` returns subscripts
        like those of an einsum, in which each ``@`` stands for an axis that the next index array
        selects from: ``"@d,b->bd"`` takes rows. On the right it adds into zeros: ``"bd,b->@d"``.
        On both sides it replaces elements of the first operand by those of the second, the last
        of those that go to one place: ``"@d,bd,b->@d"``. Empty where the op does something else
        with operands of these types.
    routine : callable or str, optional
        Of an op that goes through whole arrays in an order of its own: ``routine(types, result,
        attrs)`` returns its machine code, an `oplibrary.machine.routines.routine.Routine`. It may
        be named, ``"module:function"``, so that it is loaded only where machine code is made.
    lowering : callable, optional
        ``lowering(*operands, **attrs)`` makes the same value, up to rounding, of simpler ops: what
        a compiler may use in place of the kernel. None where it cannot.
    alias : tuple of str
        Other spellings, PyTorch's first; the first one also names the tape's node.
    commutative : bool
        Whether operands may change places, if the result is real: it keeps every bit but the
        payload of a NaN. Of two zeros `maximum` gives one by its place, and products of complex
        numbers round by it.
    unit : float, optional
        ``u`` with ``op(x, u) == x`` for every `x`, bit for bit.
    takes_out : bool
    view : bool
        The result shares memory with the first operand.
    effect : bool
        The kernel does something besides computing, such as printing: it is to run whenever it is
        reached, once, and in the order declared among its like. The result has the elements of the
        first operand.
    control : callable, optional
        Of an op that runs regions: ``control(**attrs)`` describes in which order, for a backend
        that makes loops and branches of its own in place of the kernel.
    batch : callable, optional
        ``batch(rows)`` runs the op on a row for each of many examples, given a
        `oplibrary.core.batching.Rows`; None where its kind says how, or where it is run row by
        row.
    projection : bool
        The op takes the result that the attribute ``index`` names out of those of another op.
    refuse : callable, optional
        Raises where the values of operands that are known are refused, whatever the others are:
        ``refuse(types, values)``, with None for what is not known. So what the kernel would refuse
        in every run is refused when it is declared.
    symmetric : bool
        The first operand is read as symmetric (Hermitian) matrices, from one triangle; its gradient
        is that among such matrices, and symmetric itself.
    domain : tuple of float
        Open interval that sample operands are drawn from.
    kinks : tuple of float
        Points where the op is not differentiable; samples keep away from them.
    examples : tuple of Example
    operand_names : tuple of str
    public : bool
        Whether namespaces offer it; others only serve rules, operators and compositions.
    namespaces : tuple of str
        Those that offer it: ``""`` is the main one, ``"linalg"`` the one below it of that name.
    doc : str

    Attributes
    ----------
    run : callable
        What executors call on arrays: `kernel`, or what makes machine code of this record and runs
        that; see `oplibrary.executors.kernels.set_kernels`.
    """

    name: str
    kind: Kind
    arity: int | None
    kernel: Callable[..., Any]
    infer: Callable[..., TensorType]
    vjp: tuple[Rule | None, ...] | Rule | None = None
    jvp: Callable[..., Any] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    by_name: int = 0
    expr: str = ""
    combine: str = ""
    contraction: Callable[..., str] | None = None
    selection: Callable[..., str] | None = None
    routine: Callable[..., Any] | str | None = None
    lowering: Callable[..., Any] | None = None
    alias: tuple[str, ...] = ()
    commutative: bool = False
    unit: float | None = None
    takes_out: bool = False
    view: bool = False
    effect: bool = False
    control: Callable[..., Any] | None = None
    batch: Callable[..., Any] | None = None
    projection: bool = False
    symmetric: bool = False
    refuse: Callable[..., None] | None = None
    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[float, ...] = ()
    examples: tuple[Example, ...] = ()
    operand_names: tuple[str, ...] = ()
    public: bool = True
    namespaces: tuple[str, ...] = ("",)
    doc: str = ""
    run: Callable[..., Any] = field(init=False)
    rules: tuple[OperandRule | None, ...] = field(init=False, default=())
    expression: Expression | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "run", self.kernel)
        if self.vjp is None:
            rules: tuple[OperandRule | None, ...] = ()
        elif self.arity is None:
            assert callable(self.vjp)
            rules = (_operand_rule(self.vjp, True),)
        else:
            assert isinstance(self.vjp, tuple) and len(self.vjp) == self.arity, self.name
            rules = tuple(None if rule is None else _operand_rule(rule, False) for rule in self.vjp)
        object.__setattr__(self, "rules", rules)
        if self.expr:
            object.__setattr__(self, "expression", self._parsed())
        if not self.operand_names and self.arity:
            names = ("x", "y", "z")[: self.arity] if self.arity <= 3 else ()
            object.__setattr__(
                self, "operand_names", names or tuple(f"x{i}" for i in range(self.arity))
            )

    def _parsed(self) -> Expression:
        """Return the tree of the scalar expression.

        Raises
        ------
        ArgumentError
            If it is none, or reads an operand or attribute that the op has not.
        """
        known: dict[str, Iterable[Any]] = {ATTRIBUTE: self.attrs}
        if self.arity is not None:
            known[OPERAND] = range(self.arity)
        try:
            expression = parse_expression(self.expr)
            for leaf in expression.leaves():
                if leaf.value not in known.get(leaf.operator, (leaf.value,)):
                    raise ValueError(f"the op has no {leaf!r}")
        except ValueError as error:
            raise ArgumentError(
                f"{self.name}: the scalar expression {self.expr!r}: {error}",
                cause="machine code, costs and other formats are made of it, where the op is made",
                fix='write Python of {0}, {1} and {name of an attribute}: expr="{0} + {1}"',
            ) from None
        return expression

    @property
    def qualified_name(self) -> str:
        """What it is called in an executor's module: ``"add"``, ``"linalg.inv"``."""
        return self.name if "" in self.namespaces else f"{self.namespaces[0]}.{self.name}"

    @property
    def takes_numbers(self) -> bool:
        """Whether operands may be Python numbers."""
        return self.kind is Kind.ELEMENTWISE

    @property
    def differentiable(self) -> bool:
        """Whether any operand has a gradient rule."""
        return any(rule is not None for rule in self.rules)

    def operand_rule(self, position: int) -> OperandRule | None:
        """Return the gradient rule of the operand at `position`, or None."""
        if not self.rules:
            return None
        return self.rules[0 if self.arity is None else position]

    def bind(
        self, args: tuple[Any, ...], attrs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Split a call's arguments into operands and a complete set of attributes.

        Raises
        ------
        ArgumentError
            If an operand or a required attribute is missing, or something unknown was passed.
        """
        arity = len(args) if self.arity is None else self.arity
        operands, positional = args[:arity], args[arity:]
        if len(operands) < arity:
            # an operand may be passed by its name, as in take(x, indices=i)
            named = []
            for name in self.operand_names[len(operands) :]:
                if name not in attrs:
                    raise self._call_error(f"operand {name!r} is missing")
                named.append(attrs.pop(name))
            operands += tuple(named)
        return operands, self.bind_attrs(positional, attrs)

    def bind_attrs(self, positional: tuple[Any, ...], attrs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the complete set of attributes of a call.

        Parameters
        ----------
        positional : tuple
            What was passed by position behind the operands.
        attrs : mapping
            What was passed by name.

        Raises
        ------
        ArgumentError
            If a required attribute is missing, or something unknown was passed.
        """
        if not positional:  # nearly every call, and quick
            complete = {**self.attrs, **attrs}
            if len(complete) == len(self.attrs):
                for value in complete.values():
                    if value is ... or type(value) in _NO_CONSTANTS:
                        break
                else:
                    return complete
        if len(positional) > len(self.attrs) - self.by_name:
            surplus = len(positional) - len(self.attrs) + self.by_name
            raise self._call_error(
                "one argument too many was passed"
                if surplus == 1
                else f"{surplus} arguments too many were passed"
            )
        bound = dict(zip(self.attrs, positional, strict=False))
        for name, value in attrs.items():
            if name not in self.attrs:
                meant = argument_meant(name, (*self.operand_names, *self.attrs, *self.options))
                raise self._call_error(
                    f"there is no argument {name!r}", written(name, value, meant)
                )
            if name in bound:
                raise self._call_error(f"argument {name!r} was passed twice")
            bound[name] = value
        complete = {}
        for name, default in self.attrs.items():
            value = bound.get(name, default)
            if value is ...:
                raise self._call_error(f"argument {name!r} is missing")
            complete[name] = self._constant(name, value)
        return complete

    def _constant(self, name: str, value: Any) -> Any:
        """Return what was passed as an attribute as Python has it, so that all modes read one."""
        if type(value) is list:
            return tuple(value)
        if type(value) is np.ndarray:
            raise ArgumentError(
                f"{self.name}: {name} must be a number or a tuple of them, not {value!r}",
                cause="it is a constant of the operation; arrays are operands",
                fix="pass a Python number: item() takes the one out of an array",
            )
        return value.item() if type(value) in _NO_CONSTANTS else value

    def _call_error(self, what: str, fix: str = "") -> ArgumentError:
        return ArgumentError(
            f"{self.name}: {what}",
            cause=f"the signature is {self.name}{self.signature}",
            fix=fix or "pass the operands in order and the rest by name",
        )

    def bind_beside_options(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what `bind` does, of arguments some of which may be options."""
        if not self.options.keys().isdisjoint(kwargs):
            kwargs = {name: x for name, x in kwargs.items() if name not in self.options}
        return self.bind(args, kwargs)

    def call_with_options(
        self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Return what `call`, which runs the op, does with arguments of which some are options."""
        chosen = [(self.options[name], kwargs.pop(name)) for name in self.options if name in kwargs]
        (passed, *others), attrs = self.bind(args, kwargs)
        x = passed
        for option, value in chosen:
            x = x if option.before is None else option.before(x, value)
        result = call(x, *others, **attrs)
        for option, value in chosen:
            result = result if option.after is None else option.after(result, value, passed)
        return result

    @property
    def __signature__(self) -> inspect.Signature:
        return self.signature

    @property
    def signature(self) -> inspect.Signature:
        """The signature of a call, such as ``(x, axis=None, keepdims=False)``."""
        if self.arity is None:
            operands = [Parameter("operands", Parameter.VAR_POSITIONAL)]
        else:
            operands = [Parameter(name, _ANY_WAY) for name in self.operand_names]
        how = _NAMED if self.arity is None else _ANY_WAY
        last = len(self.attrs) - self.by_name
        attrs = [
            Parameter(
                name,
                how if place < last else _NAMED,
                default=Parameter.empty if default is ... else default,
            )
            for place, (name, default) in enumerate(self.attrs.items())
        ]
        options = [
            Parameter(name, _NAMED, default=option.default) for name, option in self.options.items()
        ]
        return inspect.Signature([*operands, *attrs, *options])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the op in the mode that its operands belong to."""
        if args:
            entries = ENTRIES.get(type(args[0]))
            if entries is not None:
                entry = entries[self]
                if entry is not None:
                    return entry(*args, **kwargs)
        if kwargs and not self.options.keys().isdisjoint(kwargs):
            return self.call_with_options(self, args, kwargs)
        if self.attrs or kwargs or len(args) != self.arity:
            operands, attrs = self.bind(args, kwargs)
        else:
            operands, attrs = args, kwargs
        apply = executor_of(operands)
        if apply is not None:
            return apply(self, operands, attrs)
        try:
            return self.run(*operands, **attrs)
        except Exception as error:
            raise explain(self, operands, attrs, error) from None

    @property
    def __name__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<op {self.name}{self.signature}>"
