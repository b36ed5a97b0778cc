"""PyTorch's operators by families, each as a module that calls all of one family."""

import numpy as np
import torch

F = torch.nn.functional


class Calls(torch.nn.Module):
    """Runs a function of its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def numbers(*shape):
    return torch.from_numpy(np.random.default_rng(3).normal(size=shape).astype("float32"))


def whole(*rows):
    return torch.tensor(rows)


def definite(n):
    x = numbers(n, n)
    return x @ x.T + n * torch.eye(n)


def resized(x, grid):
    sides = [
        F.interpolate(x, size=(7, 4), mode=mode, align_corners=corners)
        for mode in ("bilinear", "bicubic")
        for corners in (False, True)
    ]
    smooth = [
        F.interpolate(x, size=size, mode=mode, antialias=True)
        for mode in ("bilinear", "bicubic")
        for size in ((2, 3), (9, 4))
    ]
    operators = torch.ops.aten
    return (
        *sides,
        *smooth,
        operators.upsample_bilinear2d.default(x, [10, 12], False, 2.0, 2.0),
        operators.upsample_trilinear3d.default(x[:, None], [4, 3, 5], True),
        *[
            F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)
            for mode, padding, corners in (
                ("bilinear", "zeros", False),
                ("bicubic", "border", True),
                ("nearest", "reflection", False),
            )
        ],
        F.adaptive_avg_pool2d(x, (2, 3)),
        F.adaptive_avg_pool2d(x, 1),
        F.adaptive_max_pool3d(x[:, None], (1, 2, 2)),
        F.max_pool2d(x, 3, 2, 1),
        F.avg_pool2d(x, 3, 2, 1),
    )


def ordered(x, edges, rows):
    return (
        *torch.cummax(x, 1),
        *torch.cummin(x, 0),
        torch.logcumsumexp(x, 1),
        *torch.median(x, 1),
        torch.median(x),
        *torch.nanmedian(torch.where(x > 1, torch.nan, x), 0),
        torch.nanmedian(x),
        *torch.kthvalue(x, 2, 1),
        torch.histc(x.detach(), 4, -1, 1),
        torch.histc(x.detach(), 3),
        torch.searchsorted(edges, x, right=True),
        torch.searchsorted(rows, x, side="left"),
        torch.bucketize(x, edges),
    )


def scattered(x, src, index, mask):
    folds = ("sum", "mean", "prod", "amax", "amin")
    return (
        *[x.scatter_reduce(1, index, src, how, include_self=True) for how in folds],
        *[x.scatter_reduce(0, index % 3, src, how, include_self=False) for how in folds],
        *[x.index_reduce(0, index[0, :3] % 3, src, how) for how in ("mean", "amax", "amin")],
        x.detach().scatter(1, index, src.detach(), reduce="add"),
        x.detach().scatter(1, index, 2.0, reduce="multiply"),
        x.masked_scatter(mask, src),
        torch.diagonal_scatter(x, src[0, :3], 0),
    )


def solved(a, b, small):
    factor = torch.linalg.cholesky_ex(a)[0]
    upper = torch.linalg.cholesky_ex(a, upper=True)[0]
    return (
        torch.linalg.inv_ex(a)[0],
        torch.linalg.solve_triangular(factor, b, upper=False),
        torch.linalg.solve_triangular(factor.mT, b.mT, upper=True, left=False),
        torch.triangular_solve(b, upper)[0],
        torch.triangular_solve(b, upper, transpose=True)[0],
        torch.cholesky_solve(b, factor),
        torch.cholesky_solve(b, upper, upper=True),
        torch.cholesky_inverse(factor),
        torch.linalg.solve(a, b),
        torch.linalg.det(a),
        *torch.linalg.slogdet(a),
        F.pdist(small),
        torch.addbmm(a, torch.stack([a, a]), torch.stack([a, a]), beta=0.5, alpha=2),
        torch.view_as_real(torch.polar(small.abs(), small)),
    )


def elements(x, bits):
    return (
        torch.round(x, decimals=2),
        torch.frexp(x)[0].detach(),
        torch.special.i0e(x),
        torch.special.i1(x),
        torch.special.i1e(x),
        torch.special.ndtri(torch.sigmoid(x)),
        torch.remainder(3.0, x.detach()),
        bits << 2,
        2 << (bits % 3),
        torch.bitwise_right_shift(bits, 1),
        torch.bitwise_and(3, bits),
        torch.bitwise_or(bits, 4),
        torch.nan_to_num(x.detach() / 0.0),
    )


def bags(weight, ids, offsets):
    return (
        *[F.embedding_bag(ids, weight, offsets, mode=mode) for mode in ("sum", "mean", "max")],
        F.embedding_bag(ids.reshape(2, -1), weight, mode="sum"),
    )


FAMILIES = {
    "images": (resized, (numbers(2, 3, 5, 6), numbers(2, 4, 4, 2) / 2)),
    "order": (ordered, (numbers(3, 5), numbers(6).sort()[0], numbers(3, 4).sort(1)[0])),
    "scatters": (
        scattered,
        (
            numbers(3, 5),
            numbers(3, 5) + 3,
            whole([0, 2, 1, 2, 0], [4, 4, 1, 0, 0], [1, 2, 3, 4, 0]),
            numbers(3, 5) > 0,
        ),
    ),
    "algebra": (solved, (definite(4), numbers(4, 2), numbers(5, 3))),
    "elements": (elements, (numbers(3, 4), whole(5, 6, 7))),
    "bags": (bags, (numbers(6, 3), whole(0, 2, 5, 1, 1, 4), whole(0, 2, 3))),
}
