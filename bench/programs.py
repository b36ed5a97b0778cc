"""Programs that only the benchmarks need, written once for every namespace."""

import dyngraph as dg


def with_machine_code(make):
    """Return what `make` does, in a process whose operations are machine code from now on."""
    dg.set_kernels("machine")
    return make()


def small_ops(xp, x, w, count):
    """Return the sum after `count` small operations, a chain of products and tanhs."""
    for _ in range(count // 2):
        x = xp.tanh(x * w)
    return xp.sum(x)


def layers(xp, x, weight, bias, count):
    """Return the sum after a deep network of about `count` operations, three a layer."""
    for _ in range(count // 3):
        x = xp.tanh(x @ weight + bias)
    return xp.sum(x)


def unlike_ops(xp, x, w, count):
    """Return the sum after `count` elementwise operations, no two of which compute the same."""
    for _ in range(count // 4):
        x = xp.tanh(x * w) - xp.exp(-x)
    return xp.sum(x)
