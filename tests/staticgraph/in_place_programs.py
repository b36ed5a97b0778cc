"""Random programs that write in place: one text that NumPy and both modes run.

A program keeps a few arrays, some of them views of others, and in each step makes another view or
array, writes to one that it has, or runs such steps in a branch or around a loop. NumPy says what
every one of them must hold in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.staticgraph.random_programs import Made

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.messages.errors import InPlaceError, NotDifferentiableError
from staticgraph.declare.lower import lower

Values = list[Any]
Step = Callable[[Any, Values], None]

_SHAPES = [(4,), (3, 4), (2, 3, 2)]
_LARGEST = 1e6
"""Elements whose sine no longer says anything."""


class _Writer:
    """Draw the steps of one program, and follow the shapes of its values with NumPy.

    Parameters
    ----------
    rng : numpy.random.Generator
    inputs : list of numpy.ndarray
        They are never written to.
    outer : list of numpy.ndarray
        Values from around a branch or a body, which may be read.
    regions : bool
        Whether steps may be branches and loops.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        inputs: list[np.ndarray],
        outer: Values | None = None,
        regions: bool = False,
    ) -> None:
        self.rng = rng
        self.values: Values = list(inputs)
        self.first = len(inputs)  # the inputs themselves are never written to
        self.outer = outer or []
        self.regions = regions
        self.steps: list[Step] = []
        self.text: list[str] = []

    def add(self, text: str) -> bool:
        """Add a step if NumPy runs it, and tell whether it did."""
        code = compile(text, "<step>", "exec")

        def step(m: Any, v: Values) -> None:
            exec(code, {"m": m, "v": v, "np": np, "write": write, "outer": self.outer})

        before = [x.copy() for x in self.values]
        try:
            with np.errstate(all="ignore"):
                step(_Numpy, self.values)
            if not all(isinstance(x, np.ndarray) and x.size for x in self.values):
                raise TypeError("NumPy has numbers where both modes have arrays")
            if not all(np.abs(x).max() < _LARGEST for x in self.values):
                raise ValueError("what grows so large rounds to nothing that can be compared")
        except (ValueError, IndexError, TypeError):
            del self.values[len(before) :]
            for x, old in zip(self.values, before, strict=True):
                if x.flags.writeable:
                    x[...] = old
            return False
        self.steps.append(step)
        self.text.append(text)
        return True

    def draw(self) -> bool:
        """Draw a step, and tell whether it was added."""
        number = self.rng.random()
        kind = self.view if number < 0.35 else self.array if number < 0.5 else self.write
        if self.regions and number > 0.88:
            kind = self.region
        return self.add(kind())

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

    def other(self) -> str:
        """Return what reads a value, now and then one from outside."""
        if self.outer and self.rng.random() < 0.3:
            return f"outer[{int(self.rng.integers(len(self.outer)))}]"
        return f"v[{self.pick()}]"

    def array(self) -> str:
        k, j = self.pick(), self.pick()
        return self.choice(
            [
                f"v.append(m.sin(v[{k}]))",
                f"v.append(v[{k}] * 0.5)",
                f"v.append(v[{k}] + v[{j}])",
                f"v.append(v[{k}] * {self.other()})",
                f"v.append(m.zeros_like(v[{k}]))",
                "v.append(m.zeros((3, 4), dtype='float64'))",
            ]
        )

    def write(self) -> str:
        k, j = self.pick(written=True), self.pick()
        x = self.values[k]
        operator = self.choice(["+=", "-=", "*="])
        other = self.choice(["0.5", f"m.cos({self.other()})", f"v[{j}]", f"v[{k}]"])
        method = self.choice(["add_", "sub_", "mul_", "copy_"])
        alone = self.choice(["square_", "neg_", "zero_", "abs_"])
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
                f"write(v[{k}], '{method}', {other})",
                f"write(v[{k}][{self.key(x)}], '{method}', {other})",
                f"write(v[{k}], '{alone}')",
                f"write(v[{k}], 'fill_', 0.5)",
            ]
        )

    def region(self) -> str:
        """Return a branch or a loop whose body is steps on values of its own."""
        k = self.pick()
        carry = self.values[k].copy()
        kind = self.choice(["cond", "fori_loop", "scan", "while_loop"])
        row = carry if kind == "scan" else None
        bodies = [self.body(carry, row) for _ in range(2 if kind == "cond" else 1)]
        lines = ["outer = v"]
        for name, body in zip("fg", bodies, strict=False):
            lines += [f"def {name}(c{', r' if kind == 'scan' else ''}):"]
            lines += [f"    {line}" for step in body for line in step.split("\n")]
            lines += ["    return (v[0], v[-1])" if kind == "scan" else "    return v[0]"]
        rounds = int(self.rng.integers(0, 4))
        lines += {
            "cond": [f"v.append(m.cond(m.sum(v[{k}]) > 0.3, f, g, v[{k}] * 1.0))"],
            "fori_loop": [f"v.append(m.fori_loop(0, {rounds}, lambda i, c: f(c), v[{k}]))"],
            "scan": [f"v.extend(m.scan(f, v[{k}], m.stack([v[{k}], v[{k}] * 0.5])))"],
            "while_loop": [
                f"n, c = m.while_loop(lambda s: s[0] < {rounds}, "
                f"lambda s: (s[0] + 1, f(s[1])), (m.asarray(0), v[{k}]))",
                "v.append(c)",
            ],
        }[kind]
        return "\n".join(lines)

    def body(self, carry: np.ndarray, row: np.ndarray | None) -> list[str]:
        """Return the steps of a body whose carry is written to; it keeps its shape."""
        inner = _Writer(self.rng, [], outer=list(self.values))
        inner.values = [carry * 1.0]
        steps = ["v = [c * 1.0]"] if row is None else ["v = [c * 1.0, r * 1.0]"]
        if row is not None:
            inner.values.append(row * 1.0)
        for _ in range(int(self.rng.integers(2, 6))):
            inner.draw()
        return steps + inner.text


