"""Random programs of all ops, run by a backend and by NumPy; a failing one is made small.

``python -m tests.staticgraph.fuzz --programs 10000 --seed 0``
"""

import argparse
import faulthandler
import os
import random
import re
import sys
import time
from dataclasses import replace

import numpy as np

import staticgraph as sg
from common.errors import SideBySideError
from common.op import REGISTRY, Kind
from common.samples import draw, uniform
from common.tree import flatten
from staticgraph.backends import load_backend
from staticgraph.lower import lower
from staticgraph.passes import DEFAULT_PASSES, run_passes
from staticgraph.printing import format_program

LARGEST = 20_000
"""Elements of a value."""

SAMPLES = 4
"""Perturbed runs that find how far rounding carries."""

ROUNDING = 4
"""Units in the last place by which a perturbed run changes the result of an inexact instruction."""

MARGIN = 16
"""How much further than the perturbed runs a backend may be from NumPy."""

EXACT_FUNCTIONS = set("max min abs sqrt floor ceil trunc round cast real imag conj inf".split())
JUMPS = set("floor ceil trunc round sign floor_divide remainder sort round prod".split())
STANDALONE = 0.12
"""The part of the steps that apply an op to operands of one of its examples."""

OPS = [
    op
    for op in REGISTRY.values()
    if op.name in dir(sg) and op.examples and not op.effect and op.kind is not Kind.CONTROL
]


def is_exact(op):
    """Tell whether IEEE 754 or the op's meaning leaves no choice of its result."""
    if op.kind is Kind.ELEMENTWISE:
        names = set(re.findall(r"[a-z_][a-z_0-9]*(?=\()", op.expr))
        return "**" not in op.expr and names <= EXACT_FUNCTIONS
    if op.kind in (Kind.MOVEMENT, Kind.CREATION):
        return True
    if op.kind is Kind.INDEXING:
        return "gradient" not in op.name
    return op.name in ("max", "min", "argmax", "argmin", "all", "any", "count_nonzero", "sort")


def jumps(op, operands, result):
    """Tell whether a small change of the operands may be a large one of the result."""
    if not any(x.dtype.kind == "f" for x in operands):
        return False
    return op.name in JUMPS or result.dtype.kind != "f"


# making -------------------------------------------------------------------------------------------


class Made:
    """A program with its inputs.

    Attributes
    ----------
    program : Program
        Before the passes.
    arrays : list of ndarray
        Its inputs.
    """

    def __init__(self, program, arrays, optimized):
        self.program = program
        self.arrays = arrays
        self.optimized = optimized


