"""The picture of the rooms, drawn from the imports: ``docs/rooms.svg``.

A column is a package, its lowest room at the bottom. An arrow leads from a room to one that it
imports from; an arrow that follows from others is left out.
"""

from __future__ import annotations

import sys
import textwrap
from html import escape
from pathlib import Path
from typing import NamedTuple

import networkx as nx

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.test_layers import ROOMS, imports, room_of

COLUMNS = {
    "dyngraph": "#fde8c8",
    "oplibrary": "#ececec",
    "staticgraph": "#d9e8fb",
    "staticgraph.backends.native": "#e4defa",
    "sidebyside": "#d8f0d8",
}
"""The colour of each column, left to right; a room is in that of the longest name that fits."""

WIDTH, HEIGHT, BETWEEN_COLUMNS, BETWEEN_ROOMS, MARGIN, HEAD = 210, 50, 62, 16, 18, 34
LETTERS = 36
"""How many letters of a room's purpose fit into a line."""


class Box(NamedTuple):
    """Where a room stands, in pixels, and the number of its column and of its floor."""

    x: int
    y: int
    column: int
    floor: int


def column_of(room: str) -> str:
    """Return the column that a room stands in."""
    return max((name for name in COLUMNS if f"{room}.".startswith(f"{name}.")), key=len)


def place() -> tuple[dict[str, Box], int, int]:
    """Return the box of each room, and the width and height of the picture."""
    stacks = {name: [room for room in ROOMS if column_of(room) == name] for name in COLUMNS}
    floors = max(map(len, stacks.values()))
    step = HEIGHT + BETWEEN_ROOMS
    boxes = {}
    for column, stack in enumerate(stacks.values()):
        x = MARGIN + column * (WIDTH + BETWEEN_COLUMNS)
        for floor, room in enumerate(stack):
            boxes[room] = Box(x, MARGIN + HEAD + (floors - 1 - floor) * step, column, floor)
    width = 2 * MARGIN + len(stacks) * (WIDTH + BETWEEN_COLUMNS) - BETWEEN_COLUMNS // 2
    return boxes, width, 2 * MARGIN + HEAD + floors * step - BETWEEN_ROOMS


def arrows() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the arrows that run downward and follow from no others, and those that run upward."""
    order = {room: number for number, room in enumerate(ROOMS)}
    pairs = {(room_of(each.importer), room_of(each.imported)) for each in imports()}
    down = nx.DiGraph([pair for pair in pairs if order[pair[0]] > order[pair[1]]])
    up = [pair for pair in pairs if order[pair[0]] < order[pair[1]]]
    return sorted(nx.transitive_reduction(down).edges), sorted(up)


def line(start: Box, end: Box) -> str:
    """Return the path of an arrow."""
    if start.column == end.column:
        if start.floor == end.floor + 1:
            x = start.x + WIDTH // 2
            return f"M{x},{start.y + HEIGHT} L{x},{end.y - 1}"
        x, out = start.x + WIDTH, 14 + 5 * min(abs(start.floor - end.floor), 8)
        y, end_y = start.y + HEIGHT // 2 + 6, end.y + HEIGHT // 2 - 6
        return f"M{x},{y} C{x + out},{y} {x + out},{end_y} {x + 1},{end_y}"
    leftward = end.x < start.x
    x, end_x = (start.x, end.x + WIDTH + 1) if leftward else (start.x + WIDTH, end.x - 1)
    y, end_y = start.y + HEIGHT // 2, end.y + HEIGHT // 2
    bend = -BETWEEN_COLUMNS if leftward else BETWEEN_COLUMNS
    return f"M{x},{y} C{x + bend},{y} {end_x - bend},{end_y} {end_x},{end_y}"


def rooms_picture() -> str:
    """Return the picture as one SVG document that needs nothing else."""
    boxes, width, height = place()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif" '
        'font-size="11.5">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#666"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    down, up = arrows()
    for pairs, stroke in ((down, "#888"), (up, "#d00")):
        for importer, imported in pairs:
            lines.append(
                f'<g><title>{importer} imports from {imported}</title><path fill="none" '
                f'd="{line(boxes[importer], boxes[imported])}" stroke="{stroke}" '
                'marker-end="url(#arrow)"/></g>'
            )
    for room, box in boxes.items():
        lines += _box(room, box)
    for name in COLUMNS:
        highest = min((boxes[room] for room in boxes if column_of(room) == name), key=lambda b: b.y)
        lines.append(
            f'<text x="{highest.x}" y="{highest.y - 12}" font-size="15" font-weight="bold">'
            f"{name}</text>"
        )
    return "\n".join((*lines, "</svg>", ""))


def _box(room: str, box: Box) -> list[str]:
    column = column_of(room)
    title = room.removeprefix(f"{column}.") if room != column else room.rpartition(".")[2]
    lines = [
        f"<g><title>{room}</title>"
        f'<rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{HEIGHT}" rx="7" '
        f'fill="{COLUMNS[column]}" stroke="#555"/>'
        f'<text x="{box.x + 9}" y="{box.y + 16}" font-weight="bold">{title}</text>'
    ]
    for number, text in enumerate(textwrap.wrap(ROOMS[room] or "what users see", LETTERS)):
        y = box.y + 30 + 13 * number
        lines.append(f'<text x="{box.x + 9}" y="{y}" fill="#444">{escape(text)}</text>')
    return [*lines, "</g>"]
