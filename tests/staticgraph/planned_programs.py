"""Programs whose plans are written down, each for something that the planner decides."""

from collections.abc import Callable

import staticgraph as sg
from oplibrary.values.types import TensorType
from sidebyside.modes.static import trace
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load
from staticgraph.backends.native.run.open_machine import plan_open
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.binding import bind_regions
from staticgraph.declare.lower import lower
from staticgraph.passes import DEFAULT_PASSES, run_passes
from staticgraph.program.lengths import program_is_symbolic

Planned = Callable[[], tuple]
"""Returns a plan, and the assumptions about lengths that it was made with, if any are open."""


def planned(graph):
    """Return the plan of a graph, as the native backend makes it."""
    backend = load_backend("native")
    program = run_passes(lower(graph, graph.outputs, graph.inputs), DEFAULT_PASSES)
    program = bind_regions(program, backend, DEFAULT_PASSES)
    if program_is_symbolic(program):
        return plan_open(program)
    return backend.plan(program, False), ""


def of_types(function, *types, gradients=False):
    """Return what plans a function of inputs of some types, its gradients too where asked."""

    def both(*inputs):
        value = function(*inputs)
        wanted = [x for x in inputs if x.dtype.kind == "f"]
        return value, sg.gradients(sg.sum(value * value), wanted, unused="zero")

    return lambda: planned(sg.trace(both if gradients else function, *types))


def workload(name):
    made = load(name)
    return lambda: planned(trace(made, made.make_inputs(made.sizes[0])))


def f32(*shape):
    return TensorType(shape, "float32")


def f64(*shape):
    return TensorType(shape, "float64")


def i64(*shape):
    return TensorType(shape, "int64")


def open_(*shape):
    """Return a type whose lengths that are texts are open."""
    return TensorType(
        tuple(sg.dim(f"planned_{n}") if type(n) is str else n for n in shape), "float32"
    )


# loops --------------------------------------------------------------------------------------------


def softmax(x):
    return sg.softmax(x * 0.5, axis=-1)


def normalized(x, scale):
    centred = x - sg.mean(x, axis=-1, keepdims=True)
    return centred / sg.sqrt(sg.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * scale


def kept_between_stages(x):
    hard = sg.exp(sg.tanh(x))
    return hard / sg.sum(hard, axis=-1, keepdims=True) + sg.max(hard, axis=-1, keepdims=True)


def too_wide_to_keep(x):
    return kept_between_stages(x)


def columns(x):
    return sg.sum(x, axis=0), sg.max(x * 2.0, axis=0)


def columns_of_hard(x):
    return sg.sum(sg.tanh(sg.exp(sg.sin(x))), axis=0)


def many_columns(x):
    return [sg.sum(x * float(i), axis=0) for i in range(6)]


def middle(x):
    return sg.sum(x, axis=1)


def everything(x):
    return sg.sum(sg.tanh(x)), sg.min(x)


def several_outputs(x, y):
    shared = sg.exp(x) * y
    return shared + 1.0, sg.sum(shared, axis=1), sg.matrix_transpose(shared)


def rows_and_grid(x, y):
    return x[:, None] * y[None, :] + sg.exp(x)[:, None]


def recomputed(x, y):
    hard = sg.tanh(sg.exp(x))
    return hard[:, None] * y, hard + 1.0


def turned(x):
    return sg.tanh(sg.permute_dims(x, (2, 0, 1))) + 1.0


def turned_twice(x):
    return sg.matrix_transpose(sg.matrix_transpose(x) * 2.0) + sg.reshape(x, (-1,))[:4]


def reshaped(x):
    return sg.sum(sg.reshape(sg.exp(x), (6, 4)), axis=0)


def joined(x, y):
    return sg.concat([x, y * 2.0, x[:, :1]], axis=1)


def joined_and_read(x, y):
    both = sg.concat([sg.exp(x), sg.exp(y)], axis=0)
    return both * 2.0, sg.sum(both, axis=0)


def joined_softmax(x, y):
    return sg.softmax(sg.concat([sg.exp(sg.tanh(x)), y], axis=1), axis=1)


def joined_and_shifted(x, y):
    both = sg.concat([sg.exp(x), y], axis=0)
    return both[2:] * 2.0


def joined_and_reversed(x, y):
    return sg.flip(sg.concat([sg.exp(x), y], axis=0), axis=0) + 1.0


def moved_often(x):
    for _ in range(40):
        x = sg.concat([x[1:], x[:1]], axis=0)
    return x


def padded(x):
    return sg.pad(x, ((1, 1), (2, 0)))


def stencil(x):
    for _ in range(3):
        inside = 0.25 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:])
        x = sg.concat(
            [x[:1], sg.concat([x[1:-1, :1], inside, x[1:-1, -1:]], axis=1), x[-1:]], axis=0
        )
    return x