class Generator:
    """Declares a random program; the same one for each seed."""

    def __init__(self, seed):
        self.choice = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.pool = []  # (node, array, exact)
        self.inputs = []
        self.arrays = []

    def make(self):
        choice = self.choice
        sizes = [choice.choice((0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 64, 100, 255))]
        sizes += [choice.choice((1, 2, 3, 5, 6, 8, 11, 16, 33)) for _ in range(2)]
        with np.errstate(all="ignore"), sg.Graph(finalize=False) as graph:
            for _ in range(choice.randrange(1, 5)):
                rank = choice.choice((0, 1, 2, 2, 2, 3))
                shape = tuple(1 if choice.random() < 0.2 else n for n in sizes[3 - rank :])
                dtype = choice.choice(("float32",) * 6 + ("float64", "int32", "int64", "bool"))
                self.declare(uniform(shape, (-2.0, 2.0), (), dtype, self.rng))
            wanted = choice.choice((1, 2, 4, 8, 16, 30))
            for _ in range(wanted * 5):
                if len(self.pool) >= wanted + len(self.inputs):
                    break
                self.step()
            outputs = self.outputs()
            program = lower(graph, outputs, self.inputs)
        return Made(program, self.arrays, choice.random() < 0.5)

    def declare(self, array):
        node = sg.placeholder(f"x{len(self.inputs)}", array.shape, array.dtype)
        self.inputs.append(node)
        self.arrays.append(array)
        self.pool.append((node, array, True))
        return self.pool[-1]

    def outputs(self):
        count = self.choice.randrange(1, 5)
        nodes = [node for node, _, _ in self.pool[-count:]]
        nodes += [self.choice.choice(self.pool)[0]]
        sources = [node for node in self.inputs if node.dtype.kind == "f"]
        scalars = [sg.sum(node * node) for node in nodes if node.dtype.kind == "f"]
        if not scalars or not sources or self.choice.random() < 0.4:
            return nodes
        total = scalars[0]
        for other in scalars[1:]:
            total = total + sg.cast(other, total.dtype)
        try:
            return [*nodes, *sg.gradients(total, sources, unused="zero")]
        except SideBySideError:  # not differentiable
            return nodes

    def step(self):
        choice = self.choice
        op = choice.choice(OPS)
        attrs = {}
        if choice.random() < STANDALONE or not self.is_general(op):
            if choice.random() < 0.6:
                return
            each = choice.choice(op.examples)
            if any(isinstance(x, np.ndarray) and x.dtype.kind == "c" for x in each.operands):
                return
            dtype = choice.choice(("float32", "float32", "float64"))
            arrays = draw(op, each, dtype, self.rng)
            self.apply(op, [self.declare(array) for array in arrays], dict(each.attrs))
            return
        first = choice.choice(self.pool[-6:] if choice.random() < 0.7 else self.pool)
        if op.kind is Kind.ELEMENTWISE:
            operands = [first]
            for _ in range(op.arity - 1):
                fitting = [x for x in self.pool if self.fit(op, first, x)]
                operands.append(choice.choice(fitting or [first]))
            choice.shuffle(operands)
            if op.operand_names[0] == "condition":
                conditions = [x for x in self.pool if x[1].dtype.kind == "b"]
                operands[0] = choice.choice(conditions or [first])
        elif op.name == "matmul":
            if first[1].ndim < 2:
                return
            other = choice.choice([x for x in self.pool if x[1].dtype == first[1].dtype])
            operands = [first, other]
        elif op.arity is None:
            operands = [first] * choice.randrange(1, 4)
        else:
            operands = [first]
        if op.attrs:
            attrs = self.attrs(op, first[1])
        self.apply(op, operands, attrs)

    def fit(self, op, first, other):
        if first[1].dtype != other[1].dtype and self.choice.random() < 0.9:
            return first is other
        try:
            shape = np.broadcast_shapes(first[1].shape, other[1].shape)
        except ValueError:
            return False
        return np.prod(shape) <= LARGEST

    @staticmethod
    def is_general(op):
        if op.kind is Kind.ELEMENTWISE or op.name in ("matmul", "concat", "stack"):
            return True
        return op.arity == 1 and (op.kind is Kind.REDUCTION or op.name in ATTRIBUTES)

    def attrs(self, op, x):
        choice = self.choice
        if op.name in ATTRIBUTES:
            return ATTRIBUTES[op.name](choice, x)
        if op.kind is Kind.ELEMENTWISE:
            return dict(choice.choice(op.examples).attrs)
        attrs = {}
        if "axis" in op.attrs and x.ndim:
            axes = choice.sample(range(x.ndim), choice.randrange(1, x.ndim + 1))
            one = choice.random() < 0.6 or op.name in ("concat", "stack", "argmax", "argmin")
            attrs["axis"] = axes[0] if one else tuple(axes)
            if choice.random() < 0.2 and op.kind is Kind.REDUCTION:
                attrs["axis"] = None
        if "keepdims" in op.attrs:
            attrs["keepdims"] = choice.random() < 0.5
        return attrs

    def apply(self, op, operands, attrs):
        operands = [self.within(op, each) for each in operands]
        arrays = [array for _, array, _ in operands]
        if any(array.dtype.kind in "iu" for array in arrays) and not self.tame(op, arrays):
            return
        try:
            result = np.asarray(op(*arrays, **attrs))
        except (SideBySideError, ZeroDivisionError, MemoryError, ValueError):
            return
        exact = all(known for _, _, known in operands)
        if result.size > LARGEST or (not exact and jumps(op, arrays, result)):
            return
        try:
            node = op(*[node for node, _, _ in operands], **attrs)
        except SideBySideError:  # a kernel may take more than is declared
            return
        self.pool.append((node, result, exact and (is_exact(op) or result.dtype.kind != "f")))

    def within(self, op, operand):
        """Return the operand, mapped into the domain of the op if it leaves it."""
        node, array, exact = operand
        low, high = op.domain
        if array.dtype.kind != "f" or self.choice.random() < 0.05:
            return operand
        if not array.size or (array.min() >= low * 2 and array.max() <= high * 2 and low < -1):
            return operand
        if array.min() >= low and array.max() <= high:
            return operand
        half, middle = (high - low) * 0.49, (high + low) / 2

        def mapped(x):
            return x / (abs(x) + 1.0) * half + middle

        with np.errstate(all="ignore"):
            array = np.asarray(mapped(array), array.dtype)
        return mapped(node), array, exact

    @staticmethod
    def tame(op, arrays):
        low, _high = op.domain
        if op.name.endswith("shift") or low > -1:
            return all(x.size and x.min() >= max(low, 0) and x.max() <= 8 for x in arrays)
        return True


