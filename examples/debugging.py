"""print and pdb in the middle of a model: find the layer where the numbers explode.

A deep network gives NaN. In the dynamic mode every value is there as soon as its line has run, so
the oldest tools work: ``print`` shows the size of each layer's result, and a breakpoint on a
condition stops in the layer that is to blame, with its tensors in reach. `run` types the debugger's
commands by itself, so that the program needs nobody at the keyboard.

A static graph refuses at the number in the message. A plain ``print(x)`` it accepts, and prints the
name of a node, once, while the graph is declared; no later run prints anything.
"""

import io
import pdb
import sys

import numpy as np

import dyngraph as dg
import staticgraph as sg
from sidebyside import Example
from sidebyside.workloads.datasets import breast_cancer

DEPTH = 8
BROKEN = 5
"""The layer whose weights were drawn a thousand times too large."""

COMMANDS = """\
p depth
p weight.shape
p f"{abs(weight).max().item():.0f}"
continue
"""


def forward(xp, layers, x, limit, breakpoint_here, log):
    """Return what the network makes of `x`; stop at the first layer whose result is too large."""
    seen = False
    for depth, weight in enumerate(layers):
        x = xp.relu(x @ weight)
        size = xp.sqrt(xp.mean(x * x))
        print(f"layer {depth}: {size.item():.3g}", file=log)
        if size > limit and not seen:
            seen = True
            breakpoint_here()
    return x


def initial_layers():
    rng = np.random.default_rng(0)
    layers = [rng.normal(0, 0.25, (30, 30)).astype(np.float32) for _ in range(DEPTH)]
    layers[BROKEN] *= 1000
    return layers


def stop(commands, screen):
    """Return a breakpoint whose debugger reads its commands from a text."""
    debugger = pdb.Pdb(stdin=io.StringIO(commands), stdout=screen, readrc=False, nosigint=True)
    debugger.use_rawinput = False
    debugger.prompt = ""
    return lambda: debugger.set_trace(sys._getframe(1))


def run(xp=dg, limit=100.0):
    """Run the network under the debugger; return what was printed and what pdb showed."""
    log, screen = io.StringIO(), io.StringIO()
    layers = [xp.tensor(layer, requires_grad=True) for layer in initial_layers()]
    x = xp.tensor(breast_cancer().train_x)
    result = forward(xp, layers, x, limit, stop(COMMANDS, screen), log)
    result.sum().backward()  # the graph is whole, although the debugger stopped inside it
    return {
        "printed": log.getvalue().splitlines(),
        "debugger": screen.getvalue().splitlines(),
        "gradients": [layer.grad is not None for layer in layers],
    }


def declare():
    """Trace the same function: SBS-302 at ``size.item()``."""
    x = sg.TensorType((455, 30), "float32")
    log = io.StringIO()
    return sg.trace(
        lambda layers, x: forward(sg, layers, x, 100.0, lambda: None, log), initial_layers(), x
    )


def print_node(log):
    """Trace a function with a plain print in it, and run it twice: one line, without a number."""

    def doubled(x):
        y = x * 2
        print(y, file=log)
        return y

    graph = sg.trace(doubled, sg.TensorType((2,), "float32"))
    compiled = sg.compile(graph.outputs, inputs=graph.inputs)
    for number in (1, 2):
        compiled(np.full(2, number, np.float32))


def watched(xp, layers, x):
    """Return the network's result, the lines printed on the way and the stops of the debugger."""
    log, stops = io.StringIO(), []
    result = forward(xp, layers, x, 100.0, lambda: stops.append("here"), log)
    return xp.sum(result), len(log.getvalue().splitlines()), len(stops)


def networks():
    """Return a broken network and a sound one."""
    broken, sound = initial_layers(), initial_layers()
    sound[BROKEN] /= 1000
    return [(layers, breast_cancer().train_x) for layers in (broken, sound)]


printed = []


def printing(xp, x):
    """Return twice `x`, and how often that was printed so far."""
    y = x * 2
    print(y)
    printed.append("once more")
    return y, len(printed)


def numbers():
    return [(np.full(2, number, np.float32),) for number in (1, 2, 3)]


PROGRAMS = (
    Example(watched, inputs=networks, wrt=(0,)),
    Example(printing, inputs=numbers, name="plain print"),
)


def main():
    found = run()
    print("\n".join(found["printed"]))
    print("--- the debugger, at the breakpoint ---")
    print("\n".join(found["debugger"]))


if __name__ == "__main__":
    main()
