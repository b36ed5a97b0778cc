"""One program under PyTorch and under dyngraph: the same values and gradients, or both refuse."""

import copy

import numpy as np
import pytest

import dyngraph as dg

torch = pytest.importorskip("torch")


class Torch:
    """PyTorch's names of what dyngraph has in its own namespace."""

    Function = torch.autograd.Function
    grad = staticmethod(torch.autograd.grad)
    backward = staticmethod(torch.autograd.backward)

    def __getattr__(self, name):
        return getattr(torch, name)

    @staticmethod
    def checkpoint(function, *args):
        from torch.utils.checkpoint import checkpoint

        return checkpoint(function, *args, use_reentrant=False)


def leaf(xp, *values):
    return xp.tensor(list(values), dtype=xp.float64, requires_grad=True)


def constant(xp, *values):
    return xp.tensor(list(values), dtype=xp.float64)


PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


# gradients, roots and inputs ---------------------------------------------------------------------


@program
def gradients_accumulate(xp):
    x = leaf(xp, 1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    return x.grad


@program
def a_gradient_set_by_hand_is_added_to(xp):
    x = leaf(xp, 2.0)
    x.grad = constant(xp, 5.0)
    (x * x).backward()
    return x.grad


@program
def inputs_name_a_tensor_that_is_no_leaf(xp):
    x = leaf(xp, 1.0, 2.0)
    y = x * 2
    (y * y).sum().backward(inputs=[y, x])
    return y.grad, x.grad


@program
def inputs_name_a_retained_tensor(xp):
    x = leaf(xp, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward(inputs=[y])
    return y.grad, x.grad


@program
def gradients_of_several_inputs_some_twice(xp):
    x = leaf(xp, 1.0, 2.0)
    y = x * 2
    return xp.grad((y * y).sum(), [y, x, x, y])


@program
def gradient_of_a_tensor_by_itself(xp):
    x = leaf(xp, 1.0)
    y = x * 2
    return xp.grad(y, [y, x]) + xp.grad(x, x)


@program
def roots_that_depend_on_each_other(xp):
    x = leaf(xp, 1.0)
    y = x * 2
    xp.backward([y, y * y, y], [constant(xp, 1.0), None, constant(xp, 3.0)])
    return x.grad


@program
def a_leaf_as_root(xp):
    x = leaf(xp, 1.0)
    x.backward()
    x.backward()
    return x.grad


@program
def unused_inputs(xp):
    x, z = leaf(xp, 2.0), leaf(xp, 1.0)
    return xp.grad(x * 2, [x, z], allow_unused=True)


@program
def unused_inputs_are_refused(xp):
    x, z = leaf(xp, 2.0), leaf(xp, 1.0)
    return xp.grad(x * 2, [x, z])


@program
def the_cotangent_is_not_kept(xp):
    x, y, g = leaf(xp, 2.0), leaf(xp, 3.0), constant(xp, 5.0)
    (x + y).backward(g)
    g[0] = 100
    x.grad[0] = 50
    return x.grad, y.grad


# freed graphs and higher orders ------------------------------------------------------------------


@program
def a_freed_graph(xp):
    x = leaf(xp, 2.0)
    y = x * x
    y.backward()
    y.backward()


@program
def a_graph_that_saved_nothing_is_never_freed(xp):
    x = leaf(xp, 2.0)
    y = x + x
    y.backward()
    y.backward()
    return x.grad


@program
def fourth_derivative(xp):
    x = leaf(xp, 2.0)
    y = xp.sin(x) * xp.exp(x)
    for _ in range(4):
        (y,) = xp.grad(y, x, create_graph=True)
    return y


@program
def a_gradient_with_a_graph_accumulates(xp):
    x = leaf(xp, 2.0)
    (x**3).backward(create_graph=True)
    (x.grad * x).sum().backward()
    return x.grad


@program
def gradients_flow_to_the_cotangent(xp):
    x, v = leaf(xp, 2.0), leaf(xp, 3.0)
    (g,) = xp.grad(x * x, x, v, create_graph=True)
    return xp.grad(g, [x, v])


# hooks and retained gradients --------------------------------------------------------------------


@program
def hooks_run_in_order_and_may_replace(xp):
    x = leaf(xp, 1.0, 2.0)
    seen = []
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.clone()))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(g.clone()))
    (y * 3).sum().backward()
    return *seen, x.grad, y.grad


@program
def a_hook_of_a_leaf_sees_the_whole_gradient(xp):
    x = leaf(xp, 1.0, 2.0)
    seen = []
    handle = x.register_hook(lambda g: (seen.append(g.clone()), g * 2)[1])
    (x * x + x).sum().backward()
    handle.remove()
    (x * x).sum().backward()
    return *seen, x.grad


@program
def a_hook_is_differentiated(xp):
    x = leaf(xp, 2.0)
    y = x * x
    y.register_hook(lambda g: g * g)
    (g,) = xp.grad(y * x, x, create_graph=True)
    return g, *xp.grad(g, x)