def _shape_of_equal_size(choice, x):
    sizes = list(x.shape) or [1]
    choice.shuffle(sizes)
    if len(sizes) > 1 and choice.random() < 0.5:
        sizes[:2] = [sizes[0] * sizes[1]]
    return {"shape": tuple(sizes)}


def _axis(choice, x):
    return choice.randrange(x.ndim) if x.ndim else 0


def _slice(choice, x):
    axis = _axis(choice, x)
    size = x.shape[axis] if x.ndim else 0
    start = choice.randrange(size + 1)
    return {"start": start, "stop": choice.randrange(start, size + 1), "axis": axis}


def _index(choice, x):
    index = []
    for size in x.shape[: choice.randrange(x.ndim + 1)]:
        if size and choice.random() < 0.3:
            index.append(choice.randrange(-size, size))
        else:
            step = choice.choice((None, 1, 2, 3, -1, -2))
            index.append(slice(choice.choice((None, 0, 1, -2)), None, step))
    return {"index": tuple(index)}


ATTRIBUTES = {
    "reshape": _shape_of_equal_size,
    "expand_dims": lambda choice, x: {"axis": choice.randrange(x.ndim + 1)},
    "squeeze": lambda choice, x: {},
    "permute_dims": lambda choice, x: {"axes": tuple(choice.sample(range(x.ndim), x.ndim))},
    "swapaxes": lambda choice, x: {"axis0": _axis(choice, x), "axis1": _axis(choice, x)},
    "matrix_transpose": lambda choice, x: {},
    "broadcast_to": lambda choice, x: {"shape": (choice.choice((1, 2, 3)), *x.shape)},
    "sum_to": lambda choice, x: {"shape": tuple(choice.choice((1, n)) for n in x.shape)},
    "clone": lambda choice, x: {},
    "slice_axis": _slice,
    "index_axis": lambda choice, x: {"index": 0, "axis": _axis(choice, x)},
    "basic_index": _index,
    "flip": lambda choice, x: {"axis": _axis(choice, x)},
    "roll": lambda choice, x: {"shift": choice.randrange(-4, 5), "axis": _axis(choice, x)},
    "pad": lambda choice, x: {
        "pad_width": tuple((choice.randrange(3), choice.randrange(3)) for _ in x.shape)
    },
    "tril": lambda choice, x: {"k": choice.randrange(-2, 3)},
    "triu": lambda choice, x: {"k": choice.randrange(-2, 3)},
    "diagonal": lambda choice, x: {"offset": choice.randrange(-1, 2)},
    "tile": lambda choice, x: {"repetitions": tuple(choice.choice((1, 2)) for _ in x.shape)},
    "repeat": lambda choice, x: {"repeats": choice.choice((1, 2, 3)), "axis": _axis(choice, x)},
    "softmax": lambda choice, x: {"axis": _axis(choice, x)},
    "log_softmax": lambda choice, x: {"axis": _axis(choice, x)},
    "cumulative_sum": lambda choice, x: {"axis": _axis(choice, x)},
    "sort": lambda choice, x: {"axis": _axis(choice, x)},
    "zeros_like": lambda choice, x: {},
    "ones_like": lambda choice, x: {},
    "cast": lambda choice, x: {
        "dtype": choice.choice(("float32", "float64", "int32", "int64", "bool", "float16"))
    },
}


# checking -----------------------------------------------------------------------------------------


