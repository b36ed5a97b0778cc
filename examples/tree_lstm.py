"""TreeLSTM over Python's own syntax trees: recursion in the shape of each input.

The standard library's functions, as their syntax trees, are the data; the question is whether a
function contains a loop. The model calls itself for every child of every node, so its graph has the
shape of the tree, another one for each function.

A tree is two arrays in the order of a walk from the root: what each node is, and how many children
it has. A static graph that takes them as inputs refuses at ``range(...)``, where the number of
children is needed. If the arrays are constants, Python's recursion runs while the graph is
declared: nothing is refused, and the graph computes this one tree for ever. Rewritten, the
recursion becomes a loop with a stack, which looks at every place of the stack for each node.
"""

import ast
import bisect
import fnmatch
import heapq
import textwrap

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example

MODULES = (bisect, fnmatch, heapq, textwrap)
KINDS = sorted(
    name
    for name, kind in vars(ast).items()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and not name.startswith("_")
)
LOOPS = (ast.For, ast.While, ast.comprehension)
WIDTH = 12


def flatten(tree):
    """Return the kinds and the numbers of children, root first."""
    kinds, counts = [], []

    def visit(node):
        # contexts such as Load are leaves without content
        children = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.expr_context)]
        kinds.append(KINDS.index(type(node).__name__))
        counts.append(len(children))
        for child in children:
            visit(child)

    visit(tree)
    return np.array(kinds), np.array(counts)


def functions(most=90):
    """Return the trees of the standard library's functions, and whether each has a loop."""
    found = []
    for module in MODULES:
        with open(module.__file__, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                kinds, counts = flatten(node)
                if len(kinds) <= most:
                    has_loop = any(isinstance(inner, LOOPS) for inner in ast.walk(node))
                    found.append((kinds, counts, float(has_loop)))
    return found


def encode(xp, weights, kinds, counts, position=0):
    """Return the state of the subtree at `position`, and where the next one begins.

    The child-sum unit of K. Tai, R. Socher and C. Manning, Improved semantic representations from
    tree-structured LSTMs, 2015.
    """
    embedding, forget_embedding, recurrent, forget_recurrent = weights[:4]
    kind = kinds[position]
    states = []
    following = position + 1
    for _ in range(counts[position]):
        state, following = encode(xp, weights, kinds, counts, following)
        states.append(state)
    gates = embedding[kind]
    if states:
        gates = gates + sum(hidden for hidden, _ in states) @ recurrent
    write, read = xp.sigmoid(gates[:WIDTH]), xp.sigmoid(gates[WIDTH : 2 * WIDTH])
    cell = write * xp.tanh(gates[2 * WIDTH :])
    for hidden, inner in states:
        cell = cell + xp.sigmoid(forget_embedding[kind] + hidden @ forget_recurrent) * inner
    return (read * xp.tanh(cell), cell), following


def encode_rewritten(xp, weights, kinds, counts):
    """Return the state of the whole tree, from the last node to the root with a stack of states.

    Read backwards, every node comes after its children, whose states lie on top of the stack.
    """
    embedding, forget_embedding, recurrent, forget_recurrent = weights[:4]
    places = xp.arange(kinds.shape[0]).reshape((-1, 1))

    def visit(now, node):
        hiddens, cells, depth = now
        kind, count = node
        depth = depth - count
        is_child = xp.logical_and(places >= depth, places < depth + count)
        gates = embedding[kind] + xp.sum(xp.where(is_child, hiddens, 0), axis=0) @ recurrent
        write, read = xp.sigmoid(gates[:WIDTH]), xp.sigmoid(gates[WIDTH : 2 * WIDTH])
        kept = xp.sigmoid(forget_embedding[kind] + hiddens @ forget_recurrent) * cells
        cell = write * xp.tanh(gates[2 * WIDTH :]) + xp.sum(xp.where(is_child, kept, 0), axis=0)
        hiddens = xp.where(places == depth, read * xp.tanh(cell), hiddens)
        return (hiddens, xp.where(places == depth, cell, cells), depth + 1), None

    stack = xp.zeros((kinds.shape[0], WIDTH))
    backwards = xp.flip(kinds, 0), xp.flip(counts, 0)
    (hiddens, _, _), _ = xp.scan(visit, (stack, stack, xp.asarray(0)), backwards)
    return hiddens[0]


def score(xp, weights, kinds, counts):
    """Return how much speaks for a loop."""
    (hidden, _), _ = encode(xp, weights, kinds, counts)
    return hidden @ weights[4]


def score_rewritten(xp, weights, kinds, counts):
    return encode_rewritten(xp, weights, kinds, counts) @ weights[4]


def small_trees():
    """Return the smallest trees with one set of weights."""
    trees = sorted(functions(), key=lambda tree: len(tree[0]))[:4]
    return [(initial_weights(), kinds, counts) for kinds, counts, _ in trees]


current_tree = []
"""The kinds and counts of the tree that `score_current` reads: a constant as long as it stays."""


def score_current(xp, weights):
    kinds, counts = current_tree
    return score(xp, weights, kinds, counts)


def changing_trees():
    """Return the same weights again and again; in between another tree takes its place."""
    for weights, kinds, counts in small_trees():
        current_tree[:] = kinds, counts
        yield (weights,)


PROGRAMS = (
    Example(score, inputs=small_trees, rewrite=score_rewritten, wrt=(0,), tolerance=1e-3),
    Example(score_current, changing_trees, wrt=(0,), name="constant tree", tolerance=1e-3),
)


def initial_weights():
    rng = np.random.default_rng(0)
    shapes = [(len(KINDS), 3 * WIDTH), (len(KINDS), WIDTH)]
    shapes += [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH,)]
    return [rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]


def run(xp=dg, epochs=5, rate=0.3):
    """Learn to see loops; return the loss of each epoch and the final accuracy."""
    data = functions()
    weights = [xp.tensor(w, requires_grad=True) for w in initial_weights()]
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(epochs):
        total, right = 0.0, 0
        for index in rng.permutation(len(data)):
            kinds, counts, has_loop = data[index]
            value = score(xp, weights, xp.tensor(kinds), xp.tensor(counts))
            right += (value.item() > 0) == bool(has_loop)
            loss = xp.log(1 + xp.exp(value * (1 - 2 * has_loop)))
            total += loss.item()
            loss.backward()
            with xp.no_grad():
                for weight in weights:
                    weight -= rate * weight.grad
                    weight.grad = None
        losses.append(total / len(data))
    sizes = [len(kinds) for kinds, _, _ in data]
    return {
        "trees": len(data),
        "sizes": sizes,
        "losses": losses,
        "accuracy": right / len(data),
        "share_with_loop": sum(has_loop for _, _, has_loop in data) / len(data),
    }


def declare():
    """Trace the same function: SBS-302 at ``range(counts[position])``."""
    kinds, counts, _ = functions()[0]
    return sg.trace(lambda w, k, c: score(sg, w, k, c), initial_weights(), kinds, counts)


def freeze(kinds, counts):
    """Trace with one tree as a constant: accepted, and good for no other tree."""
    return sg.trace(lambda w: score(sg, w, kinds, counts), initial_weights())


def main():
    found = run()
    smallest, largest = min(found["sizes"]), max(found["sizes"])
    print(f"{found['trees']} functions, trees of {smallest} to {largest} nodes")
    for epoch, loss in enumerate(found["losses"]):
        print(f"epoch {epoch}: loss {loss:.4f}")
    print(f"accuracy {found['accuracy']:.3f}, {found['share_with_loop']:.3f} have a loop")


if __name__ == "__main__":
    main()
