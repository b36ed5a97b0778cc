"""Losses by margins and of several labels, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from dyngraph import errors

torch = pytest.importorskip("torch")
from tests.common.against_torch import against_torch, draw  # noqa: E402

functional = torch.nn.functional
LABELS = np.array([2, 0, 3])
WEIGHT = np.array([1.0, 0.5, 2.0, 0.1])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("p", [1, 2])
def test_one_label(p, reduction):
    options = {"p": p, "margin": 0.7, "reduction": reduction}
    against_torch(
        lambda xp, x: xp.multi_margin_loss(x, LABELS, weight=WEIGHT, **options),
        lambda x: functional.multi_margin_loss(
            x, torch.tensor(LABELS), weight=torch.tensor(WEIGHT), **options
        ),
        draw(3, 4),
        second=True,
    )


def test_a_label_counted_from_the_end_and_a_single_example():
    x = dg.tensor(draw(4))
    found = dg.multi_margin_loss(x, np.array(-1))
    assert found.item() == dg.multi_margin_loss(x, np.array(3)).item()
    theirs = functional.multi_margin_loss(torch.tensor(draw(4)), torch.tensor(3))
    np.testing.assert_allclose(found.item(), theirs.item())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_several_labels(reduction):
    labels = np.array([[3, 0, -1, 1], [-1, 2, 0, 0], [1, 1, 2, 0]])
    against_torch(
        lambda xp, x: xp.multilabel_margin_loss(x, labels, reduction),
        lambda x: functional.multilabel_margin_loss(x, torch.tensor(labels), reduction=reduction),
        draw(3, 4),
    )
    hits = (draw(3, 4) > 0).astype("float64")
    against_torch(
        lambda xp, x: xp.multilabel_soft_margin_loss(x, hits, WEIGHT, reduction),
        lambda x: functional.multilabel_soft_margin_loss(
            x, torch.tensor(hits), torch.tensor(WEIGHT), reduction=reduction
        ),
        draw(3, 4),
        second=True,
    )


@pytest.mark.parametrize("swap", [False, True])
def test_triplets_by_another_distance(swap):
    xs = [draw(3, 4, seed=k) for k in range(3)]
    against_torch(
        lambda xp, *xs: xp.triplet_margin_with_distance_loss(
            *xs, lambda x, y: xp.sum(xp.abs(x - y), axis=-1), 2.0, swap
        ),
        lambda *xs: functional.triplet_margin_with_distance_loss(
            *xs, distance_function=lambda x, y: (x - y).abs().sum(-1), margin=2.0, swap=swap
        ),
        *xs,
    )
    found = dg.triplet_margin_with_distance_loss(*map(dg.tensor, xs), swap=swap)
    assert found.item() == dg.triplet_margin_loss(*map(dg.tensor, xs), swap=swap).item()


@pytest.mark.parametrize("xp", [dg, sg])
def test_what_does_not_fit_is_named(xp):
    def call(name, x, *rest, **named):
        def run(x):
            return getattr(xp, name)(x, *rest, **named)

        return run(dg.tensor(x)) if xp is dg else sg.function(run)(x)

    x = draw(3, 4)
    for name, x_, rest, named, error in (
        ("multi_margin_loss", x, (LABELS[:2],), {}, errors.ShapeError),
        ("multi_margin_loss", x, (LABELS,), {"weight": WEIGHT[:2]}, errors.ShapeError),
        ("multi_margin_loss", x, (LABELS,), {"p": 3}, errors.ArgumentError),
        ("multi_margin_loss", x, (LABELS * 1.0,), {}, errors.DTypeError),
        ("multi_margin_loss", x, (LABELS + 4,), {}, errors.IndexingError),
        ("multi_margin_loss", x[:, :0], (LABELS,), {}, errors.ShapeError),
        ("multi_margin_loss", x.astype("int64"), (LABELS,), {}, errors.DTypeError),
        ("multilabel_margin_loss", x, (LABELS,), {}, errors.ShapeError),
        ("multilabel_margin_loss", x, (x,), {}, errors.DTypeError),
        ("multilabel_soft_margin_loss", x, (x[:2],), {}, errors.ShapeError),
        ("multilabel_soft_margin_loss", x, (x,), {"reduction": "max"}, errors.ArgumentError),
        ("triplet_margin_with_distance_loss", x, (x, x[:2]), {}, errors.ShapeError),
        ("triplet_margin_with_distance_loss", x, (x, x), {"margin": 0}, errors.ArgumentError),
    ):
        with pytest.raises(error):
            call(name, x_, *rest, **named)


# pools, bags and dropout --------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_power_pools_are_those_of_torch(p):
    for axes, kernel, stride in ((1, 2, 1), (2, (2, 3), None)):
        x = np.abs(draw(2, 2, *(5, 7)[:axes])) + 0.1
        name = f"lp_pool{axes}d"
        against_torch(
            lambda xp, x, n=name, k=kernel, s=stride: getattr(xp, n)(x, p, k, s),
            lambda x, n=name, k=kernel, s=stride: getattr(functional, n)(x, p, k, s),
            x,
            second=True,
        )
    found = dg.lp_pool3d(dg.tensor(np.ones((1, 1, 2, 2, 2))), 2.0, 2)
    np.testing.assert_allclose(found.numpy(), np.full((1, 1, 1, 1, 1), 8**0.5))
    for wrong in (0, -1.0, "2"):
        with pytest.raises(errors.ArgumentError):
            dg.lp_pool1d(dg.ones((1, 1, 4)), wrong, 2)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_are_those_of_torch(mode):
    ids, offsets = np.array([0, 2, 1, 1, 4, 0]), np.array([0, 2, 2, 5])
    table = draw(5, 3)
    for rows, begins in ((ids, offsets), (ids.reshape(2, 3), None)):
        against_torch(
            lambda xp, w, r=rows, b=begins: xp.embedding_bag(w, r, b, mode),
            lambda w, r=rows, b=begins: functional.embedding_bag(
                torch.tensor(r), w, None if b is None else torch.tensor(b), mode=mode
            ),
            table,
        )
    if mode == "sum":
        against_torch(
            lambda xp, w, f: xp.embedding_bag(w, ids, offsets, mode, f),
            lambda w, f: functional.embedding_bag(
                torch.tensor(ids), w, torch.tensor(offsets), mode=mode, per_sample_weights=f
            ),
            table,
            draw(6),
        )


def test_bags_that_do_not_fit_are_named():
    table, ids = dg.tensor(draw(5, 3)), np.array([0, 2, 1])
    for arguments, error in (
        ((ids,), errors.ShapeError),
        ((ids[None], ids), errors.ShapeError),
        ((ids, ids[None]), errors.ShapeError),
        ((ids, np.array([1, 2])), errors.IndexingError),
        ((ids + 5, np.array([0])), errors.IndexingError),
        ((ids * 1.0, np.array([0])), errors.DTypeError),
        ((ids, np.array([0]), "median"), errors.ArgumentError),
        ((ids, np.array([0]), "mean", np.ones(3)), errors.ArgumentError),
        ((ids, np.array([0]), "sum", np.ones(2)), errors.ShapeError),
    ):
        with pytest.raises(error):
            dg.embedding_bag(table, *arguments)


def test_channels_are_dropped_whole():
    key = dg.random_key(1)
    for axes, name in ((1, "dropout1d"), (2, "dropout2d"), (3, "dropout3d")):
        x = np.ones((40, 5, *(2,) * axes), "float32")
        found = getattr(dg, name)(dg.tensor(x), 0.25, key).numpy()
        flat = found.reshape(200, -1)
        assert set(np.unique(flat)) == {np.float32(0), np.float32(1 / 0.75)}
        assert (flat == flat[:, :1]).all()
        assert 30 <= (flat[:, 0] == 0).sum() <= 70
        run = sg.function(lambda x, key, n=name: getattr(sg, n)(x, 0.25, key), backend="numpy")
        np.testing.assert_array_equal(run(x, key.numpy()), found)
        assert getattr(dg, name)(dg.tensor(x), 0.5, key, training=False).tolist() == x.tolist()
        with pytest.raises(errors.ShapeError, match=name):
            getattr(dg, name)(dg.ones(3), 0.5, key)
        with pytest.raises(errors.ArgumentError, match=f"{name}: p is 2"):
            getattr(dg, name)(dg.tensor(x), 2, key)


def test_alpha_dropout_keeps_mean_and_variance():
    key, x = dg.random_key(1), draw(20000)
    found = dg.alpha_dropout(dg.tensor(x), 0.3, key).numpy()
    assert abs(found.mean()) < 0.03
    assert abs(found.var() - 1) < 0.05
    run = sg.function(lambda x, key: sg.alpha_dropout(x, 0.3, key), backend="numpy")
    np.testing.assert_array_equal(run(x, key.numpy()), found)
    assert not dg.alpha_dropout(dg.tensor(x), 1.0, key).numpy().any()
    with pytest.raises(errors.ArgumentError, match="alpha_dropout: p is -1"):
        dg.alpha_dropout(dg.tensor(x), -1, key)
