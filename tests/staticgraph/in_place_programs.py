"""Random programs that write in place: one text that NumPy and both modes run.

A program keeps a few arrays, some of them views of others, and in each step makes another view or
array, or writes to one that it has. NumPy says what every one of them must hold in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Values = list[Any]
Step = Callable[[Any, Values], None]

_SHAPES = [(4,), (3, 4), (2, 3, 2)]


class _Writer:
    """Draw the steps of one program, and follow the shapes of its values with NumPy."""

    def __init__(self, rng: np.random.Generator, inputs: list[np.ndarray]) -> None:
        self.rng = rng
        self.values: Values = list(inputs)
        self.first = len(inputs)  # the inputs themselves are never written to
        self.steps: list[Step] = []
        self.text: list[str] = []

    def add(self, text: str) -> bool:
        """Add a step if NumPy runs it, and tell whether it did."""
        code = compile(text, "<step>", "exec")

        def step(m: Any, v: Values) -> None:
            exec(code, {"m": m, "v": v, "np": np})

        before = [x.copy() for x in self.values]
        try:
            with np.errstate(all="ignore"):
                step(_Numpy, self.values)
            if not all(isinstance(x, np.ndarray) and x.size for x in self.values):
                raise TypeError("NumPy has numbers where both modes have arrays")
        except (ValueError, IndexError, TypeError):
            del self.values[len(before) :]
            for x, old in zip(self.values, before, strict=True):
                if x.flags.writeable:
                    x[...] = old
            return False
        self.steps.append(step)
        self.text.append(text)
        return True

    def pick(self, written: bool = False) -> int:
        given = self.values[: self.first] if written else []
        own = [
            k for k, x in enumerate(self.values) if not any(np.shares_memory(x, y) for y in given)
        ]
        return own[int(self.rng.integers(len(own)))]

    def key(self, x: np.ndarray) -> str:
        entries = []
        for n in x.shape:
            i, j = sorted(self.rng.integers(0, n + 1, 2).tolist())
            entries.append(
                str(
                    self.rng.choice(
                        [":", f"{i}:{j}", "::-1", "::2", f"{n - 1}", f"-{n}", "None, :", f":{j}"]
                    )
                )
            )
        keep = int(self.rng.integers(0, len(entries) + 1))
        return ", ".join(entries[:keep]) or "..."

    def choice(self, options: list[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def view(self) -> str:
        k = self.pick()
        x = self.values[k]
        axes = tuple(self.rng.permutation(x.ndim).tolist())
        return self.choice(
            [
                f"v.append(v[{k}][{self.key(x)}])",
                f"v.append(v[{k}][{self.key(x)}])",
                f"v.append(m.permute_dims(v[{k}], {axes}))",
                f"v.append(m.reshape(v[{k}], (-1,)))",
                f"v.append(m.reshape(v[{k}], {x.shape[::-1]}))",
                f"v.append(m.expand_dims(v[{k}], axis=0))",
                f"v.append(m.flip(v[{k}], axis={x.ndim - 1}))",
                f"v.append(v[{k}])",
            ]
        )

    def array(self) -> str:
        k, j = self.pick(), self.pick()
        return self.choice(
            [
                f"v.append(m.sin(v[{k}]))",
                f"v.append(v[{k}] * 0.5)",
                f"v.append(v[{k}] + v[{j}])",
                f"v.append(m.zeros_like(v[{k}]))",
                "v.append(m.zeros((3, 4), dtype='float64'))",
            ]
        )

    def write(self) -> str:
        k, j = self.pick(written=True), self.pick()
        x = self.values[k]
        operator = self.choice(["+=", "-=", "*="])
        other = self.choice(["0.5", f"m.cos(v[{j}])", f"v[{j}]", f"v[{k}]"])
        n = x.shape[0] if x.ndim else 1
        indices = self.rng.integers(-n, n, 3).tolist()
        mask = (self.rng.random(n) < 0.5).tolist()
        return self.choice(
            [
                f"v[{k}] {operator} {other}",
                f"v[{k}] {operator} {other}",
                f"v[{k}][{self.key(x)}] {operator} {other}",
                f"v[{k}][{self.key(x)}] = {other}",
                f"v[{k}][{indices}] = {other}",
                f"v[{k}][np.array({mask})] = 0.25",
                f"v[{k}][{indices}] += 1.0",
                f"for row in v[{k}][None]: row *= 0.5",
                f"np.multiply(v[{k}], 0.75, out=v[{k}])",
                f"np.add(v[{k}], {other}, out=v[{k}])",
            ]
        )


class _Numpy:
    """NumPy under the names of both modes."""

    sin, cos, reshape, flip, zeros, zeros_like = (
        np.sin,
        np.cos,
        np.reshape,
        np.flip,
        np.zeros,
        np.zeros_like,
    )
    permute_dims = staticmethod(np.transpose)
    expand_dims = staticmethod(np.expand_dims)


class Program:
    """Steps on a list of values.

    Parameters
    ----------
    seed : int
    length : int
        The number of steps.

    Attributes
    ----------
    inputs : list of numpy.ndarray
    expected : list of numpy.ndarray
        What NumPy's values are in the end.
    text : str
    """

    def __init__(self, seed: int, length: int = 14) -> None:
        rng = np.random.default_rng(seed)
        self.inputs = [rng.uniform(-1, 1, shape) for shape in _SHAPES]
        writer = _Writer(rng, [x.copy() for x in self.inputs])
        for k in range(len(self.inputs)):  # what is written to is the program's own
            writer.add(f"v.append(v[{k}] * 1.0)")
        while len(writer.steps) < length:
            draw = rng.random()
            kind = writer.view if draw < 0.35 else writer.array if draw < 0.5 else writer.write
            writer.add(kind())
        self._steps = writer.steps
        self.text = "\n".join(writer.text)
        self.expected = [np.array(x) for x in writer.values]

    def run_on(self, m: Any, *inputs: Any) -> Values:
        """Return all values of the program in the mode whose namespace is `m`."""
        values = list(inputs)
        for step in self._steps:
            step(m, values)
        return values
