"""Small changes that tests should notice: in gradient rules, expressions, planner decisions.

A mutant is one edit of one place: an operator for another, a term left out, a comparison with its
bound moved, a constant, a condition turned round. (DeMillo, Lipton and Sayward, "Hints on test
data selection", 1978; the operators are those of "sufficient" sets, Offutt et al. 1996.)
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

OPS = "src/common/oplibrary/ops"
PLANNING = "src/staticgraph/backends/native/planning"
KINDS = ("gradient", "expression", "planner")

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True)
class Mutant:
    """One edit.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    file : str
        The file, from the root of the project.
    line, column : int
        Where the edit begins.
    before, after : str
        The text that it replaces, and what it puts there.
    names : tuple of str
        The ops that it belongs to; of a planner decision, the function.
    """

    kind: str
    file: str
    line: int
    column: int
    before: str
    after: str
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """Return what tells it from all others, through changes elsewhere in its file."""
        return f"{self.file}:{','.join(self.names)}: {self.before} -> {self.after}"

    def record(self) -> dict:
        """Return it as plain data."""
        return asdict(self) | {"names": list(self.names)}

    def apply(self, text: str) -> str:
        """Return the text of its file with the edit made."""
        start = line_starts(text)[self.line - 1] + self.column
        assert text.startswith(self.before, start), self
        return text[:start] + self.after + text[start + len(self.before) :]


def edits(node: ast.AST) -> Iterator[ast.AST | str]:
    """Yield what may stand in a node's place."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield ast.BinOp(left, SWAPS[type(op)](), right)
            if isinstance(op, ast.Add | ast.Sub | ast.Mult):
                yield left
                yield right
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
            for i in range(len(values)):
                kept = values[:i] + values[i + 1 :]
                yield kept[0] if len(kept) == 1 else ast.BoolOp(op, kept)
        case ast.Compare(left, [op], right):
            yield ast.Compare(left, [SWAPS[type(op)]()], right)
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.If(test) | ast.While(test):
            yield ast.UnaryOp(ast.Not(), test)


@lru_cache(maxsize=2)
def line_starts(text: str) -> list[int]:
    """Return where each line begins in a text."""
    return [0, *accumulate(map(len, text.splitlines(keepends=True)))]


def segment(text: str, node: ast.expr) -> str:
    """Return what a node was read from."""
    starts = line_starts(text)
    return text[
        starts[node.lineno - 1] + node.col_offset : starts[node.end_lineno - 1]
        + node.end_col_offset
    ]


def evaluated(root: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it but annotations, which nobody reads."""
    left = [root]
    while left:
        node = left.pop(0)
        yield node
        unread = getattr(node, "annotation", None), getattr(node, "returns", None)
        left += [each for each in ast.iter_child_nodes(node) if each not in unread]


def sites(root: ast.AST, text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield line, column, old and new text of every edit below a node."""
    for node in evaluated(root):
        for new in edits(node):
            place = node.test if isinstance(node, ast.If | ast.While) else node
            before = segment(text, place)
            if not before.isascii():  # places are counted in bytes
                continue
            # a part of a text has no place of its own
            if any(isinstance(part, ast.JoinedStr) for part in ast.walk(place)):
                continue
            after = ast.unparse(ast.fix_missing_locations(new))
            if isinstance(new, ast.expr) and not isinstance(new, ast.Constant | ast.Name):
                after = f"({after})"
            yield place.lineno, place.col_offset, before, after


def is_rule(node: ast.AST) -> bool:
    """Return whether a function is a gradient rule: what it takes first is the gradient `g`."""
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        return False
    taken = [*node.args.posonlyargs, *node.args.args]
    return bool(taken) and taken[0].arg == "g"


def op_names(tree: ast.Module) -> tuple[dict[str, set[str]], dict[int, set[str]]]:
    """Return the ops that each name of a module is part of, and those of each statement's line."""
    mentioned: dict[str, set[str]] = {}
    entered: dict[int, set[str]] = {}
    uses = {  # what each statement makes, and the names in it
        statement: {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)}
        for statement in tree.body
    }
    for statement in tree.body:
        names = {
            each.value
            for call in ast.walk(statement)
            if isinstance(call, ast.Call)
            for each in [
                *(keyword.value for keyword in call.keywords if keyword.arg == "name"),
                *call.args[:1],
            ]
            if isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and each.value.isidentifier()
        }
        if names and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            entered[statement.lineno] = names
            for used in uses[statement]:
                mentioned.setdefault(used, set()).update(names)
    for _ in range(3):  # helpers of helpers
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in mentioned:
                for used in uses[statement]:
                    mentioned.setdefault(used, set()).update(mentioned[statement.name])
    return mentioned, entered


