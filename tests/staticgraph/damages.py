"""Damage files of programs at random: each must be refused by name, or be a right program.

Run by hand for many: ``python -m tests.staticgraph.damages 20000 [seed]``.
"""

import copy
import io
import json
import random
import resource
import struct
import sys
import time
import tracemalloc
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

import staticgraph as sg
from oplibrary.messages.errors import SideBySideError

MOST_SECONDS = 10.0
SLACK = 32 << 20
"""Bytes beside what a file declares that opening it may take: the compiler's own."""


def save(path):
    """Save a program with arrays, variables, regions and symbolic lengths; return its inputs."""
    rng = np.random.default_rng(7)
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("batch"), 8))
        w = sg.variable(rng.normal(size=(8, 4)).astype("float32"), name="w")
        v = sg.variable(rng.normal(size=(8, 4)).astype("float32"), name="v")
        h = sg.tanh(x @ w) * sg.constant(rng.normal(size=4).astype("float32"))
        h = h + sg.concat([x[:, 1:3], x[:, ::4]], axis=1)
        total = sg.fori_loop(0, 3, lambda i, c: c + sg.sum(h) * 0.5, sg.sum(h))
        chosen = sg.cond(total > 0, lambda: total * 2, lambda: sg.sum(v))
        taken = sg.take(h, sg.constant(np.array([0, 3, 1])), axis=1)
        outputs = {"chosen": chosen, "taken": [taken], "w": w.assign(w + v)}
        sg.save_program(path, outputs, [x])
    return (rng.normal(size=(5, 8)).astype("float32"),)


# what is done to bytes ------------------------------------------------------------------------


def flipped(data, rng):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(data, rng):
    at, count = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 100))
    return data[:at] + rng.randbytes(count) + data[at + count :]


def numbered(data, rng):
    """Write an extreme number somewhere, sizes of entries included."""
    packed = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", struct.pack("<Q", 1 << 40), b"\x7f"))
    spots = [i for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6") for i in _all(data, mark)]
    at = (
        rng.choice(spots) + rng.randrange(4, 46) if rng.random() < 0.7 else rng.randrange(len(data))
    )
    return data[:at] + packed + data[at + len(packed) :]


def _all(data, mark):
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def cut(data, rng):
    return data[: rng.randrange(len(data))]


def without_a_part(data, rng):
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:a] + data[b:]


def repeated(data, rng):
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:b] + data[a:]


def appended(data, rng):
    return data + rng.choice((rng.randbytes(50), data, b"\0" * 70_000))


# what is done to entries ----------------------------------------------------------------------