def write(x: Any, method: str, *others: Any) -> None:
    """Write to `x` by one of its methods in place, or to an array what that method would."""
    if isinstance(x, np.generic):
        raise TypeError("NumPy has a number where both modes have an array")
    if not isinstance(x, np.ndarray):
        getattr(x, method)(*others)
    elif method in ("copy_", "fill_"):
        x[...] = np.broadcast_to(others[0], x.shape)  # an assignment drops axes of length 1 as well
    elif method == "zero_":
        x[...] = 0
    else:
        # not by out=x: np.negative (NumPy 2.4) reads the wrong numbers with some strides of both
        result = np.broadcast_to(_UFUNCS[method](x, *others), x.shape)
        np.copyto(x, result, casting="same_kind")


_UFUNCS = {
    "add_": np.add,
    "sub_": np.subtract,
    "mul_": np.multiply,
    "square_": np.square,
    "neg_": np.negative,
    "abs_": np.absolute,
}


class _Numpy:
    """NumPy under the names of both modes."""

    sin, cos, reshape, flip, zeros, sum, stack, asarray = (
        np.sin,
        np.cos,
        np.reshape,
        np.flip,
        np.zeros,
        np.sum,
        np.stack,
        np.asarray,
    )
    permute_dims = staticmethod(np.transpose)
    expand_dims = staticmethod(np.expand_dims)

    @staticmethod
    def zeros_like(x: np.ndarray) -> np.ndarray:
        return np.zeros(x.shape, x.dtype)  # row-major in both modes, whatever x is

    @staticmethod
    def cond(pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        return _row_major((true_fn if pred else false_fn)(*operands))

    @staticmethod
    def fori_loop(lower: int, upper: int, body: Any, init: Any) -> Any:
        carry = init.copy()
        for i in range(lower, upper):
            carry = _row_major(body(i, carry))
        return carry

    @staticmethod
    def scan(body: Any, init: Any, xs: Any) -> Any:
        carry, rows = init.copy(), []
        for x in _row_major(xs):
            carry, row = map(_row_major, body(carry, x))
            rows.append(row.copy())
        return carry, np.stack(rows)

    @staticmethod
    def while_loop(test: Any, body: Any, init: Any) -> Any:
        carry = tuple(x.copy() for x in init)
        while test(carry):
            carry = tuple(map(_row_major, body(carry)))
        return carry


def _row_major(x: np.ndarray) -> np.ndarray:
    """Return `x` as branches and loops give it: itself, or a copy in row-major order."""
    return np.asarray(x, order="C")


class Program:
    """Steps on a list of values.

    Parameters
    ----------
    seed : int
    length : int
        The number of steps. A shorter program has the first steps of a longer one.
    regions : bool
        Whether some steps are branches and loops.
    dtypes : tuple of str
        Of the inputs, one after another.

    Attributes
    ----------
    inputs : list of numpy.ndarray
    expected : list of numpy.ndarray
        What NumPy's values are in the end.
    text : str
    """

    def __init__(
        self,
        seed: int,
        length: int = 14,
        regions: bool = False,
        dtypes: tuple[str, ...] = ("float64",) * 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.inputs = [
            rng.uniform(-1, 1, shape).astype(dtype)
            for shape, dtype in zip(_SHAPES, dtypes, strict=True)
        ]
        writer = _Writer(rng, [x.copy() for x in self.inputs], regions=regions)
        for k in range(len(self.inputs)):  # what is written to is the program's own
            writer.add(f"v.append(v[{k}] * 1.0)")
        while len(writer.steps) < length:
            writer.draw()
        self._steps = writer.steps
        self.text = "\n".join(writer.text)
        self.expected = [np.array(x) for x in writer.values]

    def run_on(self, m: Any, *inputs: Any) -> Values:
        """Return all values of the program in the mode whose namespace is `m`."""
        values = list(inputs)
        for step in self._steps:
            step(m, values)
        return values


def total(m: Any, values: Values) -> Any:
    """Return a number that every element of `values` has a part in."""
    result = 0.0
    for number, value in enumerate(values):
        result = result + m.sum(m.sin(value) * (number + 1.0))
    return result


class Eager:
    """Runs a program in dyngraph.

    Parameters
    ----------
    program : Program
    order : int
        Of the gradients, 0 to 2.
    regroups : bool
        Whether sums are made in another order than in staticgraph, which may round otherwise.
    """

    def __init__(self, program: Program, order: int, regroups: bool) -> None:
        self.program = program
        self.order = order
        self.regroups = regroups

    def __call__(self) -> list[np.ndarray]:
        """Return the values, then the gradients if no write overwrote what they need."""
        leaves = [dg.tensor(x.copy(), requires_grad=True) for x in self.program.inputs]
        values = self.program.run_on(dg, *leaves)
        found = [x.detach().numpy().copy() for x in values]
        try:
            grads = gradients(dg, values, leaves, self.order)
        except InPlaceError:
            return found
        return found + [x.detach().numpy() for x in grads]


def gradients(m: Any, values: Values, sources: Values, order: int) -> Values:
    """Return the gradients of the total of `values`, or of the squares of its gradients."""
    number = total(m, values)
    found: Values = []
    for left in range(order, 0, -1):
        if m is sg:
            found = list(sg.gradients(number, sources, unused="zero"))
        else:
            found = list(dg.grad(number, sources, unused="zero", create_graph=left > 1))
        number = m.sum(m.stack([m.sum(x * x) for x in found]))
    return found


def make(seed: int) -> Made:
    """Return the random program of a seed, as it is compiled and as dyngraph runs it."""
    rng = np.random.default_rng([seed, 1])
    dtypes = [("float64",) * 3, ("float32",) * 3, ("float32", "float64", "float32")]
    program = Program(
        seed,
        length=int(rng.integers(4, 15)),
        regions=bool(rng.random() < 0.5),
        dtypes=dtypes[int(rng.integers(len(dtypes)))],
    )
    order = int(rng.choice([0, 1, 1, 2]))
    with sg.Graph(finalize=False) as graph:
        inputs = [sg.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(program.inputs)]
        values = program.run_on(sg, *inputs)
        try:
            grads = gradients(sg, values, inputs, order)
        except NotDifferentiableError:  # a while_loop is so once
            order = 1
            grads = gradients(sg, values, inputs, order)
        lowered = lower(graph, [*values, *grads], inputs)
    regroups = order > 1 and any(each.op.kind is Kind.CONTROL for each in lowered.instructions)
    dynamic = Eager(program, order, regroups)
    made = Made(lowered, program.inputs, bool(rng.random() < 0.5), dynamic)
    made.expected, made.text = program.expected, program.text
    return made
