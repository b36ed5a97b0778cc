"""Branches and loops run on values from around them as these lie in memory, as in dyngraph.

A sum over other strides can round otherwise, so that both modes only have the same bits if a value
that is not row-major stays so inside.
"""

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg

LAYOUTS = {
    "transposed": lambda m, x: m.permute_dims(x * 1.0, (1, 0)),
    "computed from transposed": lambda m, x: m.sin(m.permute_dims(x, (1, 0))) * 1.5,
    "flipped": lambda m, x: m.flip(x * 1.0, axis=1),
    "strided": lambda m, x: (x * 1.0)[::2, 1:],
    "transposed and flipped": lambda m, x: m.permute_dims(x * 1.0, (1, 0))[::-1],
    "broadcast": lambda m, x: m.broadcast_to((x * 1.0)[:, 2:3], (9, 7)),
    "row-major": lambda m, x: x * 1.0,
}


def sums(m, v):
    return m.sum(v), m.sum(v, axis=0), m.mean(v * v), m.sum(m.reshape(v, (-1,)))


def read(m, v):
    """Return a number of what only is the same bits if `v` lies the same way."""
    first, second, third, last = sums(m, v)
    return first * 0.3 + m.sum(second * second) * 0.1 + third + last * 0.7


def looped(m, v):
    return m.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * read(m, v)), (m.asarray(0), v[0, 0])
    )[1]


REGIONS = {
    "cond, captured": lambda m, v: m.cond(
        m.sum(v) < 99.0, lambda: read(m, v), lambda: m.sum(v) * 0.0
    ),
    "cond, operand": lambda m, v: m.cond(
        m.sum(v) < 99.0, lambda a: read(m, a), lambda a: m.sum(a), v
    ),
    "switch": lambda m, v: m.switch(
        m.asarray(1), [lambda a: m.sum(a), lambda a: read(m, a) * m.sum(v)], v
    ),
    "fori_loop": lambda m, v: m.fori_loop(0, 3, lambda i, c: c * read(m, v), v[0, 0]),
    "scan": lambda m, v: m.scan(
        lambda c, r: (c * read(m, v), r * m.sum(v)), v[0, 0], v[:3, 0] * 0.5
    ),
    "scan that carries it": lambda m, v: m.scan(
        lambda c, r: (c * read(m, v) + v, r * m.sum(c)), v, v[:3, 0] * 0.5
    ),
    "map": lambda m, v: m.map(lambda r: r * read(m, v), v),
    "while_loop": looped,
    "loop in a branch": lambda m, v: m.cond(
        m.sum(v) < 99.0, lambda: looped(m, v) * m.sum(v), lambda: m.sum(v)
    ),
    "branch in a loop": lambda m, v: m.fori_loop(
        0, 2, lambda i, c: m.cond(c < 99.0, lambda: c * read(m, v), lambda: c), v[0, 0]
    ),
}


def leaves(result):
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", REGIONS)
def test_sums_in_a_region_have_dyngraphs_bits_however_a_value_lies(region, layout):
    x = np.random.default_rng(0).uniform(-1, 1, (9, 7)).astype("float32")

    def program(m, x):
        results = leaves(REGIONS[region](m, LAYOUTS[layout](m, x)))
        return results, sum(m.sum(m.sin(each)) for each in results)

    leaf = dg.tensor(x.copy(), requires_grad=True)
    values, total = program(dg, leaf)
    expected = [each.detach().numpy() for each in values]
    total.backward()
    with sg.Graph():
        node = sg.placeholder("x", x.shape, x.dtype)
        declared, total = program(sg, node)
        outputs = [*declared, *sg.gradients(total, [node])]
        for backend in ("numpy", "interpret"):
            run = sg.compile(outputs, [node], backend=backend)
            for a, b in zip([*expected, leaf.grad.numpy()], run(x), strict=True):
                np.testing.assert_array_equal(a, b)


def test_an_archive_keeps_how_values_lie_in_a_region(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (9, 7)).astype("float32")
    with sg.Graph():
        node = sg.placeholder("x", x.shape, x.dtype)
        v = LAYOUTS["computed from transposed"](sg, node)
        y = REGIONS["branch in a loop"](sg, v)
        expected = sg.compile(y, [node], backend="numpy")(x)
        sg.save_program(tmp_path / "saved.sbs", y, [node])
    saved = sg.open_program(tmp_path / "saved.sbs", backend="numpy")
    np.testing.assert_array_equal(saved(x), expected)
