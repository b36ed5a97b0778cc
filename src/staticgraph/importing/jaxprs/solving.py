"""JAX's linear solves: their gradients are solves again, and not those of the way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

from oplibrary.transforms.custom_call import transforms_of
from oplibrary.transforms.custom_vjp import custom_vjp
from oplibrary.values.dtypes import FLOATING
from staticgraph.importing.jaxprs.table import TABLE

Arrays = Sequence[Any]


@TABLE.entry("custom_linear_solve")
def _custom_linear_solve(xp: Any, *operands: Any, const_lengths: Any, jaxprs: Any) -> Any:
    ends = [0, *accumulate(const_lengths)]
    values = [xp.asarray(x) for x in operands]
    held = dict(
        zip(const_lengths._fields, (tuple(values[a:b]) for a, b in pairwise(ends)), strict=True)
    )
    return list(linear_solve(_System(xp, jaxprs), held, tuple(values[ends[-1] :])))


@dataclass(frozen=True)
class _System:
    """The functions of a system, called as JAX calls them; each gets what it captures first.

    ``matvec`` is the product with the matrix and ``solve`` its inverse, ``vecmat`` and
    ``transpose_solve`` are those of the transpose, None if the source has no gradient.
    """

    xp: Any
    functions: Mapping[str, Callable[..., Arrays] | None]
    is_transposed: bool = False

    def transposed(self) -> _System:
        """Return the system of the transposed matrix."""
        return _System(self.xp, self.functions, not self.is_transposed)

    def product(self, held: Mapping[str, Arrays], x: Arrays) -> Arrays:
        """Return the matrix times `x`."""
        return self._run("vecmat" if self.is_transposed else "matvec", "matvec", held, x)

    def solved(self, held: Mapping[str, Arrays], b: Arrays) -> Arrays:
        """Return the solution, and behind it what the source returns besides."""
        return self._run("transpose_solve" if self.is_transposed else "solve", "solve", held, b)

    def _run(self, name: str, other: str, held: Mapping[str, Arrays], x: Arrays) -> Arrays:
        function = self.functions[name]
        if function is not None:
            return function(*held[name], *x)
        plain = self.functions[other]  # whose gradient is its transpose, as it is linear
        assert plain is not None
        pulled = _pulled(
            lambda *y: tuple(plain(*held[other], *y)[: len(x)]), x, list(map(self.conjugate, x))
        )
        return tuple(map(self.conjugate, pulled))

    def conjugate(self, x: Any) -> Any:
        """Return the conjugate of a complex number, and a real one as it is."""
        return self.xp.conj(x) if x.dtype.kind == "c" else x


def _pulled(function: Callable[..., Arrays], values: Arrays, cotangents: Arrays) -> Arrays:
    """Return the gradients of a function by `values`, of cotangents of its results."""
    transforms = transforms_of(values)
    assert transforms is not None  # gradients are taken of an executor's arrays
    _, pull = transforms.vjp(function, *values)
    return pull(tuple(cotangents))


@partial(custom_vjp, nondiff_argnums=0)
def linear_solve(system: _System, held: Mapping[str, Arrays], b: Arrays) -> Arrays:
    """Return the solution of a linear system; the gradient goes by the matrix, not by the way."""
    return tuple(system.solved(held, b))


def _forward(system: _System, held: Mapping[str, Arrays], b: Arrays) -> tuple[Arrays, Any]:
    solution = linear_solve(system, held, b)
    return solution, (held, tuple(solution[: len(b)]))


def _backward(
    system: _System, needed: tuple[Mapping[str, Arrays], Arrays], cotangents: Arrays
) -> tuple[Any, Any]:
    """Return the gradients by A and b of x = A^-1 b: b' = A^-H x', and what A x gives of -b'."""
    held, x = needed
    conjugate = system.conjugate
    given = tuple([conjugate(each) for each in cotangents[: len(x)]])
    by_b = tuple(map(conjugate, linear_solve(system.transposed(), held, given)[: len(x)]))
    name = "vecmat" if system.is_transposed else "matvec"
    if system.functions[name] is None:
        name = "matvec"
    moving = [i for i, each in enumerate(held[name]) if each.dtype.kind in FLOATING]
    slopes: list[Any] = [None] * len(held[name])
    if moving:

        def product(*values: Any) -> Arrays:
            whole = list(held[name])
            for i, value in zip(moving, values, strict=True):
                whole[i] = value
            return tuple(system.product({**held, name: whole}, x))

        pulled = _pulled(product, [held[name][i] for i in moving], [-each for each in by_b])
        for i, slope in zip(moving, pulled, strict=True):
            slopes[i] = slope
    by_held = {each: tuple(slopes) if each == name else None for each in held}
    return by_held, by_b


linear_solve.defvjp(_forward, _backward)  # type: ignore[attr-defined]
