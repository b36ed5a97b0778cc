"""Compare gradients with numerical differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dyngraph.engine import backward as engine
from dyngraph.tape.grad_mode import enable_grad
from dyngraph.tensors.conversion import as_tensor
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.messages.errors import ArgumentError, GradcheckError
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.parameters import require_callable
from oplibrary.values.types import Array


def gradcheck(
    function: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Check the gradient of `function` against central differences.

    Parameters
    ----------
    function : callable
        Returns a tensor or a tuple of tensors.
    inputs : Tensor or sequence of Tensor
        Those that require a gradient must be float64 or complex128: differences of float32 are
        too rough.
    eps : float
        Step of the differences.
    atol, rtol : float
        Tolerances, as in ``numpy.allclose``.
    raise_exception : bool
        Raise where they differ, or return False.
    fast_mode : bool
        Compare one random combination of the Jacobian's rows and columns for each output and
        input, in place of every element: two calls of the function for an input of any size.

    Raises
    ------
    GradcheckError
        Naming the element of the Jacobian with the largest difference, or with `fast_mode` the
        output and the input.

    Notes
    -----
    Complex numbers count as two elements each, the real and the imaginary part: every part of the
    result is differentiated by every part of the inputs.

    Examples
    --------
    >>> import dyngraph as dg
    >>> gradcheck(dg.tanh, dg.tensor([0.5], dtype="float64", requires_grad=True))
    True
    """
    require_callable("gradcheck", function)
    given = _given(inputs)
    xs = [_fresh(x) if isinstance(x, Tensor) and x._node is not None else x for x in given]
    wanted = [x for x in xs if isinstance(x, Tensor) and x._node is not None]
    if not wanted:
        raise ArgumentError(
            "no input requires a gradient",
            cause="there is nothing to check",
            fix="create the inputs with requires_grad=True",
        )
    for x in wanted:
        if x.dtype not in (np.float64, np.complex128):
            raise ArgumentError(
                f"an input has dtype {x.dtype}",
                cause="numerical differences need float64 or complex128",
                fix='create the inputs with dtype="float64"',
            )
    with enable_grad():
        outputs = _outputs(function(*xs))
    for number, output in enumerate(outputs):
        if output.dtype.kind not in FLOATING:
            continue
        analytic = _analytic(output, wanted, fast_mode)
        for position, x in enumerate(wanted):
            numeric = _numeric(function, xs, x, number, eps, fast_mode)
            found = analytic[position]
            if fast_mode:
                found = found @ _combination(found.shape[1])[:, None]
                numeric = _combination(len(numeric))[None] @ numeric
            difference = np.abs(found - numeric)
            bound = atol + rtol * np.abs(numeric)
            if not np.all(difference <= bound):
                if not raise_exception:
                    return False
                worst = np.unravel_index(
                    int(np.argmax(np.nan_to_num(difference - bound, nan=np.inf))), numeric.shape
                )
                row, column = (int(i) for i in worst)
                of, by = ("", "") if fast_mode else (f" element {row}", f" element {column}")
                raise GradcheckError(
                    f"output {number}{of} by input {position}{by}: "
                    f"gradient {found[row, column]:.6g}, differences {numeric[row, column]:.6g}"
                )
    return True


def gradgradcheck(
    function: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    fast_mode: bool = False,
) -> bool:
    """Check the second derivatives of `function` against differences of the first.

    Parameters and errors are those of `gradcheck`.
    """
    require_callable("gradgradcheck", function)
    given = _given(inputs)
    rng = np.random.default_rng(0)
    with enable_grad():
        outputs = [o for o in _outputs(function(*given)) if o._node is not None]
    # random cotangents, inputs like the others: the vjp must be right as a function of both
    cotangents = [tensor_of(_normal(rng, output)).requires_grad_() for output in outputs]
    count = len(given)

    def gradients(*args: Any) -> Any:
        xs, vs = args[:count], args[count:]
        results = [o for o in _outputs(function(*xs)) if o._node is not None]
        wanted = [x for x in xs if isinstance(x, Tensor) and x._node is not None]
        found = engine.grad(results, wanted, list(vs), create_graph=True, unused="zero")
        return tuple(g for g in found if g is not None)

    return gradcheck(gradients, (*given, *cotangents), eps, atol, rtol, fast_mode=fast_mode)


def _given(inputs: Any) -> tuple[Any, ...]:
    if isinstance(inputs, Tensor):
        return (inputs,)
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs)
    raise ArgumentError(
        f"the inputs are a {type(inputs).__name__}",
        cause="the function is called with them, and differentiated by those that are tensors",
        fix="pass a tensor, or a tuple of the function's arguments",
    )


def _fresh(x: Tensor) -> Tensor:
    """Return a leaf of its own: the check writes into it."""
    return tensor_of(np.array(x._array, order="C")).requires_grad_()


def _outputs(result: Any) -> Sequence[Tensor]:
    return tuple(result) if isinstance(result, (tuple, list)) else (as_tensor(result),)


def _normal(rng: np.random.Generator, like: Tensor) -> Array:
    values = rng.standard_normal(like.shape)
    if like.dtype.kind == "c":
        return values + 1j * rng.standard_normal(like.shape)
    return values


def _parts(array: Array) -> Array:
    """Return the elements in a row, real and imaginary parts of complex ones side by side."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype)


def _combination(size: int) -> Array:
    """Return random factors, the same for the same size, of length 1."""
    factors = np.random.default_rng(size).standard_normal(size)
    return factors / max(float(np.linalg.norm(factors)), 1.0)


def _directions(size: int, fast_mode: bool) -> Iterator[tuple[Any, Any]]:
    """Yield where to go and how far: along each element, or along a combination of all.

    Elements beside it stay what they are, zeros of either sign included.
    """
    if fast_mode:
        yield slice(None), _combination(size)
    else:
        for index in range(size):
            yield index, 1.0


def _analytic(output: Tensor, wanted: list[Tensor], fast_mode: bool) -> list[Array]:
    """Return the Jacobian by each input, a row an output element or of their combination."""
    rows: list[list[Array]] = [[] for _ in wanted]
    for place, factors in _directions(_parts(output._array).size, fast_mode):
        cotangent = np.zeros(output.shape, output.dtype)
        _parts(cotangent)[place] = factors
        if output._node is None:
            found: Sequence[Any] = [None] * len(wanted)
        else:
            found = engine.grad(output, wanted, [cotangent], retain_graph=True, unused="none")
        for row, x, g in zip(rows, wanted, found, strict=True):
            row.append(_parts(np.zeros(x.shape, x.dtype) if g is None else g._array))
    return [
        np.array(row).reshape(len(row), _parts(x._array).size)
        for row, x in zip(rows, wanted, strict=True)
    ]


def _numeric(
    function: Callable[..., Any],
    xs: Sequence[Any],
    x: Tensor,
    number: int,
    eps: float,
    fast_mode: bool,
) -> Array:
    """Return the Jacobian by one input, a column an element of it or their combination."""
    columns = []
    flat = _parts(x._array)
    for place, factors in _directions(flat.size, fast_mode):
        value = flat[place].copy()
        sides = []
        for step in (eps, -eps):
            flat[place] = value + step * factors
            with enable_grad():  # the function may itself take gradients
                sides.append(_parts(_outputs(function(*xs))[number]._array).copy())
        flat[place] = value
        columns.append((sides[0] - sides[1]) / (2 * eps))
    if not columns:
        with enable_grad():
            return np.zeros((_parts(_outputs(function(*xs))[number]._array).size, 0))
    return np.stack(columns, axis=1)
