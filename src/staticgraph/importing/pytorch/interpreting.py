"""An exported program of PyTorch, run operator by operator: what it draws is kept, or given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from staticgraph.importing.pytorch.tensors import numbers_of, tensor_of


def interpreted(
    torch: Any,
    program: Any,
    inputs: Sequence[Any],
    drawing: Collection[str],
    drawn: dict[str, Any],
    *,
    widened: bool,
) -> list[Any]:
    """Return the results of an exported program.

    Parameters
    ----------
    torch : module
    program : torch.export.ExportedProgram
    inputs : sequence of any
        For all of its placeholders.
    drawing : collection of str
        The operators that draw random numbers, by their names in the graph.
    drawn : dict of str to array
        What they drew. It is filled, or read if `widened`.
    widened : bool
        Whether all floating-point numbers are float64.
    """
    dropout = torch.ops.aten.native_dropout.default

    class Interpreter(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, node: Any) -> Any:
            if node.name in drawing and widened:
                return self.drawn_again(node)
            result = super().run_node(node)
            if node.name in drawing:
                own = result[1] if isinstance(result, tuple) else result
                drawn[node.name] = numbers_of(own)
            return result

        def drawn_again(self, node: Any) -> Any:
            """Return the result of an operator that drew the same numbers before."""
            known = _wide(torch, tensor_of(torch, drawn[node.name]))
            if node.target is not dropout:
                return known
            (x, p, *_), _ = self.fetch_args_kwargs_from_env(node)
            return x * known * (0.0 if p == 1 else 1 / (1 - p)), known

        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            if widened:
                args, kwargs = torch.utils._pytree.tree_map(
                    lambda each: _wide(torch, each), (args, kwargs)
                )
            return super().call_function(target, args, kwargs)

    found: list[Any] = list(Interpreter(program.graph_module).run(*inputs))
    return found


def _wide(torch: Any, x: Any) -> Any:
    """Return a tensor or a dtype of floating-point numbers as one of float64."""
    if isinstance(x, torch.dtype):
        return torch.float64 if x.is_floating_point else x
    is_float = isinstance(x, torch.Tensor) and x.is_floating_point()
    return x.double() if is_float else x
