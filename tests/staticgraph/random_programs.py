"""Random programs of all ops: elementwise chains with broadcasting, reductions, movement, products,
selections by indices, loops and branches, effects, and gradients of first and second order; the
same program for each seed.

Some things are made more often than chance would: values that a movement and a fold share, axes of
length 1 and 2, constants that are equal and not the same, and attributes at their bounds.
"""

import random
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
from tests.staticgraph.evaluation import ROUNDED, evaluate, is_exact
from tests.staticgraph.random_attributes import ATTRIBUTES, LARGEST, OPERANDS

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw, uniform
from oplibrary.messages.errors import SideBySideError
from staticgraph.declare.lower import lower

DTYPES = ["float32"] * 8 + ["float64"] * 2 + ["int32", "int64", "bool"]
DTYPES += ["float16", "int8", "uint8", "int16", "uint16", "uint32", "uint64"]
"""Of inputs, those that are met more often several times."""

JUMPS = set("floor ceil trunc round sign floor_divide remainder sort round prod".split())
WHOLE_NUMBERS = ["int32", "int64", "bool", "int8", "uint8", "int16", "uint16", "uint32", "uint64"]
"""The dtypes of the inputs of a program without floating-point numbers."""
STANDALONE = 0.12
"""The part of the steps that apply an op to operands of one of its examples."""

OPS = [
    op for op in REGISTRY.values() if op.examples and not op.effect and op.kind is not Kind.CONTROL
]


def jumps(op, operands, result):
    """Tell whether a small change of the operands may be a large one of the result."""
    if not any(x.dtype.kind == "f" for x in operands):
        return False
    of_nan = op.name == "copysign" and np.isnan(operands[1]).any()  # whose sign is either
    return op.name in JUMPS or of_nan or result.dtype.kind != "f"


# making -------------------------------------------------------------------------------------------


class Made:
    """A program with its inputs.

    Attributes
    ----------
    program : Program
        Before the passes.
    arrays : list of ndarray
        Its inputs.
    optimized : bool
        Whether the passes are run.
    dynamic : callable or None
        What runs it in dyngraph: it returns arrays, which must be the first results of `program`,
        bit for bit if not its attribute `regroups` says that sums are made in another order.
    text : str
        How it was written, if the program alone does not tell.
    expected : sequence of ndarray
        What NumPy gives for the first results, if it ran the same text.
    """

    def __init__(self, program, arrays, optimized, dynamic=None, text="", expected=()):
        self.program = program
        self.arrays = arrays
        self.optimized = optimized
        self.dynamic = dynamic
        self.text = text
        self.expected = expected


class Eager:
    """Runs in dyngraph what a generator has declared.

    Parameters
    ----------
    arrays : list of ndarray
    inputs : list of Node
    steps : list of (Node, callable, sequence)
        What was declared, how (of the namespace of a mode and the operands), and of what.
    outputs : list of Node
    sources : list of int
        The inputs with respect to which gradients are taken, if there are any.
    order : int
        Of the gradients, 1 or 2.
    regroups : bool
        Whether sums are made in another order than in staticgraph, which may round otherwise.
    """

    def __init__(self, arrays, inputs, steps, outputs, sources, order, regroups):
        self.arrays = arrays
        self.inputs = inputs
        self.steps = steps
        self.outputs = outputs
        self.sources = sources
        self.order = order
        self.regroups = regroups

    def __call__(self):
        """Return the outputs, then the gradients."""
        values = {
            node: dg.tensor(array, requires_grad=number in self.sources)
            for number, (node, array) in enumerate(zip(self.inputs, self.arrays, strict=True))
        }
        sources = [values[self.inputs[number]] for number in self.sources]
        for node, function, operands in self.steps:
            values[node] = function(
                dg, *[each if isinstance(each, np.ndarray) else values[each] for each in operands]
            )
        outputs = [values[node] for node in self.outputs]
        if sources:
            outputs += gradients(dg, outputs, sources, self.order)
        return [each.detach().numpy() for each in outputs]