def strided(x):
    return x[::2, 1::3] + x[1::2, ::3]


def reversed_(x):
    return sg.flip(x, axis=0) * sg.flip(x, axis=1)


def broadcast(x, y):
    return sg.broadcast_to(x[:, None], (6, 8)) + y


def mixed(x, i):
    return x * sg.astype(i, "float32"), i + 1, sg.astype(x, "float64") * 2.0, x > 0.0


def long_chain(x):
    for i in range(40):
        x = sg.tanh(x) * (1.0 + i)
    return x


def large(x, y):
    return sg.tanh(x) * y + 1.0


def large_sum(x):
    return sg.sum(x * x), sg.mean(x, axis=0)


# products -----------------------------------------------------------------------------------------


def product(x, w, b):
    return sg.tanh(x @ w + b)


def added_product(x, w, y):
    return y * 2.0 + x @ w


def batched(x, y):
    return sg.matmul(x, y)


def turned_product(x, w):
    return sg.matmul(sg.matrix_transpose(x), w)


def chained(x, w):
    for _ in range(3):
        x = x @ w
    return x


def convolved(x, w):
    return sg.relu(sg.conv2d(x, w, padding=1))


def convolved_beyond(x, w):
    return sg.conv2d(x, w, padding=((0, 3), (2, 0)))


def reduced_apart(x, w, v):
    return sg.sum(sg.tanh(x @ w), axis=0), sg.sum(sg.tanh(x @ v), axis=0)


def pooled(x):
    return sg.max_pool2d(x, 2)


def pooled_apart(x):
    return sg.avg_pool2d(x, 3, stride=2)


# places -------------------------------------------------------------------------------------------


def gathered(x, i):
    return sg.exp(sg.take(x, i, axis=0)) * 2.0


def gathered_of_computed(x, i):
    return sg.take(sg.tanh(x), i, axis=0) + 1.0


def written(x, y):
    x = sg.clone(x)
    x[1:3] = y
    x[:, 0] += 1.0
    return x


def written_at(x, i, y):
    x = sg.clone(x)
    x[i] = y
    return x, x * 2.0


def read_beside_written(x, i, y, w):
    base = sg.tanh(x)
    changed = sg.clone(base)
    changed[i] = y
    return changed * 2.0, base @ w


def added_at(x, i, y):
    return sg.scatter_add(x, i, y)


def sorted_(x):
    return sg.sort(x, axis=-1)[:, :2] + 1.0


def running(x):
    return sg.cumulative_sum(x, axis=0) * 2.0


# control flow -------------------------------------------------------------------------------------


def scanned(x, w):
    def step(h, row):
        h = sg.tanh(h @ w + row)
        return h, h * 2.0

    return sg.scan(step, x[0] * 0.0, x)


def last_only(x, w):
    return scanned(x, w)[0]


def many_steps(x, w, rows):
    return sg.scan(lambda h, row: (sg.tanh(h @ w) + row, None), x, rows)[0]


