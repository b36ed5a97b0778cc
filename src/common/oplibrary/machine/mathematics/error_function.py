"""erf."""

from __future__ import annotations

from oplibrary.machine.code import Code
from oplibrary.machine.mathematics.exponential import exp
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register

_BORDER = {"float": 0.927734375, "double": 0.92}
# erf(x) / x - 1 in powers of x**2, below the border
_SMALL = {
    "float": (
        1.28379166e-1,
        -3.76125336e-1,
        1.12819925e-1,
        -2.67681349e-2,
        4.99119423e-3,
        -5.96761703e-4,
    ),
    "double": (
        0.1283791670955126,
        -0.37612638903183754,
        0.11283791670955039,
        -0.026866170645110155,
        0.005223977625176331,
        -0.0008548327003471574,
        0.00012055332015917224,
        -1.4925618991769905e-05,
        1.6461414930427826e-06,
        -1.635508694727773e-07,
        1.4694604915621658e-08,
        -1.151864784269228e-09,
        6.223937189656054e-11,
    ),
}
# log(1 - erf(x)), above the border; the float coefficients are those of N. Juffa (2015)
_LARGE = {
    "float": (
        0.0,
        -1.12871752,
        -6.34846687e-1,
        -1.06777877e-1,
        2.42546219e-2,
        -3.88396438e-3,
        3.83197126e-4,
        -1.72853470e-5,
    ),
    "double": (
        2.5450637473752394e-08,
        -1.1283794935503688,
        -0.6366177924889155,
        -0.10278015652878161,
        0.019148788556719518,
        0.00016806271002267484,
        -0.001631378134757547,
        0.0005085555633284489,
        5.730511105828735e-05,
        -0.00013380905103877572,
        7.698630561029576e-05,
        -2.9572155255056835e-05,
        8.648335962114993e-06,
        -2.0012074584262373e-06,
        3.695855685015047e-07,
        -5.409218805341814e-08,
        6.150711973204326e-09,
        -5.244970666215912e-10,
        3.1567346219789443e-11,
        -1.1953923279284025e-12,
        2.140943768614465e-14,
    ),
}
_LAST = {"float": 4.0, "double": 6.0}


@function("erf")
def erf(code: Code, x: Register) -> Register:
    """Write the error function: a polynomial near 0, else 1 less the exponential of one."""
    magnitude = code.absolute(x)
    a = code.smaller(magnitude, _LAST[x.element])
    near = code.fma(code.polynomial(x * x, _SMALL[x.element]), x, x)
    exponent = code.polynomial(a, _LARGE[x.element])
    far = code.copy_sign(1.0 - exp(code, exponent), x)
    return code.select(magnitude.less(_BORDER[x.element]), near, far)
