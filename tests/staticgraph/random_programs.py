"""Random programs of all ops: elementwise chains with broadcasting, reductions, movement, products,
selections by indices, loops and branches, effects, and gradients of first and second order; the
same program for each seed.

Some things are made more often than chance would: values that a movement and a fold share, axes of
length 1 and 2, constants that are equal and not the same, and attributes at their bounds.
"""

import random

import numpy as np

import staticgraph as sg
from oplibrary.core.expression import BINARY
from oplibrary.core.op import REGISTRY, Kind
from oplibrary.core.samples import draw, uniform
from oplibrary.messages.errors import SideBySideError
from staticgraph.declare.lower import lower

LARGEST = 20_000
"""Elements of a value."""
DTYPES = ["float32"] * 8 + ["float64"] * 2 + ["int32", "int64", "bool"]
DTYPES += ["float16", "int8", "uint8", "int16", "uint16", "uint32", "uint64"]
"""Of inputs, those that are met more often several times."""

EXACT_OPERATORS = {
    *(BINARY - {"power"}),
    *"negative bitwise_invert where max min abs sqrt floor ceil trunc round".split(),
    *"cast real imag conj".split(),
}
JUMPS = set("floor ceil trunc round sign floor_divide remainder sort round prod".split())
WHOLE_NUMBERS = ["int32", "int64", "bool", "int8", "uint8", "int16", "uint16", "uint32", "uint64"]
"""The dtypes of the inputs of a program without floating-point numbers."""
STANDALONE = 0.12
"""The part of the steps that apply an op to operands of one of its examples."""

OPS = [
    op for op in REGISTRY.values() if op.examples and not op.effect and op.kind is not Kind.CONTROL
]


def is_exact(op, dtype):
    """Tell whether IEEE 754 or the op's meaning leaves no choice of its result, of a dtype.

    In half precision nobody says in which precision a formula is computed.
    """
    if op.kind is Kind.ELEMENTWISE:
        if dtype == np.float16:
            return op.name == "cast"
        return op.expression.operators() <= EXACT_OPERATORS
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
    optimized : bool
        Whether the passes are run.
    forward : Program or None
        What gradients are taken of: its last output, of the inputs at `sources`. They are the last
        outputs of `program`, whose others are the other ones of `forward`.
    sources : list of int
    """

    def __init__(self, program, arrays, optimized, forward=None, sources=()):
        self.program = program
        self.arrays = arrays
        self.optimized = optimized
        self.forward = forward
        self.sources = sources


class Generator:
    """Declares a random program; the same one for each seed."""

    def __init__(self, seed):
        self.choice = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.pool = []  # (node, array, exact)
        self.shown = []  # nodes that are outputs in any case
        self.has_control = False
        self.inputs = []
        self.arrays = []

    def make(self):
        choice = self.choice
        sizes = [choice.choice((0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 64, 100, 255))]
        sizes += [choice.choice((1, 2, 3, 5, 6, 8, 11, 16, 33)) for _ in range(2)]
        if choice.random() < 0.2:
            sizes = [choice.choice((1, 2)) for _ in range(3)]
        dtypes = WHOLE_NUMBERS if choice.random() < 0.1 else DTYPES
        with np.errstate(all="ignore"), sg.Graph(finalize=False) as graph:
            for _ in range(choice.randrange(1, 5)):
                rank = choice.choice((0, 1, 2, 2, 2, 3))
                shape = tuple(1 if choice.random() < 0.2 else n for n in sizes[3 - rank :])
                self.declare(self.drawn(shape, choice.choice(dtypes)))
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
            outputs, total, sources = self.outputs()
            program = lower(graph, outputs, self.inputs)
            forward = None
            if sources and not self.has_control:
                forward = lower(graph, [*outputs[: -len(sources)], total], self.inputs)
        return Made(program, self.arrays, choice.random() < 0.5, forward, sources)

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
        nodes += self.shown
        sources = [i for i, node in enumerate(self.inputs) if node.dtype.kind == "f"]
        scalars = [sg.sum(node * node) for node in nodes if node.dtype.kind == "f"]
        if not scalars or not sources or self.choice.random() < 0.4:
            return nodes, None, []
        total = scalars[0]
        for other in scalars[1:]:
            total = total + sg.cast(other, total.dtype)
        try:
            gradients = sg.gradients(total, [self.inputs[i] for i in sources], unused="zero")
            if self.choice.random() < 0.15:  # of second order
                total = sg.sum(sg.stack([sg.cast(sg.sum(g * g), "float64") for g in gradients]))
                further = [self.inputs[i] for i in sources]
                gradients = sg.gradients(total, further, unused="zero")
        except SideBySideError:  # not differentiable
            return nodes, None, []
        return [*nodes, *gradients], total, sources

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
        body = choice.choice(BODIES)
        kind = choice.randrange(3)
        if kind == 0:
            made = sg.fori_loop(0, rounds, lambda i, v: body(v, node), node * 0.5)
        elif kind == 1:
            last, stacked = sg.scan(lambda v, each: (body(v, each), v * each), node[0] * 0.5, node)
            made = sg.sum(stacked, axis=0) + last if choice.random() < 0.5 else stacked
        else:
            zero = sg.sum(node * 0.0)
            made, _ = sg.while_loop(
                lambda carry: carry[1] < rounds,
                lambda carry: (body(carry[0], node), carry[1] + 1.0),
                (node, zero),
                max_steps=8,
            )
        self._control(made)

    def branch(self):
        """Take one of several branches."""
        chosen = self.any_of("f", (0, 1, 2))
        if chosen is None or not chosen[1].size or not chosen[2]:
            return
        node, array, _ = chosen
        if not np.isfinite(array).all() or array.dtype == np.float16:
            return
        choice = self.choice
        branches = [lambda v: v * 2.0, lambda v: sg.tanh(v) - node, lambda v: v]
        if choice.random() < 0.5:
            made = sg.cond(sg.max(node) > choice.choice((-3.0, 0.0)), *branches[:2], node)
        else:
            index, _, _ = self.declare(np.array(choice.randrange(-1, 4), "int64"))
            made = sg.switch(index, branches, node)
        self._control(made)

    def _control(self, made):
        """Put what a loop or a branch gives into the pool: a value that is rounded."""
        self.has_control = True
        program = lower(made.graph, [made], self.inputs)
        values = reference(program, self.arrays)
        self.pool.append((made, np.asarray(values[program.outputs[0]]), False))
        self.shown.append(made)

    def watch(self):
        """Assert something that holds."""
        node, array, exact = self.choice.choice(self.pool)
        self.has_control = True  # the dynamic mode is not tried: it asserts at once
        checked = sg.assert_(sg.equal(sg.sum(sg.cast(node == node, "int64")) * 0, 0), "holds", node)
        self.pool.append((node, array, exact))
        self.shown.append(checked)

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
        if result.size > LARGEST or (not exact and jumps(op, arrays, result)):
            return
        try:
            node = op(*[node for node, _, _ in operands], **attrs)
        except SideBySideError:  # a kernel may take more than is declared
            return
        self.pool.append(
            (node, result, exact and (is_exact(op, result.dtype) or result.dtype.kind != "f"))
        )

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


BODIES = [
    lambda v, x: sg.tanh(v) * 0.5 + x * 0.25,
    lambda v, x: sg.maximum(v * 0.5, x),
    lambda v, x: sg.where(v > x, v, x) * 0.5,
    lambda v, x: v * 0.5,
    lambda v, x: x,
]
"""Steps of loops, of a carry and something that stays or is one of a sequence."""


def reference(program, arrays):
    """Return every value of a program, as the ops' kernels compute it."""
    values = dict(zip(program.inputs, arrays, strict=True)) | dict(program.constants)
    for each in program.instructions:
        operands = [values[value] for value in each.inputs]
        values[each.output] = each.op.kernel(*operands, **each.attrs)
    return values


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
    start = choice.choice((0, size, choice.randrange(size + 1)))
    stop = choice.choice((start, size, choice.randrange(start, size + 1)))
    return {"start": start, "stop": stop, "axis": axis}


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
    "roll": lambda choice, x: {
        "shift": choice.choice((choice.randrange(-4, 5), 0, *x.shape[:1], 1000)),
        "axis": _axis(choice, x),
    },
    "pad": lambda choice, x: {
        "pad_width": tuple((choice.randrange(3), choice.randrange(3)) for _ in x.shape)
    },
    "tril": lambda choice, x: {"k": choice.choice((choice.randrange(-2, 3), -999, 999))},
    "triu": lambda choice, x: {"k": choice.choice((choice.randrange(-2, 3), -999, 999))},
    "diagonal": lambda choice, x: {"offset": choice.choice((choice.randrange(-1, 2), -7, 7))},
    "tile": lambda choice, x: {"repetitions": tuple(choice.choice((1, 2)) for _ in x.shape)},
    "repeat": lambda choice, x: {"repeats": choice.choice((0, 1, 2, 3)), "axis": _axis(choice, x)},
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


