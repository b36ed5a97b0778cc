"""Every op in both modes by either make of kernels: ``python -m tests.common.both_makes``.

Results and gradients of dyngraph and of a static program that runs op by op are the same bits,
whichever make is chosen. The tests take a sample.
"""

import sys

import numpy as np

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.executors import kernels

CASES = [
    (op, number)
    for op in REGISTRY.values()
    for number in range(len(op.examples))
    if not op.effect and op.control is None
]

BY_OPS = ("interpret", "numpy")
"""The backends that run op by op."""


def in_both_modes(op, number, make):
    """Return what dyngraph and staticgraph give: the result, and a gradient for each operand."""
    example = op.examples[number]
    rng = np.random.default_rng(number)
    operands = draw(op, example, np.dtype("float32"), rng)
    attrs = dict(example.attrs)
    with kernels.set_kernels(make):
        xs = [
            dg.tensor(x, requires_grad=x.dtype.kind in "fc" and op.operand_rule(i) is not None)
            for i, x in enumerate(operands)
        ]
        y = op(*xs, **attrs)
        if isinstance(y, tuple):
            return None
        if not op.view and any(np.may_share_memory(y._array, x._array) for x in xs):
            raise AssertionError("the result is in the memory of an operand")
        wrt = [i for i, x in enumerate(xs) if x.requires_grad] if y.requires_grad else []
        g = rng.standard_normal(y.shape).astype(y.dtype)
        found = dg.grad(y, [xs[i] for i in wrt], [g], unused="none") if wrt else ()
        dynamic = [y, *found]
        with sg.Graph():
            nodes = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
            cotangent = sg.placeholder("g", g.shape, g.dtype)
            y = op(*nodes, **attrs)
            gradients = (
                sg.gradients(y, [nodes[i] for i in wrt], [cotangent], unused="none") if wrt else ()
            )
            there = [y, *[each for each in gradients if each is not None]]
            static = []
            for backend in BY_OPS:
                run = sg.compile(there, inputs=[*nodes, cotangent], backend=backend)
                static += run(*operands, g)
    return [x.detach().numpy() for x in dynamic if x is not None] * len(BY_OPS), static


def difference(op, number, make):
    """Return in words where the modes differ, or None."""
    both = in_both_modes(op, number, make)
    if both is None:
        return None
    for place, (ours, theirs) in enumerate(zip(*both, strict=True)):
        if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            return f"value {place}: {ours.dtype}{ours.shape} and {theirs.dtype}{theirs.shape}"
        if ours.tobytes() != theirs.tobytes():
            nearest = np.abs(np.asarray(ours, complex) - theirs).max()
            return f"value {place} differs by up to {nearest:.3g}"
    return None


def main():
    """Compare all and print what differs."""
    kernels.LARGE = 1
    failures = 0
    for op, number in CASES:
        for make in kernels.MAKES:
            try:
                found = difference(op, number, make)
            except Exception as error:
                found = f"{type(error).__name__}: {error}".splitlines()[0]
            if found:
                failures += 1
                print(f"{op.name}, example {number}, {make}: {found}", flush=True)
    print(f"{len(CASES)} examples, {failures} differences")
    print(kernels.kernels_report())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
