"""Attention against torch: masks, rows that see nothing, shared heads, dropout, projections."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.common.against_torch import against_torch, draw, in_every_mode, refused

import dyngraph as dg

Q, K, V = draw(2, 4, 6), draw(2, 5, 6, seed=1), draw(2, 5, 3, seed=2)


@pytest.mark.parametrize("kind", ["truth", "added", "causal"])
def test_a_row_that_sees_nothing_is_zero_and_so_are_its_gradients(kind):
    q, k, v = Q, K, V
    mask = np.tri(4, 5, 1, dtype=bool)
    mask[2] = False
    if kind == "added":
        mask = np.where(mask, draw(4, 5, seed=3), -np.inf)
    if kind == "causal":  # of no keys, nothing is seen
        k, v = k[:, :0], v[:, :0]
        found = in_every_mode(
            lambda xp, q, k, v: xp.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v
        )
        assert not found[0].any()
        assert not found[1].any()
        return
    found = in_every_mode(
        lambda xp, q, k, v: xp.scaled_dot_product_attention(q, k, v, mask), q, k, v
    )
    assert all(np.isfinite(each).all() for each in found)
    assert not found[0][:, 2].any()
    assert not found[1][:, 2].any()
    assert found[1][:, 1].any()
    # what is fed, rather than known, is treated alike
    fed = (
        in_every_mode(
            lambda xp, q, m: xp.scaled_dot_product_attention(q, K, V, xp.asarray(m)), q, mask * 1.0
        )
        if kind == "added"
        else None
    )
    if fed is not None:
        np.testing.assert_allclose(fed[0], found[0], rtol=1e-12)


def test_the_gradient_of_a_mask_that_is_added():
    against_torch(
        lambda xp, q, k, v, m: xp.scaled_dot_product_attention(q, k, v, m),
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m),
        Q,
        K,
        V,
        draw(4, 5, seed=3),
        second=True,
    )


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_heads_may_be_shared(heads, masked):
    q, k, v = draw(2, 4, 3, 6), draw(2, heads, 5, 6, seed=1), draw(2, heads, 5, 6, seed=2)
    mask = np.tri(3, 5, 1, dtype=bool) if masked else None
    against_torch(
        lambda xp, q, k, v: xp.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True),
        lambda q, k, v: F.scaled_dot_product_attention(
            q, k, v, None if mask is None else torch.tensor(mask), enable_gqa=True
        ),
        q,
        k,
        v,
    )


def test_weights_are_dropped_by_key():
    key = dg.random_key(1).numpy()

    def attend(xp, q, p=0.5):
        return xp.scaled_dot_product_attention(
            q, xp.asarray(K), xp.asarray(np.ones((2, 5, 1))), dropout_p=p, dropout_key=key
        )

    many = np.tile(Q[:, :1], (1, 2000, 1))
    dropped = in_every_mode(attend, many)[0]
    assert abs(dropped.mean() - 1) < 0.03
    assert dropped.std() > 0.1
    np.testing.assert_allclose(in_every_mode(lambda xp, q: attend(xp, q, 0.0), many)[0], 1)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_multi_head_attention_is_that_of_torch(biased, masked):
    theirs = torch.nn.MultiheadAttention(6, 3, bias=biased, batch_first=True, dtype=torch.float64)
    q, k, v = draw(2, 4, 6), draw(2, 5, 6, seed=1), draw(2, 5, 6, seed=2)
    mask = np.tri(4, 5, 1, dtype=bool) if masked else None
    parameters = [
        None if each is None else each.detach().numpy() + (0.1 if each.ndim == 1 else 0)
        for each in (
            theirs.in_proj_weight,
            theirs.in_proj_bias,
            theirs.out_proj.weight,
            theirs.out_proj.bias,
        )
    ]
    if biased:
        with torch.no_grad():
            theirs.in_proj_bias += 0.1
            theirs.out_proj.bias += 0.1
    hidden = None if mask is None else torch.tensor(~mask)
    against_torch(
        lambda xp, q, k, v: xp.multi_head_attention(q, k, v, 3, *parameters, mask),
        lambda q, k, v: theirs(q, k, v, attn_mask=hidden)[0],
        q,
        k,
        v,
    )
    if not masked:
        causal = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
        against_torch(
            lambda xp, q: xp.multi_head_attention(q, q, q, 3, *parameters, is_causal=True),
            lambda q: theirs(q, q, q, attn_mask=causal)[0],
            q,
        )


W, B = draw(18, 6), draw(6, 6)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda xp, x: xp.scaled_dot_product_attention(x, x, x, np.ones((4, 4), int)), "is int64"),
        (lambda xp, x: xp.scaled_dot_product_attention(x, x, x, scale="a"), "scale must be"),
        (lambda xp, x: xp.scaled_dot_product_attention(x, x, x, dropout_p=0.5), "no dropout_key"),
        (
            lambda xp, x: xp.scaled_dot_product_attention(
                x, x, x, dropout_p=2.0, dropout_key=xp.random_key(0)
            ),
            "p is 2.0",
        ),
        (
            lambda xp, x: xp.scaled_dot_product_attention(x, x[0], x[0], enable_gqa=True),
            "heads are to be shared",
        ),
        (
            lambda xp, x: xp.multi_head_attention(x, x, x, 4, W, None, B, None),
            "6 features do not split into 4 heads",
        ),
        (
            lambda xp, x: xp.multi_head_attention(x, x, x, 3, W[:6], None, B, None),
            "in_proj_weight (6, 6) for 6 features",
        ),
        (
            lambda xp, x: xp.multi_head_attention(x, x[..., :3], x, 3, W, None, B, None),
            "do not fit",
        ),
        (
            lambda xp, x: xp.multi_head_attention(x, x, x, 3, None, None, B, None),
            "the operand is a NoneType",
        ),
    ],
)
def test_attention_says_what_does_not_fit(function, what):
    assert what in refused(function, draw(2, 4, 6))[1]
