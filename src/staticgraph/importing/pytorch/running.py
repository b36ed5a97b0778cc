"""A module of PyTorch, run by itself: what the imported program is compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.pytorch.table import TABLE
from staticgraph.importing.pytorch.tensors import numbers_of, tensor_of
from staticgraph.importing.shared.checking import Results, cotangents_for
from staticgraph.importing.shared.imported import Imported


class ModuleItself:
    """A module with the arguments that it is run on.

    Parameters
    ----------
    torch : module
    module : torch.nn.Module
    program : torch.export.ExportedProgram
        What was exported of it.
    arguments : (tuple, dict)
    places : sequence of int or None
        Which input each leaf of the arguments is; None for what is no tensor.

    Attributes
    ----------
    drawn : dict of str to array
        What the first run drew, by the operators of the program. Runs that follow draw it again.
    cotangents : list of array or None
        What the outputs of the first run are multiplied with; see `cotangents_for`.
    by_inputs : bool
        Whether gradients by the inputs are taken.
    """

    def __init__(
        self,
        torch: Any,
        module: Any,
        program: Any,
        arguments: tuple[Any, Any],
        places: Sequence[int | None],
    ) -> None:
        self.torch, self.module, self.program = torch, module, program
        self.arguments, self.places = arguments, places
        self.drawing = [node for node in program.graph.nodes if draws(node)]
        self.drawn: dict[str, Any] = {}
        self.cotangents: list[Any] = []
        self.by_inputs = True
        self._noted: list[Any] = []

    def results(self, imported: Imported, *, widened: bool) -> Results:
        """Return outputs, the next state and gradients, in float64 if `widened`."""
        torch = self.torch
        tensors = self._tensors(imported, widened)
        leaves = {name: tensors[name] for name in imported.parameters}
        flat = torch.utils._pytree.tree_leaves(self.arguments)
        inputs = [_taken(torch, x, widened, self.by_inputs) for x in flat]
        with torch.enable_grad():
            outputs = self._called(imported, tensors, inputs, widened)
            if not widened:
                self.cotangents = cotangents_for([numbers_of(x) for x in outputs])
            given = [x for x, place in zip(inputs, self.places, strict=True) if place is not None]
            named = {**leaves, **dict(zip(imported.signature.called, given, strict=True))}
            wanted = {name: x for name, x in named.items() if x.requires_grad}
            slopes = self._slopes(outputs, list(wanted.values()))
        gradients = {
            name: np.zeros(tuple(x.shape), numbers_of(x).dtype) if g is None else numbers_of(g)
            for (name, x), g in zip(wanted.items(), slopes, strict=True)
            if any(c is not None for c in self.cotangents)
        }
        if not widened:
            _require_followed(imported, tensors)
        updated = {name: numbers_of(tensors[name]) for name in imported.signature.updated}
        return Results([numbers_of(x) for x in outputs], updated, gradients)

    def outputs(
        self, imported: Imported, inputs: Sequence[Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the outputs alone, on other inputs, and what is drawn for them."""
        self._noted, self.drawn = [], {}
        places = iter(inputs)
        flat = self.torch.utils._pytree.tree_leaves(self.arguments)
        given = [
            x if place is None else tensor_of(self.torch, next(places))
            for x, place in zip(flat, self.places, strict=True)
        ]
        with self.torch.no_grad():
            found = self._called(imported, self._tensors(imported, False), given, False)
        return [numbers_of(x) for x in found], self.drawn

    def _tensors(self, imported: Imported, widened: bool) -> dict[str, Any]:
        """Return copies of parameters and buffers, since modules write into what they are given."""
        torch, program = self.torch, self.program
        return {
            **{n: _taken(torch, program.state_dict[n], widened) for n in imported.parameters},
            **{
                n: _taken(torch, tensor_of(torch, x), widened, False)
                for n, x in imported.buffers.items()
            },
        }

    def _called(
        self, imported: Imported, tensors: dict[str, Any], inputs: Sequence[Any], widened: bool
    ) -> list[Any]:
        """Return the module's results; `tensors` gets the buffers that it writes or replaces."""
        torch, tree = self.torch, self.torch.utils._pytree
        module = copy.deepcopy(self.module)
        if widened:
            module = module.double()
        _, spec = tree.tree_flatten(self.arguments)
        args, kwargs = tree.tree_unflatten(inputs, spec)
        held = {name for name, _ in module.named_buffers()}
        given = {n: x for n, x in tensors.items() if n in imported.parameters or n in held}
        given.update({name: tensors[first] for name, first in imported.tied.items()})
        again = bool(self._noted)
        drawing = _drawing(torch, self._noted, again) if self.drawing else nullcontext()
        with drawing:
            result = torch.func.functional_call(module, given, args, kwargs)
        tensors.update(given)
        if not again:
            self.drawn = self._by_operators()
        return [x for x in tree.tree_leaves(result) if x is not None]

    def _slopes(self, outputs: Sequence[Any], wanted: Sequence[Any]) -> Sequence[Any]:
        torch = self.torch
        pairs = [
            (y, tensor_of(torch, c).to(y.dtype))
            for y, c in zip(outputs, self.cotangents, strict=True)
            if c is not None and isinstance(y, torch.Tensor) and y.requires_grad
        ]
        if not pairs or not wanted:
            return [None] * len(wanted)
        ys, cotangents = zip(*pairs, strict=True)
        found: Sequence[Any] = torch.autograd.grad(ys, wanted, cotangents, allow_unused=True)
        return found

    def _by_operators(self) -> dict[str, Any]:
        """Return what the module drew by the operators that were exported, in their order."""
        types = [_drawn_type(node) for node in self.drawing]
        shapes = [tuple(n if isinstance(n, int) else None for n in each.shape) for each in types]
        drawn = [
            tuple(None if n is None else m for n, m in zip(shape, x.shape, strict=False))
            for shape, x in zip(shapes, self._noted, strict=False)
        ]
        if drawn != shapes or len(shapes) != len(self._noted):
            raise UnsupportedOpError(
                f"the module draws {len(self._noted)} arrays of random numbers, and torch.export "
                f"gives {len(shapes)} of them",
                cause="a program is compared with the module on the numbers that this drew",
                fix="leave out random numbers that no result depends on",
            )
        return {
            node.name: x.astype(numbers_of(self.torch.empty(0, dtype=each.dtype)).dtype)
            for node, each, x in zip(self.drawing, types, self._noted, strict=True)
        }


