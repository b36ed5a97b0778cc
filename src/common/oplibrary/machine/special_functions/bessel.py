"""Modified Bessel functions of the first kind."""

from __future__ import annotations

import math
from functools import partial

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics import exp
from oplibrary.machine.register import Register
from oplibrary.machine.special_functions.registry import in_double

_BORDER = 8.0
_LARGEST = 200.0
"""From here on the functions are infinite in float."""
# exp(-x) * i0(x) and exp(-x) * i1(x) / x in powers of x / 4 - 1, up to the border
_SMALL = {
    0: (
        0.20700192113298854,
        -0.1130043268544693,
        0.09451564672892827,
        -0.08904344770455307,
        0.08734281771702368,
        -0.08496317214579,
        0.07928284334431146,
        -0.06954385402504584,
        0.05672795589861263,
        -0.04296881129335962,
        0.030358703692477982,
        -0.019745851414068618,
        0.011557353661066808,
        -0.006651419484491594,
        0.004166015653562654,
        -0.0020044758245779414,
        0.0004143919060489856,
        -0.00022722968338111303,
        0.00034824109057890804,
        -0.00013152060630607088,
    ),
    1: (
        0.04468770986450251,
        -0.061124338025990106,
        0.06805760212960305,
        -0.06848260694070092,
        0.06376733064622675,
        -0.05528001503648954,
        0.0446755031610766,
        -0.03367166370472805,
        0.023680016667049938,
        -0.015569320920202672,
        0.009606095385955372,
        -0.005541908244896256,
        0.0029563628396675574,
        -0.001522471036028631,
        0.000812047943412777,
        -0.0003636452040028463,
        9.375809886867844e-05,
        -4.317720058003002e-05,
        4.7479082033953785e-05,
        -1.694785151624946e-05,
    ),
}
# exp(-x) * sqrt(x) times either in powers of 16 / x - 1, beyond it
_LARGE = {
    0: (
        0.4021765094304104,
        0.0033605519772923567,
        0.0001362168064095406,
        1.114335783616667e-05,
        1.4779039317130925e-06,
        2.9454355258644655e-07,
        1.0581912143444269e-07,
        4.87052699324228e-08,
        1.4299052612198226e-09,
        -7.604476628119482e-09,
    ),
    1: (
        0.3893984590413705,
        -0.00974957718622692,
        -0.00021923654075302202,
        -1.5038903140823282e-05,
        -1.8286126404951484e-06,
        -3.4530445206404697e-07,
        -1.180581934125939e-07,
        -5.331069808950009e-08,
        -2.3366532025618313e-09,
        7.805544285716195e-09,
    ),
}


def _scaled_bessel(code: Code, a: Register, order: int) -> Register:
    """Return exp(-a) times the function of an order, for a of at least 0."""
    small = code.smaller(a, _BORDER)
    below = code.polynomial(code.fma(small, 0.25, -1.0), _SMALL[order])
    if order:
        below = below * small
    large = code.larger(a, _BORDER)
    above = code.polynomial(16.0 / large - 1.0, _LARGE[order])
    above = above / code.call_intrinsic("sqrt", large)
    return code.select(a.greater(_BORDER), above, below)


def _bessel(order: int, scaled: bool, code: Code, x: Register) -> Register:
    a = code.absolute(x)
    if not scaled:
        # of infinity SciPy's are NaN
        a = code.select(a.equals(math.inf), math.nan, code.smaller(a, _LARGEST))
    found = _scaled_bessel(code, a, order)
    if not scaled:
        found = found * exp(code, a)
    return code.select(x.equals(0.0), 0.0, code.copy_sign(found, x)) if order else found


for _name, _order, _scaled in (
    ("i0", 0, False),
    ("i1", 1, False),
    ("i0e", 0, True),
    ("i1e", 1, True),
):
    in_double(_name)(partial(_bessel, _order, _scaled))
