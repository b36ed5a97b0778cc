"""How attributes are drawn, and operands that must fit each other or the attributes."""

import numpy as np

LARGEST = 20_000
"""Elements of a value."""


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
