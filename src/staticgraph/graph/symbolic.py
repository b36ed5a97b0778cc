"""Why a node has no number, and what to write instead: the errors of asking too early."""

from __future__ import annotations

import ast
import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Concatenate, ParamSpec, cast

from oplibrary.executors.spellings import METHODS, call_for
from oplibrary.messages.errors import (
    DTypeError,
    GraphError,
    NodeBudgetError,
    SideBySideError,
    SymbolicArrayError,
    SymbolicBoolError,
    SymbolicValueError,
)
from oplibrary.messages.source import Source, is_users, source_of, user_frame
from oplibrary.values.dtypes import REAL_FLOATING
from staticgraph.graph.declaration import Declaration
from staticgraph.graph.graph_ops import PLACEHOLDER, VARIABLE
from staticgraph.graph.ndarray_writes import Write, out_of_place, running_write
from staticgraph.graph.rewriting import (
    Rewriting,
    asking,
    combines_bools,
    decides,
    module_name,
    replaced,
    rewritten_range,
    rewritten_truth,
    rewritten_words,
)
from staticgraph.graph.user_expression import TESTING, UserExpression, expression_at

_RUN = (
    "fetch it: sg.compile(y, inputs=[...])(...), session.run(y, feed_dict) or a traced function's "
    "result; or run the program in dyngraph"
)


_P = ParamSpec("_P")
_Describe = Callable[Concatenate[Declaration, _P], SideBySideError]


class _Last(threading.local):
    """The last error of this thread, in case that the caller replaces it."""

    error: SideBySideError | None = None


_last = _Last()


def _remembered(describe: _Describe[_P]) -> _Describe[_P]:
    """Keep a copy of the error: NumPy replaces a TypeError of ``__index__`` by one of its own."""

    @functools.wraps(describe)
    def make(node: Declaration, *args: _P.args, **kwargs: _P.kwargs) -> SideBySideError:
        error = describe(node, *args, **kwargs)
        _last.error = type(error)(
            error.what,
            cause=error.cause,
            fix=error.fix,
            source=error.source,
            related=error.related,
        )
        return error

    return cast("_Describe[_P]", make)


def replaced_error(
    error: BaseException | None, traceback: TracebackType | None
) -> Exception | None:
    """Return the error in whose place `error` was raised on the same line, or None."""
    last, _last.error = _last.error, None
    if last is None or last.source is None or not isinstance(error, (TypeError, ValueError)):
        return None
    if isinstance(error, SideBySideError):
        return None
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or traceback.tb_lineno != last.source.line:
        return None
    return last if traceback.tb_frame.f_code.co_filename == last.source.filename else None


FEW_CALLS = 10
"""A function that called itself less often is not what went too deep."""


def endless_recursion(traceback: TracebackType | None) -> SideBySideError:
    """Return the error of a function that called itself until Python gave up, while traced."""
    frames: list[tuple[CodeType, int]] = []
    while traceback is not None:
        if is_users(traceback.tb_frame.f_code):
            frames.append((traceback.tb_frame.f_code, traceback.tb_lasti))
        traceback = traceback.tb_next
    calls = Counter(code for code, _ in frames)
    code, times = calls.most_common(1)[0] if calls else (None, 0)
    place = next((each for each in reversed(frames) if each[0] is code), None)
    name = "a function" if code is None else code.co_qualname
    limit = f"Python's limit of {sys.getrecursionlimit():,} calls inside of calls"
    if times < FEW_CALLS:
        return NodeBudgetError(
            f"loops and branches are nested deeper than {limit} allows",
            cause="each level takes a few calls, and its gradient a few more",
            fix="nest fewer of them, or raise the limit first: sys.setrecursionlimit(100_000)",
            source=None if place is None else source_of(place),
        )
    return NodeBudgetError(
        f"{name} called itself {times:,} times while it was traced, up to {limit}",
        cause="every call declares its nodes, both branches of a cond included: only what is known "
        "while tracing can end a recursion, never a value of the graph",
        fix="let a static argument, such as a smaller depth, end it; declare a loop with "
        "while_loop or scan; run the recursion in dyngraph; or, where it does end, raise the "
        "limit with sys.setrecursionlimit",
        source=None if place is None else source_of(place),
    )


def asked_by_networkx() -> bool:
    """Tell whether networkx called the operator that calls this."""
    frame = sys._getframe(2)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "networkx"


def depends_on(node: Declaration) -> list[Declaration]:
    """Return the placeholders and variables that `node` is computed from, as declared."""
    seen = {node}
    stack = [node]
    found: list[Declaration] = []
    while stack:
        each = stack.pop()
        if each.op is PLACEHOLDER or each.op is VARIABLE:
            found.append(each)
        for operand in each.operands:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return sorted(found, key=lambda each: each.sequence)


def _origin(node: Declaration) -> str:
    """Say what the value of `node` waits for."""
    roots = depends_on(node)
    if not roots:
        return "it is computed when the graph runs"
    shown = ", ".join(f"{each.op.name} {each.name!r}" for each in roots[:3])
    more = f" and {len(roots) - 3} more" if len(roots) > 3 else ""
    return f"it depends on {shown}{more}, known only when the graph runs"