def entries(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(parts, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in parts:
            file.writestr(name, content)
    return stream.getvalue()


def swapped(data, rng):
    parts = entries(data)
    a, b = rng.sample([name for name in parts if name.endswith(".npy")], 2)
    parts[a], parts[b] = parts[b], parts[a]
    return packed(parts.items())


def left_out(data, rng):
    parts = entries(data)
    del parts[rng.choice(list(parts))]
    return packed(parts.items())


def doubled(data, rng):
    parts = list(entries(data).items())
    return packed([*parts, (rng.choice(parts)[0], rng.choice(parts)[1])])


def bomb(data, rng):
    parts = entries(data)
    name = rng.choice(list(parts))
    large = 1 << rng.choice((20, 24, 26))
    content = b" " * large if name.endswith("json") else parts[name][:128] + b"\0" * large
    return packed({**parts, name: content}.items(), zipfile.ZIP_DEFLATED)


def reshaped(data, rng):
    """Write a header that declares another array."""
    parts = entries(data)
    name = rng.choice([name for name in parts if name.endswith(".npy")])
    shape = rng.choice(
        ((1 << 40,), (1 << 62, 1 << 62), (-1,), (0, 10**18), (2**31, 2), (10**12, 0))
    )
    descr = rng.choice(("<f4", "|O", "<f8", "<M8[s]", "|V8", "<U10", "|S0", ">f4", "<i8"))
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": rng.random() < 0.3, "shape": shape}
    np.lib.format.write_array_header_2_0(stream, header)
    parts[name] = stream.getvalue() + parts[name][128:]
    return with_checksums(parts)


def with_checksums(parts):
    """Pack entries whose checksums are right: the document is what is wrong then."""
    try:
        document = json.loads(parts["program.json"])
        names = [f"arrays/{n}.npy" for n in range(len(document["checksums"]))]
        document["checksums"] = [zlib.crc32(parts[name]) for name in names]
        parts = {**parts, "program.json": json.dumps(document).encode()}
    except (ValueError, KeyError, TypeError):
        pass
    return packed(parts.items())


# what is done to the document -----------------------------------------------------------------

ODD = (None, True, 0, 1, -1, 2, 7, 2**31, 2**63, 10**30, 0.5, 1e308, "", "x", "w", "float64", "\0")
ODD += ([], {}, [[]], {"region": 0}, {"region": 99}, {"tuple": []}, {"length": [[1, "batch"]]})
ODD += ({"float": "nan"}, {"dtype": "int8"}, {"ellipsis": None}, {"slice": [None, None, 0]})


def rewritten(data, rng):
    parts = entries(data)
    document = json.loads(parts["program.json"])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        change(document, rng)
    return packed({**parts, "program.json": json.dumps(document).encode()}.items())


def change(document, rng):
    """Change one place of a document, or move one to another."""
    spots = list(places(document))
    holder, key = rng.choice(spots)
    other, its = rng.choice(spots)
    how = rng.randrange(4)
    if how == 0:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    elif how == 1:
        holder[key] = copy.deepcopy(other[its])
    elif how == 2:
        del holder[key]
    elif isinstance(holder[key], int) and not isinstance(holder[key], bool):
        holder[key] += rng.choice((-1, 1, 2, 1 << 20, 1 << 33))
    else:
        holder[key] = [copy.deepcopy(holder[key])]


def places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(pairs):
        yield value, key
        if isinstance(each, (dict, list)):
            yield from places(each)


def nested(data, rng):
    parts = entries(data)
    depth = rng.choice((500, 5_000, 100_000))
    text = parts["program.json"].decode().replace('"float32"', "[" * depth + "]" * depth, 1)
    return packed({**parts, "program.json": text.encode()}.items())


DAMAGES = (flipped, overwritten, numbered, cut, without_a_part, repeated, appended)
DAMAGES += (swapped, left_out, doubled, bomb, reshaped, nested)
DAMAGES += (rewritten,) * 7


def run_damages(path, count, seed=0, report=lambda text: None):
    """Damage a program `count` times; return how often each damage was refused or opened.

    Raises
    ------
    AssertionError
        At the first damage that is neither, or takes too much time or memory.
    """
    path = Path(path)
    inputs = save(path)
    whole = path.read_bytes()
    wanted = sg.open_program(path, backend="interpret")(*inputs)
    counts = Counter()
    damaged = path.with_name("damaged.sgp")
    for number in range(seed, seed + count):
        rng = random.Random(number)
        damage = rng.choice(DAMAGES)
        data = damage(whole, rng)
        damaged.write_bytes(data)
        what = f"damage {number}, {damage.__name__}"
        tracemalloc.start() if number % 10 == 0 else None
        started = time.monotonic()
        try:
            try:
                run = sg.open_program(damaged, backend=rng.choice(("interpret", "numpy")))
            except SideBySideError as error:
                assert str(error).startswith("[SBS-"), what
                counts[damage.__name__, "refused"] += 1
            else:
                counts[damage.__name__, "opened"] += 1
                if damage not in (rewritten, reshaped, nested):
                    found = run(*inputs)
                    assert found["chosen"].tobytes() == wanted["chosen"].tobytes(), what
                    assert found["taken"][0].tobytes() == wanted["taken"][0].tobytes(), what
                    assert found["w"].tobytes() == wanted["w"].tobytes(), what
        except AssertionError:
            raise
        except Exception as error:
            damaged.rename(path.with_name(f"failed_{number}.sgp"))
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        seconds = time.monotonic() - started
        assert seconds < MOST_SECONDS, f"{what} took {seconds:.1f} s"
        if tracemalloc.is_tracing():
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2 * len(data) + SLACK, f"{what} took {peak:,} bytes"
        if number % 1000 == 999:
            report(f"{number + 1 - seed} damages, {dict(counts)}")
    return counts


if __name__ == "__main__":
    import tempfile

    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    numbers = [int(each) for each in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        found = run_damages(Path(folder) / "whole.sgp", *numbers, report=print)
    for (name, result), times in sorted(found.items()):
        print(f"{name:<20}{result:<10}{times:>8}")