def rules(root: Path) -> Iterator[Mutant]:
    """Yield the mutants of gradient rules and of expressions."""
    for path in sorted((root / OPS).glob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        mentioned, entered = op_names(tree)
        file = str(path.relative_to(root))
        for statement in tree.body:
            own = entered.get(statement.lineno, set())
            if isinstance(statement, ast.FunctionDef):
                own = mentioned.get(statement.name, set())
            names = tuple(sorted(own)) or (path.stem,)
            for node in ast.walk(statement):
                if is_rule(node):
                    body = node.body if isinstance(node.body, list) else [node.body]
                    for each in body:
                        for site in sites(each, text):
                            yield Mutant("gradient", file, *site, names)
                if isinstance(node, ast.keyword) and node.arg == "expr":
                    for site in expression_sites(node.value, text):
                        yield Mutant("expression", file, *site, names)


def expression_sites(node: ast.expr, text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield the edits of the text of an expression, whose operands are ``{0}``, ``{1}``, ..."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return
    before = segment(text, node)
    readable = re.sub(r"\{(\w+)\}", r"OPERAND_\1", node.value)
    for inner in ast.walk(ast.parse(readable, mode="eval").body):
        for new in edits(inner):
            where, end = inner.col_offset, inner.end_col_offset
            after = f"{readable[:where]}({ast.unparse(new)}){readable[end:]}"
            after = re.sub(r"OPERAND_(\w+)", r"{\1}", after)
            yield node.lineno, node.col_offset, before, repr(after)


def decisions(root: Path) -> Iterator[Mutant]:
    """Yield the mutants of what the planner decides."""
    for path in sorted((root / PLANNING).glob("*.py")):
        text = path.read_text()
        file = str(path.relative_to(root))
        for statement in ast.parse(text).body:
            inner = statement.body if isinstance(statement, ast.ClassDef) else [statement]
            for function in inner:
                if isinstance(function, ast.FunctionDef):
                    for each in function.body:
                        for site in sites(each, text):
                            yield Mutant("planner", file, *site, (function.name,))


@lru_cache(maxsize=2)
def every_mutant(root: Path) -> dict[str, list[Mutant]]:
    """Return all that there are, by kind, no two that make the same text."""
    every: dict[str, dict[str, Mutant]] = {kind: {} for kind in KINDS}
    for mutant in (*rules(root), *decisions(root)):
        every[mutant.kind].setdefault(mutant.key, mutant)
    return {kind: list(mutants.values()) for kind, mutants in every.items()}


def draw(root: Path, count: int, seed: int) -> list[Mutant]:
    """Return so many mutants, the kinds in turns.

    They stand in the order of their own hashes: one that comes or goes changes no other's luck.
    """

    def luck(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed} {mutant.key}".encode()).hexdigest()

    drawn = []
    for kind, mutants in every_mutant(root).items():
        share = (count + KINDS.index(kind)) // len(KINDS)
        drawn.append(sorted(mutants, key=luck)[:share])
    turns = max(map(len, drawn))
    return [each[i] for i in range(turns) for each in drawn if i < len(each)]