def _related(node: Declaration, frame: FrameType | None) -> tuple[tuple[str, Source | None], ...]:
    """Return the declaring lines that the error's own line does not show already."""
    shown = {(frame.f_code.co_filename, frame.f_lineno)} if frame is not None else set()
    lines: list[tuple[str, Source | None]] = []
    for each in (node, *depends_on(node)[:3]):
        source = each.source
        if source is not None and (source.filename, source.line) not in shown:
            shown.add((source.filename, source.line))
            lines.append((f"{each.name} declared", source))
    return tuple(lines)


def _asking() -> tuple[FrameType | None, UserExpression | None]:
    frame = user_frame(4)
    return frame, expression_at(frame) if frame is not None else None


@_remembered
def no_truth(node: Declaration) -> SideBySideError:
    """Return the error of ``bool(node)``, hidden or not."""
    frame, asked = _asking()
    if asked is None:
        what = f"the truth value of {node!r} was asked"
        construct, rewrite = "", ""
    else:
        construct, rewrite = asked.construct, asked.rewrite
        by = f" by `{construct}`" if construct else ""
        what = f"the truth value of `{asked.text}`, a {node.type}, was asked{by}"
    return SymbolicBoolError(
        what,
        cause="the graph is being declared: " + _origin(node),
        fix=_truth_fix(construct, rewrite, frame, node),
        related=_related(node, frame),
    )


def _truth_fix(construct: str, rewrite: str, frame: FrameType | None, node: Declaration) -> str:
    dynamic = (
        "make the condition a static Python argument (static_argnums of sg.function), or run the "
        "program in dyngraph"
    )
    code = None if frame is None else rewritten_truth(frame, node)
    if code is None and rewrite and frame is not None:
        part = asking(frame, construct)
        if isinstance(part, ast.BoolOp):
            code = rewritten_words(frame, part)
            rewrite = rewrite if combines_bools(part) else ""
        elif part is not None:
            code = replaced(frame, part, rewrite)
    if construct == "while":
        known = "with a known bound, loop with for and select the values with where"
        if code is None:
            return f"declare the loop with while_loop; {known}; or run the program in dyngraph"
        return f"{code}or run the program in dyngraph; {known}"
    if construct == "assert":
        known = "Python's assert can check what is known here, such as shapes and dtypes"
        declared = "declare it with sg.assert_, which checks in each run; "
        return f"{declared if code is None else f'{code}which checks in each run; '}{known}"
    if code is not None:
        return f"{code}or {dynamic}"
    if construct in ("and", "or") and not rewrite:
        return (
            f"combine bools with logical_{construct}, choose between values with where; "
            f"or {dynamic}"
        )
    if rewrite:
        return f"write {rewrite}; or {dynamic}"
    name = construct.removesuffix("()").rpartition(".")[2]
    if construct.endswith("()") and name not in TESTING:
        return f"call staticgraph's own function in place of {construct}; or {dynamic}"
    return f"select elements with where, or a branch with cond; or {dynamic}"


def _into_ndarray(node: Declaration, frame: FrameType | None, write: Write) -> SideBySideError:
    return SymbolicArrayError(
        f"{node!r} was to be written into the ndarray {write.name!r}",
        cause="the graph is being declared: " + _origin(node),
        fix=write.fix,
        related=(*write.related, *_related(node, frame)),
    )


@_remembered
def no_number(node: Declaration, kind: str) -> SideBySideError:
    """Return the error of ``int(node)``, ``float(node)`` and of its use as an index."""
    frame, asked = _asking()
    if kind != "index" and (write := running_write(frame)) is not None:
        return _into_ndarray(node, frame, write)
    by = f" by `{asked.construct}`" if asked is not None and asked.construct else ""
    wanted = {"int": "an int", "float": "a float", "complex": "a complex"}.get(kind, "an index")
    what = f"{wanted} was asked of {node!r}{by}"
    fix = (
        "pass the number as a static Python argument (static_argnums of sg.function, or a plain "
        "number for trace), or run the program in dyngraph"
    )
    code: Rewriting | None = None
    if frame is not None and asked is not None:
        sg, part = module_name(frame), asking(frame, asked.construct)
        if asked.construct == "range()":
            code = rewritten_range(frame)
            fix = f"declare a loop over range with fori_loop or scan; or {fix}"
        elif asked.construct.startswith("math.") and part is not None:
            name = asked.construct.removeprefix("math.").removesuffix("()")
            if hasattr(sys.modules.get("staticgraph"), name):
                code = replaced(frame, part, f"{sg}.{name}({asked.text})")
        elif asked.construct == "index":
            fix = f"index by a value of the graph with take, of an array; or {fix}"
        elif asked.construct == f"{kind}()" and kind in ("int", "float") and part is not None:
            own = str(node.type.dtype) if node.type.dtype.kind in REAL_FLOATING else "float32"
            dtype = "int64" if kind == "int" else own
            number = f'{asked.text}.astype("{dtype}")'
            if decides(frame, part):
                number = asked.text if kind == "float" else number
                code = rewritten_truth(frame, node, part, number)
            else:
                code = replaced(frame, part, number)
    if code is not None:
        fix = f"{code}or {fix}"
    return SymbolicValueError(
        what,
        cause="the graph is being declared: " + _origin(node),
        fix=fix,
        related=_related(node, frame),
    )


