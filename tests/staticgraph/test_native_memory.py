"""Memory of machine code: places do not collide, and what is free is used."""

import itertools
import random

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from scipy import special

import staticgraph as sg
from oplibrary.values.memory import ALIGNMENT
from staticgraph.backends.native.planning import packing, planning
from staticgraph.backends.native.planning.packing import Life, Room, pack


def random_lives(seed):
    choice = random.Random(seed)
    lives = []
    for _ in range(choice.randint(1, 60)):
        first = choice.randint(0, 30)
        last = min(30, first + choice.choice([0, 0, 1, 2, 5, 30]))
        lives.append(Life(choice.choice([0, 4, 64, 100, 1000, 4096]), first, last))
    rooms = [
        Room(choice.choice([0, 60, 200, 5000]), choice.randint(0, 31))
        for _ in range(choice.randint(0, 3))
    ]
    return lives, rooms


@pytest.mark.parametrize("way", [packing._pack_in_order, packing._pack_by_size, pack])
@pytest.mark.parametrize("seed", range(25))
def test_no_two_values_are_in_one_place_at_one_time(way, seed):
    lives, rooms = random_lives(seed)
    places, size = way(lives, rooms)
    for life, place in zip(lives, places, strict=True):
        assert place.offset % ALIGNMENT == 0
        if place.room is None:
            assert place.offset + life.nbytes <= size
        else:
            room = rooms[place.room]
            assert life.last < room.until
            assert place.offset + life.nbytes <= room.nbytes
    for (one, at), (other, there) in itertools.combinations(zip(lives, places), 2):
        together = one.first <= other.last and other.first <= one.last
        if together and at.room == there.room:
            apart = at.offset + one.nbytes <= there.offset
            assert apart or there.offset + other.nbytes <= at.offset


def test_by_size_where_that_saves_memory():
    # as they come, the small one is in the way of the large one
    lives = [Life(64, 0, 0), Life(64, 0, 9), Life(128, 1, 9)]
    _, in_order = packing._pack_in_order(lives, [])
    _, by_size = packing._pack_by_size(lives, [])
    assert (in_order, by_size) == (256, 192)
    assert pack(lives)[1] == 192


def compiled(build):
    with sg.Graph():
        outputs, inputs = build()
        return sg.compile(outputs, inputs, backend="native")


def test_a_result_holds_other_values_until_it_is_written():
    def build():
        x, w = sg.placeholder("x", (64, 64)), sg.placeholder("w", (64, 256))
        hidden = sg.tanh(sg.tanh(x @ x) @ x)
        return hidden @ w, [x, w]

    run = compiled(build)
    assert run.plan.arena_bytes == 64 * 64 * 4  # of two, what is read while the result is written
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s, dtype="float32") for s in ((64, 64), (64, 256)))
    wanted = np.tanh(np.tanh(x @ x) @ x) @ w
    for _ in range(3):
        np.testing.assert_allclose(run(x, w), wanted, rtol=0, atol=1e-3)


def test_many_results_do_not_slow_the_plan_down():
    """A place is looked for in the largest of them alone."""

    def build():
        x = sg.placeholder("x", (8, 8))
        results, last = [], x
        for _ in range(60):
            last = sg.tanh(last @ x)
            results.append(last @ x)
        return results, [x]

    run = compiled(build)
    used = {place.slot for place in run.plan.locations.values() if place.offset}
    rooms = used - {run.plan.arena_slot}
    assert len(rooms) <= planning.MOST_ROOMS
    x = np.random.default_rng(0).standard_normal((8, 8), dtype="float32") / 4
    last = x
    for found in run(x):
        last = np.tanh(last @ x)
        np.testing.assert_allclose(found, last @ x, rtol=1e-3, atol=1e-5)


def test_what_a_step_of_numpys_reads_may_be_in_a_result():
    def build():
        x = sg.placeholder("x", (64, 64))
        hidden = sg.tanh(x @ x) + 2
        slopes = sg.polygamma(1, hidden)
        return (slopes @ x) @ sg.concat([x, x], axis=1), [x]

    run = compiled(build)
    assert "left to NumPy: polygamma" in run.report()
    assert run.plan.arena_bytes == 3 * 64 * 64 * 4  # the operands of the last product
    x = np.random.default_rng(0).standard_normal((64, 64), dtype="float32")
    slopes = special.polygamma(1, np.tanh(x @ x) + 2)
    wanted = slopes @ x @ np.concatenate([x, x], axis=1)
    np.testing.assert_allclose(run(x), wanted, rtol=0, atol=1e-2)


def test_what_is_added_up_too_may_be_overwritten():
    def build():
        x, y = sg.placeholder("x", (64, 128)), sg.placeholder("y", (64, 128))
        product = x @ sg.matrix_transpose(y) @ y
        scaled = product * x
        return [sg.sum(scaled, axis=0), sg.sum(scaled @ sg.matrix_transpose(x))], [x, y]

    run = compiled(build)
    large = 64 * 128 * 4
    assert run.plan.arena_bytes < 2 * large
    x, y = (np.random.default_rng(i).standard_normal((64, 128), dtype="float32") for i in (0, 1))
    scaled = (x @ y.T @ y) * x
    found = run(x, y)
    np.testing.assert_allclose(found[0], scaled.sum(0), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(found[1], (scaled @ x.T).sum(), rtol=1e-3)


def test_what_is_read_in_several_passes_is_not_overwritten_in_the_first():
    def build():
        x = sg.placeholder("x", (64, 64))
        scores = x @ x
        shifted = scores * 2.0
        largest = sg.max(scores, axis=1, keepdims=True)
        return [sg.sum(shifted @ x), sg.sum(shifted - largest * scores, axis=1)], [x]

    run = compiled(build)
    x = np.random.default_rng(0).standard_normal((64, 64), dtype="float32")
    scores = x @ x
    second = (scores * 2 - scores.max(1, keepdims=True) * scores).sum(1)
    found = run(x)
    np.testing.assert_allclose(found[0], (scores * 2 @ x).sum(), rtol=1e-3)
    np.testing.assert_allclose(found[1], second, rtol=1e-3, atol=1e-2)


def test_windows_are_copied_for_a_few_images_at_a_time():
    def build():
        x, w = sg.placeholder("x", (64, 16, 16, 16)), sg.placeholder("w", (4, 16, 3, 3))
        loss = sg.sum(sg.conv2d(x, w, padding=1) ** 2)
        return sg.gradients(loss, [x, w]), [x, w]

    run = compiled(build)
    windows = 64 * 16 * 9 * 16 * 16 * 4  # of all images
    assert run.plan.peak_bytes < windows / 2
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s, dtype="float32") for s in ((64, 16, 16, 16), (4, 16, 3, 3)))
    with sg.Graph():
        outputs, inputs = build()
        oracle = sg.compile(outputs, inputs, backend="numpy")
    for found, wanted in zip(run(x, w), oracle(x, w), strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("images", [0, 1, 7, 61])
def test_any_number_of_images(images):
    def build():
        x, w = sg.placeholder("x", (images, 8, 16, 16)), sg.placeholder("w", (2, 8, 3, 3))
        y = sg.conv2d(x, w)
        return [y, *sg.gradients(sg.sum(y * y), [x, w])], [x, w]

    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s, dtype="float32") for s in ((images, 8, 16, 16), (2, 8, 3, 3)))
    with sg.Graph():
        outputs, inputs = build()
        oracle = sg.compile(outputs, inputs, backend="numpy")
    for found, wanted in zip(compiled(build)(x, w), oracle(x, w), strict=True):
        scale = np.abs(wanted).max(initial=1.0)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * scale)
