"""NumPy's functions that are compositions of ops, and so run in every mode.

They are loaded when one of them is first asked for: importing this package enters their names.
"""

from __future__ import annotations

from oplibrary.core.op import enter_late

enter_late(
    "oplibrary.numerical.arrangement",
    """
    append array_split atleast_1d atleast_2d atleast_3d block column_stack delete diagflat dsplit
    dstack flatnonzero fliplr flipud hsplit hstack insert ix_ ravel resize rollaxis rot90 trim_zeros
    vsplit vstack
    """,
)
enter_late("oplibrary.numerical.averages", "average corrcoef cov ptp")
enter_late(
    "oplibrary.numerical.choosing",
    """
    argpartition choose compress extract lexsort partition piecewise ravel_multi_index select
    sort_complex unravel_index
    """,
)
enter_late(
    "oplibrary.numerical.closeness",
    """
    allclose array_equal array_equiv isclose iscomplex iscomplexobj isneginf isposinf isreal
    isrealobj
    """,
)
enter_late(
    "oplibrary.numerical.counting",
    """
    bincount digitize histogram histogram2d histogram_bin_edges histogramdd intersect1d setdiff1d
    setxor1d union1d
    """,
)
enter_late("oplibrary.numerical.differences", "ediff1d gradient interp trapezoid unwrap")
enter_late(
    "oplibrary.numerical.missing_values",
    """
    nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd nansum
    nanvar
    """,
)
enter_late("oplibrary.numerical.polynomials", "poly polydiv roots")
enter_late(
    "oplibrary.numerical.products",
    """
    convolve correlate fix inner kron polyadd polyder polyfit polyint polymul polysub polyval sinc
    vander vdot
    """,
)
enter_late(
    "oplibrary.numerical.quantiles",
    "median nanmedian nanpercentile nanquantile percentile quantile",
)