@program
def a_retained_gradient_follows_an_in_place_change(xp):
    x = leaf(xp, 2.0)
    y = x * 2
    y.retain_grad()
    y *= 3
    (y * y).sum().backward()
    return y.grad, x.grad


# modes -------------------------------------------------------------------------------------------


@program
def modes_nest(xp):
    x = leaf(xp, 2.0)
    seen = []
    with xp.no_grad():
        seen.append((x * 2).requires_grad)
        with xp.enable_grad():
            seen.append((x * 2).requires_grad)
        with xp.set_grad_enabled(True):
            seen.append((x * 2).requires_grad)
        seen.append(xp.is_grad_enabled())
    with xp.inference_mode(False):
        seen.append((x * 2).requires_grad)
    with xp.inference_mode():
        seen.append((x * 2).requires_grad)
    return *seen, xp.is_grad_enabled()


@program
def modes_decorate(xp):
    x = leaf(xp, 2.0)

    @xp.no_grad()
    def off(y):
        return y * 2

    @xp.no_grad
    def bare(y):
        return y * 2

    @xp.enable_grad()
    def on(y):
        return off(y).requires_grad, bare(y).requires_grad, (y * 2).requires_grad

    with xp.no_grad():
        return on(x)


@program
def modes_decorate_generators(xp):
    x = leaf(xp, 2.0)

    @xp.no_grad()
    def generate():
        got = yield (x * 2).requires_grad
        try:
            yield got, (x * 3).requires_grad
        except KeyError:
            yield "caught", (x * 4).requires_grad

    steps = generate()
    seen = [next(steps), (x * 2).requires_grad, steps.send("sent"), (x * 2).requires_grad]
    return *seen, steps.throw(KeyError()), (x * 2).requires_grad


@program
def the_mode_is_switched_by_a_statement(xp):
    x = leaf(xp, 2.0)
    xp.set_grad_enabled(False)
    off = (x * 2).requires_grad
    xp.set_grad_enabled(True)
    return off, (x * 2).requires_grad


@program
def an_exception_ends_a_mode(xp):
    with pytest.raises(KeyError), xp.no_grad():
        raise KeyError
    return xp.is_grad_enabled()


# detached and copied -----------------------------------------------------------------------------


@program
def detached_tensors_share_memory(xp):
    x = leaf(xp, 2.0, 3.0)
    y = x + 1
    d = y.detach()
    d[0] = 7
    y.sum().backward()
    return y, d.requires_grad, d.is_leaf, x.grad


@program
def a_change_through_a_detached_tensor_is_noticed(xp):
    x = leaf(xp, 2.0, 3.0)
    y = xp.exp(x)
    y.detach()[0] = 7
    y.sum().backward()


@program
def parameters_are_updated_through_data(xp):
    x = leaf(xp, 2.0)
    x.data -= 1
    first = x.clone()
    x.data = constant(xp, 5.0)
    (x * x).backward()
    return first, x, x.grad


@program
def copies_keep_the_gradient(xp):
    x = leaf(xp, 2.0)
    (x * x).backward()
    y = copy.deepcopy(x)
    return y, y.grad, y.requires_grad


# in place ----------------------------------------------------------------------------------------


@program
def a_leaf_is_not_changed_in_place(xp):
    leaf(xp, 2.0).add_(1)


@program
def a_view_of_a_leaf_is_not_changed_in_place(xp):
    leaf(xp, 2.0)[0] = 1


@program
def a_leaf_is_changed_inside_no_grad(xp):
    x = leaf(xp, 2.0, 3.0)
    (x * x).sum().backward()
    with xp.no_grad():
        x -= 0.1 * x.grad
        x.grad.zero_()
    (x * x).sum().backward()
    return x, x.grad, x.is_leaf


@program
def a_saved_operand_was_changed(xp):
    x = leaf(xp, 2.0) * 1
    y = x * x
    x += 1
    y.backward()


@program
def a_saved_result_was_changed(xp):
    y = xp.exp(leaf(xp, 2.0))
    y += 1
    y.backward()


@program
def a_filled_tensor_keeps_its_graph(xp):
    x, z = leaf(xp, 2.0), leaf(xp, 3.0)
    y = x * 2
    y.zero_()
    w = z * 2
    w.copy_(y)
    (y + w).backward()
    return y.requires_grad, x.grad, z.grad


@program
def a_reshape_that_copied_is_no_view(xp):
    x = leaf(xp, 1.0, 2.0, 3.0, 4.0)
    base = (x * 1).reshape(2, 2)
    copied = base.transpose(0, 1).reshape(4)
    copied *= 10
    return xp.grad((base * base).sum() + copied.sum(), x)


@program
def a_view_of_a_scalar(xp):
    x = leaf(xp, 2.0)
    base = (x * 3)[0]
    base[()].sub_(base * base)
    return base, *xp.grad(base * base, x)


@program
def indexing_does_not_need_the_values(xp):
    x = leaf(xp, 1.0, 2.0, 3.0) * 2
    rows, columns = xp.tensor([0, 1]), xp.tensor([0, 0])
    chosen = x.reshape(3, 1)[rows, columns] + x[x > 3][:2]
    x += 1
    values = leaf(xp, 5.0, 6.0)
    moved = values * 2
    x[rows] = moved
    moved.zero_()
    return xp.grad(chosen.sum() + (x * 3).sum(), values)