def no_value(node: Declaration, request: str) -> SideBySideError:
    """Return the error of asking for the elements, as ``item()`` does."""
    frame, _ = _asking()
    return SymbolicValueError(
        f"{request} of {node!r}",
        cause="the graph is being declared: " + _origin(node),
        fix=_RUN,
        related=_related(node, frame),
    )


@_remembered
def no_array(node: Declaration) -> SideBySideError:
    """Return the error of ``np.asarray(node)``."""
    frame, asked = _asking()
    if (write := running_write(frame)) is not None:
        return _into_ndarray(node, frame, write)
    by = f" by `{asked.construct}`" if asked is not None and asked.construct else ""
    return SymbolicArrayError(
        f"an ndarray was asked of {node!r}{by}",
        cause="the graph is being declared: " + _origin(node),
        fix="use the function of that name in staticgraph (stack and concat join nodes), or "
        "fetch the value in a run",
        related=_related(node, frame),
    )


def no_out(node: Declaration, function: str) -> SideBySideError:
    """Return the error of writing a node into an ndarray."""
    frame, _ = _asking()
    if (write := running_write(frame)) is not None:
        return _into_ndarray(node, frame, write)
    line = out_of_place(frame) or "a = a + x"
    return SymbolicArrayError(
        f"{function} was to write {node!r} into an ndarray",
        cause="the graph is being declared: " + _origin(node),
        fix=f"write `{line}` in place of the form that writes; the result is a node",
        related=_related(node, frame),
    )


@_remembered
def no_length(node: Declaration) -> SideBySideError:
    """Return the error of ``len(node)`` where there is none."""
    frame, _ = _asking()
    if node.type.shape:
        return SymbolicValueError(
            f"the length of {node!r} was asked",
            cause="each run has its own length, and one graph is declared for all of them",
            fix="go along the axis with scan or map; x.shape[0] is the symbolic length itself",
            related=_related(node, frame),
        )
    return DTypeError(
        f"the length of {node!r} was asked",
        cause="a 0-d value has no axes, and the length of an axis is static: x.shape[0]",
        fix="use .size, which is 1, or pass a number as a static Python argument",
        related=_related(node, frame),
    )


@_remembered
def no_index(node: Declaration) -> SideBySideError:
    """Return the error of an index that is no single number, now or when the graph runs."""
    frame, asked = _asking()
    by = f", and was asked for one by `{asked.construct}`" if asked and asked.construct else ""
    return DTypeError(
        f"{node!r} is not an index{by}",
        cause="an index is one integer",
        fix="pass a plain int, or take(x, indices) for many indices at once",
        related=_related(node, frame),
    )


@_remembered
def no_membership(node: Declaration) -> SideBySideError:
    """Return the error of ``value in node``."""
    frame, asked = _asking()
    code: Rewriting | None = None
    fix = "compare the elements, and ask sg.any, which gives a bool of the graph"
    if frame is not None and asked is not None and asked.rewrite:
        part = asking(frame, "in")
        code = None if part is None else replaced(frame, part, asked.rewrite)
        fix = f"write {asked.rewrite}, which is a bool of the graph"
    return SymbolicBoolError(
        f"membership in {node!r} was asked by `in`",
        cause="`in` gives a Python bool, and the graph is being declared: " + _origin(node),
        fix=fix if code is None else f"{code}which gives a bool of the graph",
        related=_related(node, frame),
    )


def no_backward(node: Declaration) -> SideBySideError:
    """Return the error of ``node.backward()``."""
    frame, _ = _asking()
    return GraphError(
        f"backward() of {node!r}",
        cause="a static graph declares gradients as further nodes, before anything runs",
        fix="write dx, dw = sg.gradients(y, [x, w]), or sg.value_and_grad of a function",
        related=_related(node, frame),
    )


_ATTRIBUTES = {
    "grad": "write dx, = sg.gradients(y, [x])",
    "grad_fn": "its op is .op, its operands are .operands",
    "requires_grad": "every floating-point node has gradients: sg.gradients(y, [x])",
    "requires_grad_": "every floating-point node has gradients: sg.gradients(y, [x])",
    "retain_grad": "gradients of any node: sg.gradients(y, [node])",
    "is_leaf": "a source of the graph has no .operands",
    "data": "fetch the value in a run",
}


def no_attribute(node: Declaration, name: str) -> AttributeError:
    """Return the error of an attribute that a node does not have."""
    message = f"Node has no attribute {name!r}"
    if name in _ATTRIBUTES:
        message += f": {_ATTRIBUTES[name]}"
    elif (call := call_for(name, "staticgraph", METHODS)) is not None:
        message += f"; did you mean {call}?"
    return AttributeError(message, name=name, obj=node)
