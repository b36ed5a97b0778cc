"""A shift-reduce parser that learns the precedence of Python's operators from Python's own parser.

The parser reads a formula such as ``a - b * c ** d`` from left to right with a stack. At each
operator it either shifts it, or first reduces what is on the stack; scores that it learned decide.
Python's ``ast`` is the teacher: it says which reductions were right. Nobody tells the parser what
precedence is, nor that ``**`` alone groups from the right.

Which action comes next, and with it which weights are used and how deep the stack is, depends on a
score: a static graph refuses at that ``if``.
"""

import ast

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example

OPERATORS = ("**", "*", "/", "%", "+", "-", "<<", "&", "^", "|")
WIDTH = 6


def formulas(count, rng):
    """Return lists of operators, each the formula ``x op x op x ...`` with 2 to 7 operators."""
    return [rng.integers(0, len(OPERATORS), rng.integers(2, 8)) for _ in range(count)]


def python_tree(operators):
    """Return the nesting that Python's parser gives the formula; operands are numbered."""

    def nested(node):
        if isinstance(node, ast.Name):
            return int(node.id[1:])
        return nested(node.left), nested(node.right)

    parts = ["x0"]
    for position, operator in enumerate(operators, 1):
        parts += [OPERATORS[operator], f"x{position}"]
    return nested(ast.parse(" ".join(parts), mode="eval").body)


def first_operand(tree):
    return tree if isinstance(tree, int) else first_operand(tree[0])


def teacher(operators):
    """Return, for each pair that is compared, whether to reduce the earlier operator first."""

    def subtrees(tree):
        if not isinstance(tree, int):
            yield tree
            yield from subtrees(tree[0])
            yield from subtrees(tree[1])

    # the operator before operand i splits the subtree whose right half begins with operand i
    whole = {first_operand(t[1]): t for t in subtrees(python_tree(operators))}

    def reduce_first(earlier, later):
        outer = whole[later + 1]
        return any(part is whole[earlier + 1] for part in subtrees(outer[0]))

    return reduce_first


def preference(weights, earlier, later):
    """Return how much speaks for reducing `earlier` before `later` is shifted."""
    left, right, bias = weights
    return (left[earlier] * right[later]).sum() + bias[earlier]


def parse(xp, weights, operators):
    """Return the tree that the scores lead to."""
    trees, waiting = [0], []

    def reduce():
        right, left = trees.pop(), trees.pop()
        waiting.pop()
        trees.append((left, right))

    for position in range(len(operators)):
        while waiting:
            if preference(weights, waiting[-1], operators[position]) < 0:
                break
            reduce()
        waiting.append(operators[position])
        trees.append(position + 1)
    while waiting:
        reduce()
    return trees[0]


def reductions(xp, weights, operators):
    """Return the operators of a formula, counted from 1, in the order in which they are reduced."""

    def halves_first(tree):
        if isinstance(tree, int):
            return []
        left, right = tree
        return [*halves_first(left), *halves_first(right), first_operand(right)]

    return np.array(halves_first(parse(xp, weights, operators)))


def reductions_rewritten(xp, weights, operators):
    """Return the same; the stack is an array, and each of the 2 n steps shifts or reduces."""
    count = operators.shape[0]
    places = xp.arange(count)

    def act(_, now):
        stack, depth, position, order, done = now
        top = stack[xp.maximum(depth - 1, 0)]
        upcoming = xp.minimum(position, count - 1)
        is_first = preference(weights, operators[top], operators[upcoming]) >= 0
        reduces = xp.logical_and(depth > 0, xp.logical_or(position == count, is_first))
        shifts = xp.logical_not(reduces)
        return (
            xp.where(xp.logical_and(shifts, places == depth), position, stack),
            depth + xp.where(reduces, -1, 1),
            position + shifts.astype("int64"),
            xp.where(xp.logical_and(reduces, places == done), top + 1, order),
            done + reduces.astype("int64"),
        )

    nothing, zero = xp.zeros_like(places), xp.asarray(0)
    return xp.fori_loop(0, 2 * count, act, (nothing, zero, zero, nothing, zero))[3]


def some_formulas():
    """Return weights that were drawn, not learned, and formulas of one length."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 1, array.shape).astype(np.float32) for array in initial_weights()]
    for _ in range(5):
        yield weights, rng.integers(0, len(OPERATORS), 7)


PROGRAMS = (Example(reductions, inputs=some_formulas, rewrite=reductions_rewritten),)


def lesson(xp, weights, operators):
    """Return the loss over the decisions that the teacher takes on its way."""
    reduce_first = teacher(operators)
    waiting, losses = [], []
    for position, operator in enumerate(operators):
        while waiting:
            right = reduce_first(waiting[-1], position)
            score = preference(weights, int(operators[waiting[-1]]), int(operator))
            losses.append(xp.log(1 + xp.exp(-score if right else score)))
            if not right:
                break
            waiting.pop()
        waiting.append(position)
    return sum(losses) / len(losses)


def initial_weights():
    rng = np.random.default_rng(1)
    shape = (len(OPERATORS), WIDTH)
    return [
        rng.normal(0, 0.5, shape).astype(np.float32),
        rng.normal(0, 0.5, shape).astype(np.float32),
        np.zeros(len(OPERATORS), np.float32),
    ]


def run(xp=dg, lessons=500, exam=200, rate=0.5):
    """Learn from formulas, then parse others and compare the trees with Python's."""
    rng = np.random.default_rng(0)
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    losses = []
    for operators in formulas(lessons, rng):
        loss = lesson(xp, weights, operators)
        losses.append(loss.item())
        loss.backward()
        with xp.no_grad():
            for weight in weights:
                weight -= rate * weight.grad
                weight.grad = None
    with xp.no_grad():
        unseen = formulas(exam, rng)
        right = sum(parse(xp, weights, xp.tensor(f)) == python_tree(f) for f in unseen)
    return {
        "first_loss": float(np.mean(losses[:50])),
        "last_loss": float(np.mean(losses[-50:])),
        "exact_trees": right / exam,
    }


def declare():
    """Trace the same function: SBS-301 at ``if preference(...) < 0``."""
    operators = sg.TensorType((4,), "int64")
    return sg.trace(lambda w, o: parse(sg, w, o), initial_weights(), operators)


def main():
    found = run()
    print(f"loss {found['first_loss']:.3f} -> {found['last_loss']:.3f}")
    print(f"{found['exact_trees']:.1%} of unseen formulas parsed exactly as Python does")


if __name__ == "__main__":
    main()
