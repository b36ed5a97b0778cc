"""Special functions: those of floats that are written out, and SciPy's of one double at a time."""

from __future__ import annotations

from functools import partial

from oplibrary.machine.code import Code
from oplibrary.machine.foreign.functions import declare, special
from oplibrary.machine.mathematics.registry import function
from oplibrary.machine.register import Register
from oplibrary.machine.special_functions import IN_SINGLE

SPECIAL = {
    **{name: name for name in "erfc erfinv ndtr ndtri log_ndtr i0 i1 i0e i1e".split()},
    "lgamma": "gammaln",
    "digamma": "psi",
}
"""What SciPy calls the functions of scalar expressions."""


def _write(name: str, symbol: str, code: Code, x: Register) -> Register:
    """Write a special function for each lane of float or double numbers."""
    if x.element == "float" and name in IN_SINGLE:
        return IN_SINGLE[name](code, x)
    declare(code.module, symbol)
    if x.lanes == 1:
        return _of_one(code, symbol, x)
    memory = code.allocate(x.element, x.lanes)  # where a lane is quickly found
    code.store(x, memory)
    loop = code.begin_loop(0, x.lanes, 1, [])
    place = code.address(memory, loop.index, x.element)
    code.store(_of_one(code, symbol, code.load(place, x.element)), place)
    code.end_loop(loop, [])
    return code.load(memory, x.element, x.lanes)


def _of_one(code: Code, symbol: str, x: Register) -> Register:
    wide = code.cast("fpext", x, "double") if x.element == "float" else x
    found = code.effect(f"call double @{symbol}(double {wide.ref}, i32 0)", "double", 1)
    return code.cast("fptrunc", found, "float") if x.element == "float" else found


for _name, _scipys in SPECIAL.items():
    function(_name)(partial(_write, _name, special(_scipys)))
