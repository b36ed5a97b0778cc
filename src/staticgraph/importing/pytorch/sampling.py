"""PyTorch's operators that resize images, or take pixels from places that are computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.pytorch.table import TABLE

_FILTERS, _PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


@TABLE.entry("aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default")
def _grid_sampler(
    xp: Any,
    input: Any,
    grid: Any,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> Any:
    return xp.grid_sample(
        input, grid, _FILTERS[interpolation_mode], _PADDINGS[padding_mode], align_corners
    )


def _resized(
    xp: Any, x: Any, mode: str, size: Any, scales: tuple[float | None, ...], **given: Any
) -> Any:
    lengths = tuple(size)
    if any(scales):
        followed = [
            int(n * (s or m / n)) for n, m, s in zip(x.shape[2:], lengths, scales, strict=True)
        ]
        if None in scales or followed != list(lengths):
            raise UnsupportedOpError(
                f"the size {lengths} does not follow from the factors {scales}",
                cause="an image is resized to a size, or by a factor",
                fix="pass one of the two to torch.nn.functional.interpolate",
            )
        return xp.interpolate(x, scale_factor=scales, mode=mode, **given)
    return xp.interpolate(x, size=lengths, mode=mode, **given)


def _of_two_axes(mode: str) -> Any:
    def entry(
        xp: Any,
        self: Any,
        output_size: Any,
        align_corners: bool,
        scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> Any:
        corners = {"align_corners": align_corners}
        return _resized(xp, self, mode, output_size, (scales_h, scales_w), **corners)

    return entry


for name in ("bilinear", "bicubic"):
    TABLE.entry(f"aten.upsample_{name}2d.default")(_of_two_axes(name))


@TABLE.entry("aten.upsample_trilinear3d.default")
def _upsample_trilinear3d(
    xp: Any,
    self: Any,
    output_size: Any,
    align_corners: bool,
    scales_d: float | None = None,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Any:
    scales = (scales_d, scales_h, scales_w)
    return _resized(xp, self, "trilinear", output_size, scales, align_corners=align_corners)


def _triangle(x: Any) -> Any:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x: Any, a: float = -0.5) -> Any:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _smoothing(
    n: int, m: int, scale: float | None, corners: bool, kernel: Any, width: float
) -> Any:
    """Return the matrix that makes `m` pixels of `n`, each a mean of all that it covers."""
    if corners:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    else:
        step = 1 / scale if scale else n / m
    wide = max(step, 1.0)
    centres = step * (np.arange(m) + 0.5)
    first = np.maximum((centres - width * wide + 0.5).astype(int), 0)
    end = np.minimum((centres + width * wide + 0.5).astype(int), n)
    pixels = np.arange(n)
    found = kernel((pixels - centres[:, None] + 0.5) / wide)
    found = np.where((pixels >= first[:, None]) & (pixels < end[:, None]), found, 0)
    return found / found.sum(axis=1, keepdims=True)


def _smoothed(kernel: Any, width: float) -> Any:
    """Return an entry that resizes with a kernel as wide as a pixel of the result."""

    def entry(
        xp: Any,
        self: Any,
        output_size: Any,
        align_corners: bool,
        scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> Any:
        for axis, m, scale in ((-1, output_size[1], scales_w), (-2, output_size[0], scales_h)):
            weights = _smoothing(self.shape[axis], m, scale, align_corners, kernel, width)
            weights = xp.asarray(weights.astype(self.dtype))
            self = xp.matmul(self, weights.T) if axis == -1 else xp.matmul(weights, self)
        return self

    return entry


TABLE.entry("aten._upsample_bilinear2d_aa.default")(_smoothed(_triangle, 1.0))
TABLE.entry("aten._upsample_bicubic2d_aa.default")(_smoothed(_cubic, 2.0))
