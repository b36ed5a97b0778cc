"""PyTorch's operators that are not in the table, and why: what the error of each says."""

from __future__ import annotations

_BY_VALUES = "how many elements the result has depends on values, and a graph declares its shapes"
_MASKED = "write torch.where(mask, x, 0), whose shape does not depend on x"
_NEIGHBOURS = "sort, and compare neighbours: x[1:] != x[:-1]"
_WRITES = "it writes into what it is given; torch.export gives the operator that does not"
_GRADIENT = "gradients are taken here: imported.loss_with(loss), then sg.grad"
_BACKWARD = "it is a part of PyTorch's own backward pass, which no module calls"
_STRIDES = "it asks where elements lie in memory, which no value here says"
_FUNCTION = "the library does not have this function"
_LU = "the library has no LU decomposition"
_SOLVE = "write torch.linalg.solve(a, b)"
_DRAWS = "the library does not draw from this distribution"
_OUTSIDE = "draw the random numbers outside, and pass them as an argument"

REFUSED: dict[str, tuple[str, str]] = {
    # what the core set has
    "aten._adaptive_avg_pool2d_backward.default": (_BACKWARD, _GRADIENT),
    "aten.avg_pool2d_backward.default": (_BACKWARD, _GRADIENT),
    "aten.convolution_backward.default": (_BACKWARD, _GRADIENT),
    "aten.max_pool2d_with_indices_backward.default": (_BACKWARD, _GRADIENT),
    "aten.embedding_dense_backward.default": (_BACKWARD, _GRADIENT),
    "aten._native_batch_norm_legit.default": (_WRITES, "export it with torch.export.export"),
    "aten.atan2.out": (_WRITES, "write torch.atan2(y, x)"),
    "aten.resize_.default": (_WRITES, "write x.reshape(shape)"),
    "aten.as_strided.default": (_STRIDES, "write x.reshape(shape), or x.unfold(axis, size, step)"),
    "aten.empty_strided.default": (_STRIDES, "write torch.empty(shape)"),
    "aten.sym_storage_offset.default": (_STRIDES, "index with x[start:]"),
    "aten.sym_stride.int": (_STRIDES, "compute with x.shape"),
    "aten._local_scalar_dense.default": (
        "it takes a value out of a run, and a graph is declared before it",
        "leave out .item(), and compute with the tensor itself",
    ),
    "aten.nonzero.default": (
        _BY_VALUES,
        "write torch.where(mask, x, other), whose shape does not depend on x",
    ),
    # what lies beyond it
    "aten.masked_select.default": (_BY_VALUES, _MASKED),
    "aten.nonzero_static.default": (_FUNCTION, _MASKED),
    "aten.unique_consecutive.default": (
        _BY_VALUES,
        _NEIGHBOURS,
    ),
    "aten.unique_dim.default": (_BY_VALUES, _NEIGHBOURS),
    "aten._unique2.default": (_BY_VALUES, _NEIGHBOURS),
    "aten.bincount.default": (
        _BY_VALUES,
        "write torch.zeros(n).index_add(0, x, torch.ones(x.shape))",
    ),
    "aten.repeat_interleave.Tensor": (_BY_VALUES, "repeat each element the same number of times"),
    "aten.as_strided_scatter.default": (_STRIDES, "write torch.slice_scatter(x, y, axis, start)"),
    "aten.view.dtype": (
        "it reads the bits of numbers as those of another dtype",
        "write x.to(dtype), which converts the numbers",
    ),
    "aten.mode.default": (_FUNCTION, "count with torch.histc, and take the argmax"),
    "aten.linalg_lu.default": (_LU, _SOLVE),
    "aten.linalg_lu_factor_ex.default": (_LU, _SOLVE),
    "aten.linalg_lu_solve.default": (_LU, _SOLVE),
    "aten.lu_unpack.default": (_LU, _SOLVE),
    "aten.linalg_ldl_factor_ex.default": ("the library has no LDL decomposition", _SOLVE),
    "aten.linalg_ldl_solve.default": ("the library has no LDL decomposition", _SOLVE),
    "aten.linalg_householder_product.default": (_FUNCTION, "write torch.linalg.qr(x).Q"),
    "aten.ormqr.default": (_FUNCTION, "write torch.linalg.qr(x).Q @ y"),
    "aten.igamma.default": (_FUNCTION, "compute it outside, and pass it as an argument"),
    "aten.igammac.default": (_FUNCTION, "compute it outside, and pass it as an argument"),
    "aten.special_zeta.default": (_FUNCTION, "compute it outside, and pass it as an argument"),
    "aten.fractional_max_pool2d.default": (_DRAWS, "write torch.nn.MaxPool2d"),
    "aten.multinomial.default": (_DRAWS, _OUTSIDE),
    "aten.geometric.default": (_DRAWS, _OUTSIDE),
    "aten._standard_gamma.default": (_DRAWS, _OUTSIDE),
    "aten.rrelu_with_noise_functional.default": (_DRAWS, "write torch.nn.LeakyReLU"),
}
"""By the operator's name: the cause, and what to write in its place."""
