"""What another process can import: functions of static functions that are sent there."""

import staticgraph as sg


@sg.function
def decorated(x, factor):
    """Sum, scaled."""
    return sg.sum(sg.tanh(x)) * factor


def plain(x):
    return sg.exp(x) - 1


class Model:
    def __init__(self, weight):
        self.weight = weight
        self.step = sg.function(self.forward, backend="numpy")

    def forward(self, x):
        return x * self.weight

    @sg.function
    def method(self, x):
        return x + 1


def call(function, *args):
    """Run what was sent, and give back plain values."""
    return function(*args)


def train(executable, x):
    """Run twice; return the results and the state."""
    executable(x)
    results = executable(x)
    return results, {name: v.value for name, v in executable.variables.items()}