# functions of one's own --------------------------------------------------------------------------


def two_results(xp, seen):
    class TwoResults(xp.Function):
        @staticmethod
        def forward(ctx, x, y, k):
            ctx.save_for_backward(x, y)
            ctx.k = k
            return x * y * k, x + y

        @staticmethod
        def backward(ctx, g_product, g_sum):
            x, y = ctx.saved_tensors
            seen.append(ctx.needs_input_grad)
            return g_product * y * ctx.k + g_sum, g_product * x * ctx.k + g_sum, None

    return TwoResults


@program
def a_function_of_several_results(xp):
    seen = []
    x, y = leaf(xp, 2.0), constant(xp, 3.0)
    product, total = two_results(xp, seen).apply(x, y, 4.0)
    (product + total).backward()
    product, total = two_results(xp, seen).apply(x, leaf(xp, 1.0), 4.0)
    total.backward()
    return x.grad, y.grad, tuple(map(tuple, seen))


@program
def second_derivatives_of_a_function(xp):
    x, y = leaf(xp, 2.0), leaf(xp, 3.0)
    product, total = two_results(xp, []).apply(x, y, 4.0)
    dx, dy = xp.grad(product * product + total, [x, y], create_graph=True)
    return xp.grad(dx * dy, [x, y])


@program
def a_freed_function(xp):
    product, _ = two_results(xp, []).apply(leaf(xp, 2.0), leaf(xp, 3.0), 4.0)
    product.backward()
    product.backward()


@program
def results_without_gradients(xp):
    class Sorted(xp.Function):
        @staticmethod
        def forward(ctx, x):
            mask, other = x > 1, x * 3
            ctx.mark_non_differentiable(mask, other)
            return x * 2, mask, other

        @staticmethod
        def backward(ctx, g, g_mask, g_other):
            return g * 2

    x = leaf(xp, 2.0, 0.5)
    y, mask, other = Sorted.apply(x)
    y.sum().backward()
    return x.grad, y.requires_grad, mask.requires_grad, other.requires_grad


@program
def no_gradient_from_a_function(xp):
    class Stops(xp.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return None

    x = leaf(xp, 2.0)
    (Stops.apply(x) + x).backward()
    return x.grad


@program
def an_argument_returned_as_it_is(xp):
    class Scales(xp.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(xp, 2.0)
    y = Scales.apply(x)
    (y + x).backward()
    return x.grad, y.requires_grad, y is x


@program
def an_argument_changed_in_place(xp):
    class AddsOne(xp.Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(xp, 2.0)
    z = x * 2
    y = AddsOne.apply(z)
    (y + z).backward()
    return x.grad, y, z, y is z


@program
def the_context_set_up_apart(xp):
    class Times(xp.Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.k = inputs[1]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.k, None

    x = leaf(xp, 2.0)
    Times.apply(x, 3.0).backward()
    return x.grad


@program
def gradients_left_out(xp):
    seen = []

    class Twice(xp.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            seen.append((first is None, second is None))
            return first * 2

    x = leaf(xp, 2.0)
    Twice.apply(x)[0].backward()
    return x.grad, *seen


# checkpoints -------------------------------------------------------------------------------------


@program
def a_checkpoint_in_a_checkpoint(xp):
    w, x = leaf(xp, 0.5), leaf(xp, 2.0)

    def inner(x):
        return xp.tanh(xp.exp(x * w) * w)

    def outer(z):
        return xp.checkpoint(inner, z) * xp.checkpoint(inner, z * 2)

    xp.checkpoint(outer, x).backward()
    return x.grad, w.grad


@program
def a_checkpoint_with_changes_in_place(xp):
    w, x = leaf(xp, 0.5), leaf(xp, 2.0)

    def block(x):
        h = x * w
        h += 1
        h = xp.exp(h) * 2
        h *= w
        return h

    y = xp.checkpoint(block, x)
    y += 3
    y.backward()
    return x.grad, w.grad


@program
def a_freed_checkpoint(xp):
    y = xp.checkpoint(lambda z: xp.exp(z * z), leaf(xp, 2.0))
    y.backward()
    y.backward()


@program
def a_checkpoint_kept(xp):
    x = leaf(xp, 2.0)
    y = xp.checkpoint(lambda z: xp.exp(z * z), x)
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


# -------------------------------------------------------------------------------------------------


def outcome(function, xp):
    try:
        result = function(xp)
    except Exception as error:  # the texts differ, the refusal must not
        return type(error).__name__ if not isinstance(error, (RuntimeError, ValueError)) else "no"
    return [
        np.round(x.detach().numpy(), 10).tolist() if hasattr(x, "detach") else x
        for x in (result if isinstance(result, tuple) else (result,))
    ]


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True:UserWarning")
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_as_in_torch(function):
    assert outcome(function, dg) == outcome(function, Torch())
