"""Places for the boxes and lines of a drawing: layers from top to bottom, few crossings."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import networkx as nx

_CHARACTER = 7.2
_HEIGHT = 40.0
_GAP = 18.0
_LAYER = 84.0
_MARGIN = 16.0
_SWEEPS = 4
_MOST_BENDS = 5_000
"""In larger graphs lines go straight: bends would outnumber the nodes by far."""


class Box(NamedTuple):
    """The rectangle of one node, in pixels."""

    x: float
    y: float
    width: float
    height: float


class Drawing(NamedTuple):
    """Where everything stands.

    Attributes
    ----------
    width, height : float
    boxes : dict of str to Box
    edges : list of list of (float, float)
        The points that each line goes through, from operand to user.
    """

    width: float
    height: float
    boxes: dict[str, Box]
    edges: list[list[tuple[float, float]]]


_Slot = tuple[str, int]
"""A node with its layer, or a bend of a line on its way through a layer."""


def place(plain: nx.MultiDiGraph) -> Drawing:
    """Return places for the nodes of an acyclic graph with ``label`` and ``type`` attributes.

    Notes
    -----
    Sugiyama's method with its simplest parts: longest-path layers, sources moved down to their
    first user, bends where a line crosses a layer, and a few sweeps that sort each layer by the
    mean position of its neighbours.
    """
    if not len(plain):
        return Drawing(2 * _MARGIN, 2 * _MARGIN, {}, [])
    layer_of, chains, layers = _arranged(plain, _MOST_BENDS)
    widths = {
        slot: _width(plain.nodes[slot[0]]) if layer_of.get(slot[0]) == slot[1] else _GAP
        for layer in layers
        for slot in layer
    }
    total = max(sum(widths[s] for s in layer) + _GAP * (len(layer) - 1) for layer in layers)
    middles = _middles(layers, widths, total)
    boxes = {
        name: Box(
            middles[name, layer] - widths[name, layer] / 2,
            _MARGIN + layer * _LAYER,
            widths[name, layer],
            _HEIGHT,
        )
        for name, layer in layer_of.items()
    }
    edges = [_points(chain, middles) for chain in chains]
    height = 2 * _MARGIN + (len(layers) - 1) * _LAYER + _HEIGHT
    return Drawing(total + 2 * _MARGIN, height, boxes, edges)


def rows(plain: nx.MultiDiGraph, most_bends: int) -> list[list[str | tuple[str, str]]]:
    """Return what stands in each layer from left to right: nodes, and lines on their way through.

    A line is the pair of its ends. With more than `most_bends` of them, lines go straight.

    Examples
    --------
    >>> rows(nx.MultiDiGraph([("x", "a"), ("a", "b"), ("x", "b")]), 10)
    [['x'], ['a', ('x', 'b')], ['b']]
    """
    layer_of, _, layers = _arranged(plain, most_bends)
    return [
        [
            name if layer_of.get(name) == layer else (name.partition("\n")[0], name.split("\n")[1])
            for name, layer in slots
        ]
        for slots in layers
    ]


def _arranged(
    plain: nx.MultiDiGraph, most_bends: int
) -> tuple[dict[str, int], list[list[_Slot]], list[list[_Slot]]]:
    """Return the layer of each node, the slots of each line, and those of each layer in order."""
    layer_of = _layers(plain)
    spans = sum(layer_of[user] - layer_of[operand] for operand, user in plain.edges())
    bent = spans <= most_bends
    chains = [_chain(operand, user, layer_of, bent) for operand, user in plain.edges()]
    return layer_of, chains, _order(plain, layer_of, chains)


def _width(data: dict[str, str]) -> float:
    return max(len(data["label"]), len(data["type"]), 5) * _CHARACTER + 16


def _layers(plain: nx.MultiDiGraph) -> dict[str, int]:
    layer_of = {
        name: layer
        for layer, names in enumerate(nx.topological_generations(plain))
        for name in names
    }
    for name in plain:
        if not plain.in_degree(name) and plain.out_degree(name):
            layer_of[name] = min(layer_of[user] for user in plain.successors(name)) - 1
    return layer_of


def _chain(operand: str, user: str, layer_of: dict[str, int], bent: bool) -> list[_Slot]:
    """Return the slots of an edge: its ends, and with `bent` a bend in each layer between."""
    first, last = layer_of[operand], layer_of[user]
    if not bent:
        return [(operand, first), (user, last)]
    bends = [(f"{operand}\n{user}", layer) for layer in range(first + 1, last)]
    return [(operand, first), *bends, (user, last)]


def _order(
    plain: nx.MultiDiGraph, layer_of: dict[str, int], chains: list[list[_Slot]]
) -> list[list[_Slot]]:
    """Return the slots of each layer from left to right."""
    layers: list[dict[_Slot, None]] = [{} for _ in range(max(layer_of.values()) + 1)]
    for name in plain:
        layers[layer_of[name]][name, layer_of[name]] = None
    above: dict[_Slot, list[_Slot]] = {}
    below: dict[_Slot, list[_Slot]] = {}
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            layers[lower[1]][lower] = None
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    ordered = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        rank = {slot: i for layer in ordered for i, slot in enumerate(layer)}
        for layer in ordered if down else reversed(ordered):
            keys = {
                slot: _mean([rank[n] for n in neighbours.get(slot, ())], rank[slot])
                for slot in layer
            }
            layer.sort(key=keys.__getitem__)
            rank.update({slot: i for i, slot in enumerate(layer)})
    return ordered


def _mean(ranks: list[int], otherwise: int) -> float:
    return sum(ranks) / len(ranks) if ranks else otherwise


def _middles(
    layers: list[list[_Slot]], widths: dict[_Slot, float], total: float
) -> dict[_Slot, float]:
    """Return the middle of each slot; each layer is centred."""
    middles: dict[_Slot, float] = {}
    for layer in layers:
        used = sum(widths[slot] for slot in layer) + _GAP * (len(layer) - 1)
        x = _MARGIN + (total - used) / 2
        for slot in layer:
            middles[slot] = x + widths[slot] / 2
            x += widths[slot] + _GAP
    return middles


def _points(chain: list[_Slot], middles: dict[_Slot, float]) -> list[tuple[float, float]]:
    points = []
    for position, slot in enumerate(chain):
        top = _MARGIN + slot[1] * _LAYER
        if position == 0:
            points.append((middles[slot], top + _HEIGHT))
        elif position == len(chain) - 1:
            points.append((middles[slot], top))
        else:
            points += [(middles[slot], top), (middles[slot], top + _HEIGHT)]
    return points