def counted(x):
    return sg.fori_loop(0, 100, lambda i, y: y * 0.99 + 1.0, x)


def until(x):
    return sg.while_loop(lambda y: sg.sum(y * y) > 0.1, lambda y: y * 0.5, x)


def chosen(x):
    return sg.cond(sg.sum(x) > 0.0, lambda: sg.tanh(x) * 2.0, lambda: x - 1.0)


def nested(x, w):
    def step(total, row):
        more = sg.cond(
            sg.sum(row) > 0.0,
            lambda: sg.fori_loop(0, 3, lambda i, y: sg.tanh(y @ w), row),
            lambda: row * 0.5,
        )
        return total + more, None

    return sg.scan(step, x[0] * 0.0, x)[0]


def writing_loop(x):
    def step(i, y):
        y = sg.clone(y)
        y[i] = y[i] * 2.0 + 1.0
        return y

    return sg.fori_loop(0, 6, step, x)


def drawn(x, key):
    return x * sg.normal(key, (4, 5))


PROGRAMS: dict[str, Planned] = {
    **{name: workload(name) for name in BUILTIN if name != "control_flow"},
    "softmax": of_types(softmax, f32(6, 40)),
    "softmax_gradient": of_types(softmax, f32(6, 40), gradients=True),
    "normalized": of_types(normalized, f32(6, 40), f32(40)),
    "normalized_gradient": of_types(normalized, f32(6, 40), f32(40), gradients=True),
    "kept_between_stages": of_types(kept_between_stages, f32(6, 200)),
    "kept_between_stages_gradient": of_types(kept_between_stages, f32(6, 200), gradients=True),
    "too_wide_to_keep": of_types(too_wide_to_keep, f64(4, 20_000)),
    "columns": of_types(columns, f32(30, 20)),
    "columns_large": of_types(columns, f32(3000, 200)),
    "columns_of_hard": of_types(columns_of_hard, f32(300, 200)),
    "many_columns": of_types(many_columns, f32(30, 20)),
    "middle": of_types(middle, f32(5, 30, 20)),
    "middle_large": of_types(middle, f64(50, 300, 200)),
    "everything": of_types(everything, f32(30, 20)),
    "everything_large": of_types(everything, f32(1000, 1000)),
    "several_outputs": of_types(several_outputs, f32(6, 8), f32(6, 8)),
    "several_outputs_gradient": of_types(
        lambda x, y: several_outputs(x, y)[0], f32(6, 8), f32(6, 8), gradients=True
    ),
    "rows_and_grid": of_types(rows_and_grid, f32(20), f32(30)),
    "rows_and_grid_large": of_types(rows_and_grid, f32(2000), f32(3000)),
    "recomputed": of_types(recomputed, f32(20), f32(20, 30)),
    "turned": of_types(turned, f32(4, 5, 6)),
    "turned_large": of_types(turned, f32(64, 65, 66)),
    "turned_twice": of_types(turned_twice, f32(4, 4)),
    "reshaped": of_types(reshaped, f32(3, 8), gradients=True),
    "joined": of_types(joined, f32(4, 3), f32(4, 5)),
    "joined_gradient": of_types(joined, f32(4, 3), f32(4, 5), gradients=True),
    "joined_and_read": of_types(joined_and_read, f32(4, 3), f32(5, 3)),
    "joined_softmax": of_types(joined_softmax, f32(4, 30), f32(4, 50)),
    "joined_and_shifted": of_types(joined_and_shifted, f32(4, 3), f32(5, 3)),
    "joined_and_reversed": of_types(joined_and_reversed, f32(4, 3), f32(5, 3)),
    "moved_often": of_types(moved_often, f32(50, 3)),
    "padded": of_types(padded, f32(4, 5), gradients=True),
    "stencil": of_types(stencil, f32(20, 24), gradients=True),
    "strided": of_types(strided, f32(8, 9), gradients=True),
    "reversed": of_types(reversed_, f32(8, 9), gradients=True),
    "broadcast": of_types(broadcast, f32(6), f32(6, 8), gradients=True),
    "mixed": of_types(mixed, f32(6), i64(6)),
    "long_chain": of_types(long_chain, f32(100), gradients=True),
    "large": of_types(large, f32(1000, 1000), f32(1000, 1000), gradients=True),
    "large_sum": of_types(large_sum, f32(2000, 1000)),
    "large_sum_gradient": of_types(lambda x: large_sum(x)[0], f32(2000, 1000), gradients=True),
    "product": of_types(product, f32(5, 6), f32(6, 7), f32(7), gradients=True),
    "product_large": of_types(product, f32(300, 400), f32(400, 500), f32(500), gradients=True),
    "added_product": of_types(added_product, f32(50, 60), f32(60, 70), f32(50, 70)),
    "batched": of_types(batched, f32(8, 5, 6), f32(8, 6, 7), gradients=True),
    "turned_product": of_types(turned_product, f32(60, 50), f32(60, 70), gradients=True),
    "chained": of_types(chained, f32(6, 6), f32(6, 6), gradients=True),
    "convolved": of_types(convolved, f32(2, 3, 8, 8), f32(4, 3, 3, 3), gradients=True),
    "convolved_beyond": of_types(
        convolved_beyond, f32(1, 1, 4, 4), f32(2, 1, 2, 2), gradients=True
    ),
    "reduced_apart": of_types(reduced_apart, f32(60, 50), f32(50, 70), f32(50, 80)),
    "pooled": of_types(pooled, f32(2, 3, 8, 8), gradients=True),
    "pooled_apart": of_types(pooled_apart, f32(2, 3, 9, 9), gradients=True),
    "gathered": of_types(gathered, f32(9, 5), i64(4), gradients=True),
    "gathered_of_computed": of_types(gathered_of_computed, f32(9, 5), i64(4)),
    "written": of_types(written, f32(4, 5), f32(2, 5)),
    "written_at": of_types(written_at, f32(9, 5), i64(2), f32(2, 5)),
    "read_beside_written": of_types(read_beside_written, f32(9, 5), i64(2), f32(2, 5), f32(5, 70)),
    "added_at": of_types(added_at, f32(9, 5), i64(4), f32(4, 5), gradients=True),
    "sorted": of_types(sorted_, f32(4, 9), gradients=True),
    "running": of_types(running, f32(9, 5), gradients=True),
    "scanned": of_types(scanned, f32(7, 5), f32(5, 5)),
    "last_only_gradient": of_types(last_only, f32(7, 5), f32(5, 5), gradients=True),
    "many_steps": of_types(many_steps, f32(8, 16), f32(16, 16), f32(2000, 16)),
    "many_steps_gradient": of_types(
        many_steps, f32(8, 16), f32(16, 16), f32(2000, 16), gradients=True
    ),
    "counted": of_types(counted, f32(50), gradients=True),
    "until": of_types(until, f32(50)),
    "chosen": of_types(chosen, f32(50), gradients=True),
    "nested": of_types(nested, f32(4, 5), f32(5, 5), gradients=True),
    "writing_loop": of_types(writing_loop, f32(6, 5)),
    "drawn": of_types(drawn, f32(4, 5), TensorType((2,), "uint64")),
    "open_softmax": of_types(softmax, open_("n", "m"), gradients=True),
    "open_columns": of_types(columns, open_("n", "m")),
    "open_everything": of_types(everything, open_("n", "m")),
    "open_product": of_types(product, open_("n", 6), f32(6, 7), f32(7), gradients=True),
    "open_joined": of_types(joined, open_("n", 3), open_("n", 5), gradients=True),
    "open_middle": of_types(middle, open_("n", 30, "m")),
    "open_scan": of_types(many_steps, open_("n", 16), f32(16, 16), open_("t", 16)),
    "open_large": of_types(large, open_("n", "m"), open_("n", "m"), gradients=True),
}