def gradients(m, values, sources, order):
    """Return the gradients of a number that all values have a part in, in the mode `m`."""
    total = None
    for value in values:
        if value.dtype.kind == "f":
            term = m.sum(value * value)
            total = term if total is None else total + m.cast(term, total.dtype)
    for left in range(order, 0, -1):
        if m is sg:
            found = sg.gradients(total, sources, unused="zero")
        elif total.requires_grad:
            found = dg.grad(total, sources, unused="zero", create_graph=left > 1)
        else:
            found = [dg.zeros_like(each) for each in sources]
        if left > 1:
            total = m.sum(m.stack([m.cast(m.sum(each * each), "float64") for each in found]))
    return list(found)


class Generator:
    """Declares a random program; the same one for each seed."""

    def __init__(self, seed):
        self.choice = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.pool = []  # (node, array, exact)
        self.shown = []  # nodes that are outputs in any case
        self.steps = []  # what `Eager` runs
        self.inputs = []
        self.arrays = []

    def make(self):
        choice = self.choice
        sizes = [choice.choice((0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 64, 100, 255))]
        sizes += [choice.choice((1, 2, 3, 5, 6, 8, 11, 16, 33)) for _ in range(2)]
        if choice.random() < 0.2:
            sizes = [choice.choice((1, 2)) for _ in range(3)]
        dtypes = WHOLE_NUMBERS if choice.random() < 0.1 else DTYPES
        self.sizes = sizes
        with np.errstate(all="ignore"), sg.Graph(finalize=False) as graph:
            for _ in range(choice.randrange(1, 5)):
                rank = choice.choice((0, 1, 2, 2, 2, 3))
                shape = tuple(1 if choice.random() < 0.2 else n for n in sizes[3 - rank :])
                self.declare(self.drawn(shape, choice.choice(dtypes)))
            self.drawn_first = len(self.inputs)
            wanted = choice.choice((1, 2, 4, 8, 16, 30))
            special = [step for step in self.special_steps() if choice.random() < 0.15]
            for _ in range(wanted * 5):
                if len(self.pool) >= wanted + len(self.inputs):
                    break
                self.step()
                if special and choice.random() < 0.3:
                    special.pop(choice.randrange(len(special)))()
            for step in special:
                step()
            outputs = self.outputs()
            found, sources, order = self.gradients(outputs)
            program = lower(graph, [*outputs, *found], self.inputs)
        # what the gradient of a loop's gradient adds up is one value for all steps, or one for each
        regroups = order > 1 and any(e.op.kind is Kind.CONTROL for e in program.instructions)
        self.eager = Eager(self.arrays, self.inputs, self.steps, outputs, sources, order, regroups)
        return Made(program, self.arrays, choice.random() < 0.5, self.eager)

    def record(self, function, *operands):
        """Return what a function declares of operands, and remember how."""
        node = function(sg, *operands)
        self.steps.append((node, function, operands))
        return node

    def drawn(self, shape, dtype):
        """Return an array, now and then of large integers or with numbers of a special kind."""
        choice = self.choice
        dtype = np.dtype(dtype)
        array = uniform(shape, (-2.0, 2.0), (), dtype, self.rng)
        if not array.size or choice.random() < 0.75:
            return array
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            return self.rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        if dtype.kind == "f":
            info = np.finfo(dtype)
            specials = [0.0, -0.0, np.inf, -np.inf, np.nan, info.max, info.tiny]
            specials += [float(info.smallest_subnormal), -1.0, 1.0]
            flat = array.reshape(-1)
            for place in self.rng.integers(0, flat.size, choice.randrange(1, 6)):
                flat[place] = choice.choice(specials)
        return array

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
        if self.choice.random() < 0.3:
            nodes += [self.choice.choice(self.pool)[0] for _ in range(self.choice.randrange(1, 6))]
        return nodes + self.shown

    def gradients(self, outputs):
        """Return gradients of the outputs, the inputs they are taken of, and of which order."""
        sources = [i for i, node in enumerate(self.inputs) if node.dtype.kind == "f"]
        smooth = any(node.dtype.kind == "f" for node in outputs)
        if not smooth or not sources or self.choice.random() < 0.4:
            return [], [], 0
        wanted = [self.inputs[i] for i in sources]
        for order in (2, 1) if self.choice.random() < 0.3 else (1,):
            try:
                return gradients(sg, outputs, wanted, order), sources, order
            except SideBySideError:  # not differentiable, or not so often
                continue
        return [], [], 0

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
        elif op.name in OPERANDS:
            made = OPERANDS[op.name](self, first)
            if made is None:
                return
            operands, attrs = made
            self.apply(op, operands, attrs)
            return
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

    # what chance makes too seldom ---------------------------------------------------------------

    def special_steps(self):
        """Return the steps that make what chance makes too seldom."""
        return [
            self.share,
            self.share,
            self.number,
            self.number,
            self.loop,
            self.branch,
            self.watch,
            self.show,
            self.show,
        ]

    def any_of(self, kinds, ranks=range(4)):
        """Return an element of the pool of one of some kinds, or None."""
        found = [x for x in self.pool if x[1].dtype.kind in kinds and x[1].ndim in ranks]
        return self.choice.choice(found[-8:]) if found else None

    def share(self):
        """Let a value be moved and folded, and both be outputs."""
        chosen = self.any_of("f", (1, 2, 3))
        if chosen is None or not chosen[1].size:
            return
        choice = self.choice
        before = len(self.pool)
        if choice.random() < 0.7:
            self.apply(REGISTRY[choice.choice(("exp", "tanh", "square"))], [chosen], {})
        chosen = self.pool[-1] if len(self.pool) > before else chosen
        x = chosen[1]
        axis = choice.randrange(x.ndim)
        moved = choice.choice(("concat", "stack", "pad", "roll", "flip", "tile"))
        operands = [chosen] * choice.randrange(1, 4) if moved in ("concat", "stack") else [chosen]
        attrs = {"axis": axis} if moved in ("concat", "stack") else ATTRIBUTES[moved](choice, x)
        self.apply(REGISTRY[moved], operands, attrs)
        folded = choice.choice(("sum", "max", "mean", "softmax", "logsumexp", "cumulative_sum"))
        attrs = {"axis": axis}
        self.apply(REGISTRY[folded], [chosen], attrs)
        self.shown += [node for node, _, _ in self.pool[before:]]

    def number(self):
        """Compute with a constant that is equal to others and not the same."""
        choice = self.choice
        chosen = self.any_of("biuf")
        if chosen is None:
            return
        dtype = chosen[1].dtype
        if dtype.kind != "b" and choice.random() < 0.3:
            bounds = {name: choice.choice((0, 0.0, -0.0, 1, 1.0, None)) for name in ("min", "max")}
            before = len(self.pool)
            self.apply(REGISTRY["clip"], [chosen], bounds)
            self.shown += [node for node, _, _ in self.pool[before:]]
            return
        numbers = [0, 1] if dtype.kind != "f" else [0.0, -0.0, 1.0]
        number = np.array(choice.choice(numbers))
        name = choice.choice(
            ("add", "multiply", "maximum", "minimum", "equal", "where", "subtract")
        )
        if dtype.kind == "b":
            name = choice.choice(("equal", "logical_or", "logical_and", "where"))
        constant = (number.astype(dtype), number.astype(dtype), True)
        operands = [chosen, constant]
        choice.shuffle(operands)
        if name == "where":
            condition = self.any_of("b", (chosen[1].ndim, 0))
            if condition is None:
                return
            operands = [condition, *operands]
        before = len(self.pool)
        self.apply(REGISTRY[name], operands, {})
        self.shown += [node for node, _, _ in self.pool[before:]]

    def loop(self):
        """Go round a `fori_loop`, a `scan` or a `while_loop`."""
        chosen = self.any_of("f", (1, 2))
        if chosen is None or not chosen[1].size or not chosen[2]:
            return
        node, array, _ = chosen
        if not np.isfinite(array).all() or array.dtype == np.float16:
            return
        choice, rounds = self.choice, self.choice.randrange(0, 5)
        body, added, loud = choice.choice(BODIES), choice.random() < 0.5, choice.random() < 0.2
        kind = choice.randrange(3)

        def counted(m, x):
            def step(i, v):
                if loud:
                    m.print_(i, "round")
                return body(m, v, x)

            return m.fori_loop(0, rounds, step, x * 0.5)

        def scanned(m, x):
            def step(v, each):
                each = m.print_(each, "row") if loud else each
                return body(m, v, each), v * each

            last, stacked = m.scan(step, x[0] * 0.5, x)
            return m.sum(stacked, axis=0) + last if added else stacked

        def repeated(m, x):
            last, _ = m.while_loop(
                lambda carry: carry[1] < rounds,
                lambda carry: (body(m, carry[0], x), carry[1] + 1.0),
                (x, m.sum(x * 0.0)),
                max_steps=8,
            )
            return last

        self._control((counted, scanned, repeated)[kind], node)

    def branch(self):
        """Take one of several branches."""
        chosen = self.any_of("f", (0, 1, 2))
        if chosen is None or not chosen[1].size or not chosen[2]:
            return
        node, array, _ = chosen
        if not np.isfinite(array).all() or array.dtype == np.float16:
            return
        choice = self.choice
        limit, loud = choice.choice((-3.0, 0.0)), choice.random() < 0.2

        def branches(m, x):
            return [
                lambda v: (m.print_(v, "first") if loud else v) * 2.0,
                lambda v: m.tanh(v) - x,
                lambda v: v,
            ]

        if choice.random() < 0.5:
            self._control(lambda m, x: m.cond(m.max(x) > limit, *branches(m, x)[:2], x), node)
        else:
            index, _, _ = self.declare(np.array(choice.randrange(-1, 4), "int64"))
            self._control(lambda m, i, x: m.switch(i, branches(m, x), x), index, node)

    def _control(self, function, *operands):
        """Put what a loop or a branch gives into the pool: a value that is rounded."""
        made = self.record(function, *operands)
        with redirect_stdout(StringIO()):
            program = lower(made.graph, [made], self.inputs)
            values = evaluate(program, self.arrays)
        self.pool.append((made, np.asarray(values[program.outputs[0]]), False))
        self.shown.append(made)

    def watch(self):
        """Assert something that holds."""
        node, _, _ = self.choice.choice(self.pool)

        def checked(m, x):
            return m.assert_(m.equal(m.sum(m.cast(x == x, "int64")) * 0, 0), "holds", x)

        self.shown.append(self.record(checked, node))

    def show(self):
        """Print a value that no rounding changes."""
        known = [each for each in self.pool if each[2]]
        node, array, exact = self.choice.choice(known)
        label = f"value {len(self.steps)}"
        printed = self.record(lambda m, x: m.print_(x, label), node)
        self.pool.append((printed, array, exact))
        if self.choice.random() < 0.5:
            self.shown.append(printed)

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
        if op.kind is Kind.ELEMENTWISE or op.name in ("matmul", "concat", "stack", *OPERANDS):
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
        try:
            result = np.asarray(op(*arrays, **attrs))
        except (SideBySideError, ZeroDivisionError, MemoryError, ValueError):
            return
        exact = all(known for _, _, known in operands)
        dtypes = [array.dtype for _, array, _ in operands]
        if result.size > LARGEST or (not exact and jumps(op, arrays, result)):
            return
        try:
            node = self.record(
                lambda _, *given: op(*given, **attrs), *[node for node, _, _ in operands]
            )
        except SideBySideError:  # a kernel may take more than is declared
            return
        known = result.dtype.kind not in ROUNDED or is_exact(op, result.dtype, dtypes)
        self.pool.append((node, result, exact and known))

    def within(self, op, operand):
        """Return the operand, mapped into the domain of the op if it leaves it."""
        node, array, exact = operand
        low, high = op.domain
        if array.dtype.kind != "f" or self.choice.random() < 0.05 or node is array:
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
        return self.record(lambda _, x: mapped(x), node), array, exact


BODIES = [
    lambda m, v, x: m.tanh(v) * 0.5 + x * 0.25,
    lambda m, v, x: m.maximum(v * 0.5, x),
    lambda m, v, x: m.where(v > x, v, x) * 0.5,
    lambda m, v, x: v * 0.5,
    lambda m, v, x: x,
]
"""Steps of loops in the mode `m`, of a carry and something that stays or is one of a sequence."""