def evaluate(program, arrays, rng=None):
    """Return every value of `program`; with `rng`, inexact results are changed a little."""
    values = dict(zip(program.inputs, arrays, strict=True)) | dict(program.constants)
    for each in program.instructions:
        operands = [values[value] for value in each.inputs]
        result = np.asarray(each.op.kernel(*operands, **each.attrs))
        if rng is not None and result.dtype.kind == "f" and not is_exact(each.op):
            noise = rng.uniform(-1, 1, result.shape) * (ROUNDING * np.finfo(result.dtype).eps)
            result = (result * (1 + noise)).astype(result.dtype)
        values[each.output] = result
    return values


def inexact_values(program):
    """Return the values that depend on an inexact instruction."""
    found = set()
    for each in program.instructions:
        rounded = each.output.type.dtype.kind == "f" and not is_exact(each.op)
        if rounded or found.intersection(each.inputs):
            found.add(each.output)
    return found


def bounds(program, arrays, samples):
    """Return for each output the array that is expected and how far a result may be from it."""
    exact = evaluate(program, arrays)
    rounded = inexact_values(program)
    spread = dict.fromkeys(program.outputs, 0.0)
    free = {value: np.zeros(value.type.shape, bool) for value in program.outputs}
    for seed in range(samples if rounded else 0):
        other = evaluate(program, arrays, np.random.default_rng(seed))
        for value in rounded.intersection(program.outputs):
            a, b = np.asarray(exact[value]), np.asarray(other[value])
            if a.dtype.kind != "f":
                free[value] |= a != b
                continue
            finite = np.isfinite(a) & np.isfinite(b)
            free[value] |= ~finite & ~((a == b) | (np.isnan(a) & np.isnan(b)))
            far = np.abs(a[finite] - b[finite])
            spread[value] = max(spread[value], float(far.max(initial=0.0)))
    result = []
    for value in program.outputs:
        a = np.asarray(exact[value])
        bound = 0.0
        if value in rounded and a.dtype.kind == "f":
            largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
            info = np.finfo(a.dtype)
            bound = MARGIN * (spread[value] + largest * float(info.eps) + float(info.tiny))
        result.append((a, bound, free[value]))
    return result


def awkward(array, choice):
    """Return an equal row-major array that is read-only, misaligned, or as it is."""
    kind = choice.randrange(3)
    if kind == 0:
        return array
    memory = bytearray(array.nbytes + 1)
    copy = np.frombuffer(memory, array.dtype, array.size, offset=kind - 1).reshape(array.shape)
    copy[...] = array
    copy.flags.writeable = False
    return copy


def find_difference(made, backend="native", samples=SAMPLES):
    """Return what is wrong with the results of a backend; empty if nothing is."""
    module = load_backend(backend)
    program, arrays = made.program, made.arrays
    with np.errstate(all="ignore"):
        expected = bounds(program, arrays, samples)
        try:
            final = run_passes(program, DEFAULT_PASSES) if made.optimized else program
            runner = module.build(final, module.plan(final))
            call = runner.call
            if runner.quicken is not None:
                call = runner.quicken(call, flatten(list(program.outputs))[1])
            choice = random.Random(0)
            first = runner.call(*[awkward(array, choice) for array in arrays])
            second = call(*[awkward(array, choice) for array in arrays])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    for number, (a, b, again) in enumerate(zip(expected, first, second, strict=True)):
        problem = compare(*a, b)
        if not problem and (b.dtype != again.dtype or b.tobytes() != again.tobytes()):
            problem = "a second call gives other bits"
        if problem:
            return f"output {number}: {problem}"
    return ""


def compare(expected, bound, free, result):
    """Return how `result` differs from what is expected, by more than the bound."""
    if type(result) is not np.ndarray:
        return f"a {type(result).__name__}"
    if (result.shape, result.dtype) != (expected.shape, expected.dtype):
        return f"{result.dtype}{result.shape} instead of {expected.dtype}{expected.shape}"
    if expected.dtype.kind != "f":
        wrong = (expected != result) & ~free
        worst = ""
    else:
        same = (expected == result) | (np.isnan(expected) & np.isnan(result)) | free
        with np.errstate(all="ignore"):
            error = np.abs(expected.astype("float64") - result.astype("float64"))
        wrong = ~same & ~(error <= bound)
        worst = f", off by {error[wrong].max():.3g}, allowed {bound:.3g}" if wrong.any() else ""
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    found, wanted = result[place], expected[place]
    return f"{wrong.sum()} of {wrong.size} wrong{worst}; at {place} {found!r} for {wanted!r}"


