"""TreeLSTM: recursion in the shape of each input, and the same with the shape as a constant."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sidebyside.workloads.builtin.primitives import cross_entropy, glorot
from sidebyside.workloads.datasets import one_hot
from sidebyside.workloads.workload import Workload

WIDTH = 64
WORDS, CLASSES = 200, 5


class Parameters(NamedTuple):
    """A vector a word, what two children add to the gates of their parent, and the readout."""

    embedding: Any
    leaf: Any
    leaf_bias: Any
    left: Any
    right: Any
    bias: Any
    readout: Any
    readout_bias: Any


def leaf(xp: Any, p: Any, word: Any) -> tuple[Any, Any]:
    """Return hidden and cell of a word, each ``(1, width)``."""
    gates = p.embedding[word].reshape((1, -1)) @ p.leaf + p.leaf_bias
    cell = xp.sigmoid(gates[:, :WIDTH]) * xp.tanh(gates[:, 2 * WIDTH :])
    return xp.sigmoid(gates[:, WIDTH : 2 * WIDTH]) * xp.tanh(cell), cell


def join(xp: Any, p: Any, left: Any, right: Any) -> tuple[Any, Any]:
    """Return hidden and cell of two children's parent: a forget gate for each child."""
    gates = left[0] @ p.left + right[0] @ p.right + p.bias
    opened = xp.sigmoid(gates[:, : 4 * WIDTH])
    write, keep_left, keep_right, read = (
        opened[:, number * WIDTH : (number + 1) * WIDTH] for number in range(4)
    )
    cell = write * xp.tanh(gates[:, 4 * WIDTH :]) + keep_left * left[1] + keep_right * right[1]
    return read * xp.tanh(cell), cell


def tree_lstm(xp: Any, p: Any, words: Any, lefts: Any, rights: Any, target: Any) -> Any:
    """Return the cross entropy of the class of a binary tree.

    The tree is data: which node is a leaf is asked of numbers, by ``if``. That a static graph
    refuses; `tree_lstm_fixed` is what it can do.

    Parameters
    ----------
    p : Parameters
    words, lefts, rights : (nodes,), integers
        The word of each node, and its children, -1 for a leaf; the root is node 0.
    target : (1, 5), one-hot

    References
    ----------
    K. Tai, R. Socher and C. Manning, Improved semantic representations from tree-structured long
    short-term memory networks, ACL 2015, its N-ary unit; as in D. Moldovan et al., AutoGraph, SysML
    2019: https://arxiv.org/abs/1810.08061, one tree at a time.
    """

    def visit(node: Any) -> Any:
        if lefts[node] < 0:
            return leaf(xp, p, words[node])
        return join(xp, p, visit(lefts[node]), visit(rights[node]))

    hidden, _ = visit(0)
    return cross_entropy(xp, hidden @ p.readout + p.readout_bias, target)


def tree_lstm_fixed(xp: Any, p: Any, words: Any, target: Any, *, shape: int = 0) -> Any:
    """Return the same of the one tree whose shape `shape` draws: another tree is another graph.

    Parameters
    ----------
    p : Parameters
    words : (nodes,), integers
    target : (1, 5), one-hot
    shape : int
        The seed of the shape. It is a constant of the program, walked while that is declared.
    """
    lefts, rights = branches(np.random.default_rng(shape), (words.shape[0] + 1) // 2)

    def visit(node: int) -> Any:
        if lefts[node] < 0:
            return leaf(xp, p, words[node])
        return join(xp, p, visit(int(lefts[node])), visit(int(rights[node])))

    hidden, _ = visit(0)
    return cross_entropy(xp, hidden @ p.readout + p.readout_bias, target)


def branches(rng: np.random.Generator, leaves: int) -> tuple[Any, Any]:
    """Draw a binary tree: the children of each node, which come after it; -1 at a leaf."""
    lefts, rights = np.full((2, 2 * leaves - 1), -1)
    waiting, following = [(0, leaves)], 1
    while waiting:
        node, below = waiting.pop()
        if below > 1:
            first = int(rng.integers(1, below))
            lefts[node], rights[node] = following, following + 1
            waiting += [(following, first), (following + 1, below - first)]
            following += 2
    return lefts, rights


def initial(rng: np.random.Generator) -> Parameters:
    """Draw initial parameters."""
    return Parameters(
        rng.standard_normal((WORDS, WIDTH), np.float32),
        glorot(rng, WIDTH, 3 * WIDTH),
        np.zeros(3 * WIDTH, np.float32),
        glorot(rng, WIDTH, 5 * WIDTH),
        glorot(rng, WIDTH, 5 * WIDTH),
        np.zeros(5 * WIDTH, np.float32),
        glorot(rng, WIDTH, CLASSES),
        np.zeros(CLASSES, np.float32),
    )


def _fixed_inputs(rng: np.random.Generator, size: int) -> tuple[Any, ...]:
    words = rng.integers(0, WORDS, 2 * size - 1)
    return initial(rng), words, one_hot(rng.integers(0, CLASSES, 1), CLASSES)


def _inputs(rng: np.random.Generator, size: int, *, shape: int = 0) -> tuple[Any, ...]:
    parameters, words, target = _fixed_inputs(rng, size)
    return parameters, words, *branches(np.random.default_rng(shape), size), target


TREE_LSTM = Workload(
    tree_lstm,
    inputs=_inputs,
    wrt=(0,),
    sizes=(20,),
    learning_rate=0.05,
    name="tree_lstm",
    title="TreeLSTM, a tree of 20 words, training step",
    description="Native recursion whose shape is in the data.",
    dynamic_only=True,
)

TREE_LSTM_FIXED = Workload(
    tree_lstm_fixed,
    inputs=_fixed_inputs,
    wrt=(0,),
    sizes=(20,),
    learning_rate=0.05,
    name="tree_lstm_fixed",
    title="TreeLSTM, one tree as a constant, training step",
    description="What a static graph makes of it: one graph for one shape of tree.",
)
