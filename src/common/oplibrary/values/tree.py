"""Nested containers of values: tuples, lists, dicts and named tuples, with leaves in them.

A leaf is anything that is none of those and not None. A structure is a tree with its leaves taken
out; it can be compared and hashed, so it can be part of a key.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oplibrary.messages.errors import ArgumentError
from oplibrary.values.keys import exact_key

Structure = Any
"""`LEAF`, None, or ``(type, keys, children)`` with the field names or keys of each child."""

LEAF = "*"


class ExactKeys(tuple[Any, ...]):
    """The keys of a dict that are not all strings: 1, 1.0 and True are told apart."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExactKeys) and exact_key(self) == exact_key(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(exact_key(self))


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of `tree`, depth first, and its structure.

    Examples
    --------
    >>> leaves, structure = flatten({"w": 1.0, "layers": [2.0, (3.0, None)]})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> unflatten(structure, leaves)
    {'w': 1.0, 'layers': [2.0, (3.0, None)]}
    """
    leaves: list[Any] = []
    try:
        return leaves, _take_apart(tree, leaves)
    except RecursionError:
        refuse_depth(tree)
        raise


DEEP = 100
"""Levels of containers from which on it is they that are too many, and not the calls around."""


def refuse_depth(tree: Any) -> None:
    """Refuse containers that are nested too deep for Python to go through.

    Raises
    ------
    ArgumentError
    """
    stack = [(tree, 0)]
    while stack:
        each, depth = stack.pop()
        if depth > DEEP:
            raise ArgumentError(
                f"containers are nested more than {DEEP} levels deep",
                cause="going through them takes calls inside of calls, of which Python allows "
                f"{sys.getrecursionlimit():,}",
                fix="keep the values in one list or dict, or in an array with a further axis",
            ) from None
        if isinstance(each, (tuple, list)):
            stack += [(child, depth + 1) for child in each]
        elif isinstance(each, dict):
            stack += [(child, depth + 1) for child in each.values()]


def _take_apart(tree: Any, leaves: list[Any]) -> Structure:
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind, None, tuple([_take_apart(child, leaves) for child in tree])
    if kind is dict or kind is OrderedDict:
        children = tuple([_take_apart(child, leaves) for child in tree.values()])
        for key in tree:
            if type(key) is not str:
                return kind, ExactKeys(tree), children
        return kind, tuple(tree), children
    if tree is None:
        return None
    if _is_namedtuple(kind):
        return kind, kind._fields, tuple([_take_apart(child, leaves) for child in tree])
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """Return the tree of that structure with `leaves` in it; the inverse of `flatten`."""
    try:
        return _put_together(structure, iter(leaves))
    except RecursionError:
        refuse_depth(structure)
        raise


def _put_together(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is LEAF:
        return next(leaves)
    if structure is None:
        return None
    kind, keys, children = structure
    values = [_put_together(child, leaves) for child in children]
    if kind is list:
        return values
    if kind is tuple:
        return tuple(values)
    if _is_namedtuple(kind):
        return kind(*values)
    return kind(zip(keys, values, strict=True))


def leaf_count(structure: Structure) -> int:
    """Return how many leaves a tree of that structure has."""
    if structure is LEAF:
        return 1
    return 0 if structure is None else sum(map(leaf_count, structure[2]))


def leaf_paths(structure: Structure, root: str = "") -> list[str]:
    """Return how each leaf is reached from the root, as Python spells it.

    Examples
    --------
    >>> leaf_paths(flatten({"w": 1.0, "layers": [2.0, 3.0]})[1], "params")
    ["params['w']", "params['layers'][0]", "params['layers'][1]"]
    """
    if structure is LEAF:
        return [root]
    if structure is None:
        return []
    kind, keys, children = structure
    paths: list[str] = []
    for position, child in enumerate(children):
        if keys is None:
            step = f"[{position}]"
        else:
            step = f".{keys[position]}" if _is_namedtuple(kind) else f"[{keys[position]!r}]"
        paths += leaf_paths(child, root + step)
    return paths


def map_tree(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Return `tree` with each leaf replaced by what `function` makes of it.

    Parameters
    ----------
    function : callable
        Called with a leaf of `tree` and the leaves in the same place of `rest`.
    tree, *rest
        Trees of one structure; dicts are paired by key, whatever their order.

    Raises
    ------
    ArgumentError
        If the structures differ.

    Examples
    --------
    >>> map_tree(lambda p, g: p - g, {"w": 3.0, "b": 1.0}, {"b": 0.5, "w": 1.0})
    {'w': 2.0, 'b': 0.5}
    """
    leaves, structure = flatten(tree)
    others = [flatten_like(structure, other) for other in rest]
    return unflatten(structure, [function(*each) for each in zip(leaves, *others, strict=True)])


def flatten_like(structure: Structure, tree: Any) -> list[Any]:
    """Return the leaves of `tree` in the order of `structure`, which it must have.

    Raises
    ------
    ArgumentError
        If the structures differ, with the path of the first difference.
    """
    leaves: list[Any] = []
    try:
        _collect_like(structure, tree, leaves, "")
    except RecursionError:
        refuse_depth(structure)
        raise
    return leaves


def _collect_like(structure: Structure, tree: Any, leaves: list[Any], path: str) -> None:
    if structure is LEAF:
        if flatten(tree)[1] is not LEAF:
            raise _structures_differ(path, "a leaf", tree)
        leaves.append(tree)
        return
    if structure is None:
        if tree is not None:
            raise _structures_differ(path, "None", tree)
        return
    kind, keys, children = structure
    if type(tree) is not kind:
        raise _structures_differ(path, f"a {kind.__name__}", tree)
    if keys is None or _is_namedtuple(kind):
        if len(tree) != len(children):
            raise _structures_differ(path, f"a {kind.__name__} of {len(children)}", tree)
        for position, child in enumerate(children):
            _collect_like(child, tree[position], leaves, f"{path}[{position}]")
        return
    if set(tree) != set(keys):
        raise _structures_differ(path, f"a dict with the keys {list(keys)}", tree)
    for key, child in zip(keys, children, strict=True):
        _collect_like(child, tree[key], leaves, f"{path}[{key!r}]")


def _structures_differ(path: str, expected: str, tree: Any) -> ArgumentError:
    found = type(tree).__name__
    if isinstance(tree, dict):
        found += f" with the keys {list(tree)}"
    elif isinstance(tree, (tuple, list)):
        found += f" of {len(tree)}"
    return ArgumentError(
        f"the trees differ at {path or 'the root'}: {expected} against a {found}",
        cause="leaves are paired by their place, so all trees must have one structure",
        fix="pass containers of the same types, lengths and keys",
    )