# shrinking ----------------------------------------------------------------------------------------


def pruned(program, arrays, optimized):
    """Return the program without instructions and inputs that no output needs."""
    needed = set(program.outputs)
    kept = []
    for each in reversed(program.instructions):
        if each.output in needed:
            kept.append(each)
            needed.update(each.inputs)
    fed = [(v, a) for v, a in zip(program.inputs, arrays, strict=True) if v in needed]
    smaller = replace(
        program,
        inputs=tuple(value for value, _ in fed),
        constants={v: a for v, a in program.constants.items() if v in needed},
        instructions=tuple(reversed(kept)),
    )
    return Made(smaller, [array for _, array in fed], optimized)


def shrink(made, fails):
    """Return the smallest program found for which ``fails(made)`` still holds."""
    changed = True
    while changed:
        changed = False
        for candidate in candidates(made):
            if fails(candidate):
                made, changed = candidate, True
                break
    return made


def candidates(made):
    """Yield programs that are a little smaller."""
    program, arrays, optimized = made.program, made.arrays, made.optimized
    if optimized:
        yield Made(program, arrays, False)
    if len(program.outputs) > 1:
        for output in dict.fromkeys(program.outputs):
            yield pruned(replace(program, outputs=(output,)), arrays, optimized)
        for number in range(len(program.outputs)):
            fewer = program.outputs[:number] + program.outputs[number + 1 :]
            yield pruned(replace(program, outputs=fewer), arrays, optimized)
    with np.errstate(all="ignore"):
        values = evaluate(program, arrays)
    for number, each in enumerate(program.instructions):
        rest = program.instructions[:number] + program.instructions[number + 1 :]
        cut = replace(program, inputs=(*program.inputs, each.output), instructions=rest)
        array = np.array(values[each.output], order="C")
        yield pruned(cut, [*arrays, array], optimized)
    for each in reversed(program.instructions):
        if each.output not in program.outputs:
            yield pruned(replace(program, outputs=(each.output,)), arrays, optimized)


def describe(made):
    """Return the text of a program and, where they are small, of its inputs."""
    lines = [format_program(made.program), f"passes: {made.optimized}"]
    for value, array in zip(made.program.inputs, made.arrays, strict=True):
        shown = np.array2string(array, separator=", ", threshold=40)
        lines.append(f"{value!r} = {shown}")
    return "\n".join(lines)


def check(seed, backend="native"):
    """Return the report of a failure of the program of `seed`, shrunk; empty if it works."""
    made = Generator(seed).make()
    problem = find_difference(made, backend)
    if not problem:
        return ""
    # what few perturbations did not show, many may
    problem = find_difference(made, backend, 10 * SAMPLES)
    if not problem:
        return ""
    small = shrink(made, lambda m: bool(find_difference(m, backend, 5 * SAMPLES)))
    final = find_difference(small, backend, 10 * SAMPLES)
    return f"program {seed}: {problem}\nshrunk: {final}\n{describe(small)}"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="of the first program")
    parser.add_argument("--backend", default="native")
    parser.add_argument("--failures", type=int, default=5, help="after which to stop")
    options = parser.parse_args(arguments)
    os.environ.setdefault("SIDEBYSIDE_CACHE", "off")
    faulthandler.enable()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    print(f"{options.programs} programs for {options.backend}, --seed {first}", flush=True)
    failures, started = 0, time.perf_counter()
    for number in range(options.programs):
        # written before it runs: a crash leaves it on the screen
        if sys.stderr.isatty() or number % 100 == 0:
            print(f"\rprogram {number}, seed {first + number}", end="", file=sys.stderr, flush=True)
        report = check(first + number, options.backend)
        if report:
            failures += 1
            print(f"\n{report}", flush=True)
            if failures == options.failures:
                break
    seconds = time.perf_counter() - started
    print(f"\n{number + 1} programs in {seconds:.0f} s, {failures} failures, --seed {first}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