def _require_followed(imported: Imported, tensors: Mapping[str, Any]) -> None:
    """Refuse a module that changes what the exported program leaves as it is."""
    for name, before in {**imported.parameters, **imported.buffers}.items():
        after = numbers_of(tensors[name])
        if name in imported.signature.updated or after.tobytes() == before.tobytes():
            continue
        raise UnsupportedOpError(
            f"the module changes {name}, and torch.export gives a program that does not",
            cause="what a program changes is what PyTorch sees change: buffers, by their names",
            fix=f"register it as a buffer, and write self.{name.rpartition('.')[2]} = value",
        )


def _taken(torch: Any, x: Any, widened: bool, moving: bool = True) -> Any:
    """Return a copy of a tensor, by which gradients are taken if it is `moving`."""
    if not isinstance(x, torch.Tensor):
        return x
    x = x.detach().clone()
    if widened and x.is_floating_point():
        x = x.double()
    return x.requires_grad_(moving and x.is_floating_point())


def draws(node: Any) -> bool:
    """Tell whether a node of a program draws random numbers."""
    entry = TABLE.get(str(node.target))
    if node.op != "call_function" or entry is None or not entry.random:
        return False
    return "dropout" not in str(node.target) or node.args[1] < 1  # which is 0, drawn or not


def _drawn_type(node: Any) -> Any:
    value = node.meta["val"]
    return value[1] if isinstance(value, tuple) else value


def _drawing(torch: Any, numbers: list[Any], again: bool) -> Any:
    """Return a context in which random numbers are noted in `numbers`, or are these `again`."""
    kept = iter(numbers)
    seeded = torch.Tag.nondeterministic_seeded

    class Drawing(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc]
        supports_higher_order_operators = True

        def __torch_dispatch__(
            self,
            func: Callable[..., Any],
            types: Any,
            args: Sequence[Any] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            if seeded in getattr(func, "tags", ()) and isinstance(result, torch.Tensor):
                if again:
                    result.copy_(tensor_of(torch, next(kept)))
                else:
                    numbers.append(numbers_of(result))
            return result

    return Drawing()
