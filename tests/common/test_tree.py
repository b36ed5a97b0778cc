"""Trees: taking apart, putting together, paths, and trees that do not match."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

from oplibrary.messages.errors import ArgumentError
from oplibrary.values.tree import flatten, flatten_like, leaf_count, leaf_paths, map_tree, unflatten

Point = namedtuple("Point", "x y")

TREES = [
    1,
    None,
    (),
    [],
    {},
    (1, [2, {"a": 3, "b": None}], Point(4, (5,))),
    OrderedDict([("b", 1), ("a", [2])]),
    [[[]], {"x": ()}],
    "text",
    {1: "a", (2, 3): "b"},
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_there_and_back(tree):
    leaves, structure = flatten(tree)
    again = unflatten(structure, leaves)
    assert again == tree and type(again) is type(tree)
    assert leaf_count(structure) == len(leaves) == len(leaf_paths(structure))
    assert flatten_like(structure, tree) == leaves
    assert flatten(again)[1] == structure
    hash(structure)


def test_types_are_kept():
    _, structure = flatten((1, Point(2, OrderedDict(a=3))))
    point = unflatten(structure, "abc")[1]
    assert type(point) is Point and type(point.y) is OrderedDict


def test_structures_tell_containers_apart():
    structures = [flatten(tree)[1] for tree in TREES]
    assert len({*structures}) == len(TREES) - 1  # 1 and "text" are leaves both
    assert flatten({"a": 1, "b": 2})[1] != flatten({"a": 1})[1]


def test_anything_else_is_a_leaf():
    array, mapping = np.ones(3), defaultdict(list)
    assert flatten([array, mapping, {1}])[0] == [array, mapping, {1}]


def test_paths():
    _, structure = flatten({"w": [1, Point(2, 3)], "b": (4, None)})
    assert leaf_paths(structure, "p") == ["p['w'][0]", "p['w'][1].x", "p['w'][1].y", "p['b'][0]"]
    assert leaf_paths(flatten(1)[1], "p") == ["p"]


def test_mapping_pairs_dicts_by_key():
    got = map_tree(lambda a, b: (a, b), {"x": 1, "y": [2]}, {"y": [20], "x": 10})
    assert got == {"x": (1, 10), "y": [(2, 20)]}
    assert map_tree(abs, [-1, None, (-2,)]) == [1, None, (2,)]


@pytest.mark.parametrize(
    ("tree", "other", "text"),
    [
        ([1, 2], [1], "at the root: a list of 2 against a list of 1"),
        ([1], (1,), "at the root: a list against a tuple of 1"),
        ({"a": [1]}, {"a": [1, 2]}, "at ['a']: a list of 1 against a list of 2"),
        ({"a": 1}, {"b": 1}, "a dict with the keys ['a'] against a dict with the keys ['b']"),
        ({"a": 1}, {"a": (1,)}, "at ['a']: a leaf against a tuple of 1"),
        ((None,), (1,), "at [0]: None against a int"),
        (Point(1, 2), (1, 2), "at the root: a Point against a tuple of 2"),
    ],
)
def test_trees_that_differ(tree, other, text):
    with pytest.raises(ArgumentError) as error:
        map_tree(lambda a, b: a, tree, other)
    assert text in str(error.value)
