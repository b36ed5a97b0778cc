"""Graphs for a page on which blocks open: nodes, blocks and the places of both, as plain values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import networkx as nx

from sidebyside.drawing.blocks import Block, blocks
from staticgraph.control.region import Region
from staticgraph.program.program import Program
from staticgraph.show import drawing
from staticgraph.show.placement import rows
from staticgraph.show.printing import inner_programs, value_names

_MOST_BENDS = 400
"""Bends of the lines in one block."""

_LONGEST = 60
"""Characters of a label."""

_SEVERAL = 12
"""So many inputs and constants stand side by side; more are one block."""

Inner = Callable[[Region], Program]
Member = int | dict[str, Any]


def nested(source: Program | nx.MultiDiGraph, inner: Inner = Region.lower) -> dict[str, Any]:
    """Return a graph in blocks.

    Parameters
    ----------
    source : Program, or graph in the form of `staticgraph.drawing.plain_graph`
        Its nodes in an order in which operands come first.
    inner : callable
        Returns the program of a branch or the body of a loop.

    Returns
    -------
    dict
        ``words``: the texts of the others, each once. ``op``, ``label``, ``type``, ``place``,
        ``name``: the number of its word for each node; ``role``: a letter for each; ``operands``:
        the numbers of those nodes. ``root``: a block, ``{"title", "members", "layout"}``; a member
        is the number of a node or a block, with ``node`` where it is the inside of that one.
        ``layouts``: for each arrangement ``[rows, lines]``, where a row has numbers of members, and
        -1 - the number of a line that passes, and lines are pairs of members in one flat list.

    Examples
    --------
    >>> import staticgraph as sg
    >>> from staticgraph.declare.lower import lower
    >>> with sg.Graph() as graph:
    ...     x = sg.placeholder("x", (3,))
    ...     y = x * x
    >>> found = nested(lower(graph, [y]))
    >>> found["root"]["members"], found["layouts"]
    ([0, 1], [[[[0], [1]], [0, 1]]])
    """
    return _Writer(inner).whole(source)


def nested_json(source: Program | nx.MultiDiGraph, inner: Inner = Region.lower) -> str:
    """Return `nested` as JSON without spaces."""
    return json.dumps(nested(source, inner), separators=(",", ":"), ensure_ascii=False)


def overview(found: dict[str, Any]) -> nx.MultiDiGraph:
    """Return the outermost level as a graph that `staticgraph.drawing` draws.

    Parameters
    ----------
    found : dict
        As `nested` returns it.
    """
    words, graph = found["words"], nx.MultiDiGraph()
    for number, member in enumerate(found["root"]["members"]):
        block = isinstance(member, dict)
        node = member.get("node") if isinstance(member, dict) else member
        columns = ("op", "label", "type", "place")
        data = dict.fromkeys(columns, "")
        if node is not None:
            data = {column: words[found[column][node]] for column in columns}
        if block:
            data |= {"label": member["title"], "type": f"{count_nodes(member):,} nodes"}
        role = ROLES.get("o" if node is None else found["role"][node], "op")
        graph.add_node(str(number), **data, role=role, output=False)
    lines = found["layouts"][found["root"]["layout"]][1]
    for operand, user in zip(lines[::2], lines[1::2], strict=True):
        graph.add_edge(str(operand), str(user), 0)
    return graph


def count_nodes(member: Member) -> int:
    """Return how many nodes a member of a block holds; one that has an inside counts, too."""
    if isinstance(member, int):
        return 1
    return ("node" in member) + sum(map(count_nodes, member["members"]))


ROLES = {"p": "placeholder", "v": "variable", "c": "constant", "o": "op", "r": "output"}
"""What the letters of ``role`` stand for; an output is an operation whose result is returned."""

_LETTERS = {role: letter for letter, role in ROLES.items()}


class _Writer:
    """Nodes so far, in columns, and the arrangements of blocks."""

    def __init__(self, inner: Inner) -> None:
        self.inner = inner
        self.words: dict[str, int] = {}
        self.layouts: dict[Any, int] = {}
        self.arrangements: list[list[Any]] = []
        self.columns: dict[str, list[Any]] = {
            name: [] for name in ("op", "label", "type", "place", "name", "operands")
        }
        self.roles: list[str] = []

    def whole(self, source: Program | nx.MultiDiGraph) -> dict[str, Any]:
        root = self.block("", self.graph(source))
        return {
            "words": list(self.words),
            **self.columns,
            "role": "".join(self.roles),
            "layouts": self.arrangements,
            "root": root,
        }

    def graph(self, source: Program | nx.MultiDiGraph) -> list[Member]:
        """Write the nodes of a graph, and return them in blocks."""
        plain = drawing.program_graph(source) if isinstance(source, Program) else source
        numbers = {name: len(self.roles) + place for place, name in enumerate(plain)}
        for name, data in plain.nodes(data=True):
            uses = sorted(plain.in_edges(name, keys=True), key=lambda edge: edge[2])
            self.node(name, data, [numbers[operand] for operand, _, _ in uses])
        insides: dict[int, list[Member]] = {}
        if isinstance(source, Program):
            names = value_names(source)
            for instruction in source.instructions:
                found = [
                    self.block(title, self.graph(self.inner(region)))
                    for title, region in inner_programs(instruction.attrs)
                    if isinstance(region, Region)
                ]
                if found:
                    number = numbers[names[instruction.output]]
                    insides[number] = found[0]["members"] if len(found) == 1 else list(found)
        given = [numbers[name] for name, role in plain.nodes(data="role") if role != "op"]
        computed = [numbers[name] for name, role in plain.nodes(data="role") if role == "op"]
        members: list[Member] = list(given)
        if len(given) > _SEVERAL:
            arranged = blocks(range(len(given)), self.title_of(given))
            count = f"{len(given):,} inputs and constants"
            members = [self.block(count, self.members(arranged, given, {}))]
        kinds = [
            tuple(self.columns[column][node] for column in ("op", "place", "type"))
            for node in computed
        ]
        return members + self.members(blocks(kinds, self.title_of(computed)), computed, insides)

    def node(self, name: str, data: dict[str, Any], operands: list[int]) -> None:
        label = str(data["label"])
        label = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
        texts = {**data, "label": label, "name": name}
        for column in ("op", "label", "type", "place", "name"):
            word = self.words.setdefault(str(texts[column]), len(self.words))
            self.columns[column].append(word)
        self.columns["operands"].append(operands)
        role = "output" if data["output"] and data["role"] == "op" else data["role"]
        self.roles.append(_LETTERS.get(role, "o"))

    def title_of(self, nodes: list[int]) -> Callable[[int, int], str]:
        """Return what says which lines of the user's neighbours come from."""
        words, places = list(self.words), self.columns["place"]

        def title(first: int, last: int) -> str:
            found: list[str] = [words[places[node]] for node in nodes[first : last + 1]]
            lines = [each.rpartition(":") for each in found if ":" in each]
            if not lines:
                return f"{last - first + 1:,} nodes"
            ((file, _),) = Counter(file for file, _, _ in lines).most_common(1)
            numbers = [int(line) for name, _, line in lines if name == file and line.isdigit()]
            if not numbers:
                return file
            low, high = min(numbers), max(numbers)
            return f"{file}:{low}" if low == high else f"{file}:{low}–{high}"

        return title

    def members(
        self,
        arranged: tuple[int | Block, ...],
        nodes: list[int],
        insides: dict[int, list[Member]],
    ) -> list[Member]:
        """Return members with the numbers of nodes in place of positions."""
        found: list[Member] = []
        for each in arranged:
            if isinstance(each, Block):
                found.append(self.block(each.title, self.members(each.members, nodes, insides)))
            elif (node := nodes[each]) in insides:
                title = list(self.words)[self.columns["op"][node]]
                found.append({**self.block(title, insides[node]), "node": node})
            else:
                found.append(node)
        return found

    def block(self, title: str, members: list[Member]) -> dict[str, Any]:
        return {"title": title, "members": members, "layout": self.layout(members)}

    def layout(self, members: list[Member]) -> int:
        """Return the number of an arrangement, which blocks of one structure share."""
        where = {node: place for place, member in enumerate(members) for node in _nodes(member)}
        operands = self.columns["operands"]
        lines = sorted(
            {
                (where[operand], user)
                for node, user in where.items()
                for operand in operands[node]
                if where.get(operand, user) != user
            }
        )
        key = (len(members), *lines)
        if key in self.layouts:
            return self.layouts[key]
        quotient = nx.MultiDiGraph()
        quotient.add_nodes_from(map(str, range(len(members))))
        quotient.add_edges_from((str(operand), str(user)) for operand, user in lines)
        passing = {(str(a), str(b)): -1 - number for number, (a, b) in enumerate(lines)}
        arrangement = [
            [int(slot) if isinstance(slot, str) else passing[slot] for slot in row]
            for row in (rows(quotient, _MOST_BENDS) if members else [])
        ]
        self.layouts[key] = len(self.arrangements)
        self.arrangements.append([arrangement, [end for line in lines for end in line]])
        return self.layouts[key]


def _nodes(member: Member) -> list[int]:
    """Return the nodes of one graph that a member holds: not what runs inside of one."""
    if isinstance(member, int):
        return [member]
    if "node" in member:
        return [member["node"]]
    return [node for each in member["members"] for node in _nodes(each)]