def _take(generator, first):
    choice, x = generator.choice, first[1]
    if not x.size or not x.ndim:
        return None
    axis = choice.randrange(x.ndim)
    shape = choice.choice(((), (1,), (5,), (2, 3), (x.shape[axis],)))
    indices = generator.rng.integers(-x.shape[axis], x.shape[axis], shape)
    indices = indices.astype(choice.choice(("int64", "int32")))
    return [first, generator.declare(indices)], {"axis": axis}


def _take_along_axis(generator, first):
    choice, x = generator.choice, first[1]
    if not x.size or not x.ndim:
        return None
    axis = choice.randrange(x.ndim)
    shape = [*x.shape]
    shape[axis] = choice.choice((1, 2, x.shape[axis]))
    indices = generator.rng.integers(-x.shape[axis], x.shape[axis], shape)
    return [first, generator.declare(indices)], {"axis": axis}


def _einsum(generator, first):
    """Return two operands some of whose axes have a label in common."""
    choice = generator.choice
    other = choice.choice([each for each in generator.pool if each[1].dtype == first[1].dtype])
    if first[1].dtype.kind != "f" or first[1].ndim + other[1].ndim > 6:
        return None
    left = "abcdef"[: first[1].ndim]
    sizes = dict(zip(left, first[1].shape, strict=True))
    right = ""
    for n, new in zip(other[1].shape, "uvwxyz", strict=False):
        same = [c for c in left if sizes[c] == n and c not in right]
        label = choice.choice(same) if same and choice.random() < 0.7 else new
        sizes[label] = n
        right += label
    result = [c for c in dict.fromkeys(left + right) if choice.random() < 0.7]
    choice.shuffle(result)
    if np.prod(list(sizes.values()), dtype=float) > 50 * LARGEST:
        return None
    return [first, other], {"subscripts": f"{left},{right}->{''.join(result)}"}


OPERANDS = {"take": _take, "take_along_axis": _take_along_axis, "einsum": _einsum}
"""How operands and attributes are drawn that must fit each other."""
