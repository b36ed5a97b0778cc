"""Programs of other libraries: read, checked against their source, and handed over as graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staticgraph.importing.shared.imported import Imported


def from_torch(
    module: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Imported:
    """Return a PyTorch module as a program here, checked against it.

    Parameters
    ----------
    module : torch.nn.Module
        As it is: in training or for inference, with its parameters and buffers.
    args : tuple
        Example inputs, tensors; `kwargs` likewise.
    kwargs : mapping, optional
    dynamic : mapping of str to mapping of int to str, optional
        The axes that each run may choose the length of: by the name of the argument, then by the
        axis, what the length is called.

    Returns
    -------
    Imported
        Outputs, the next state, and gradients by all parameters and inputs were compared with the
        module's on the example inputs; the differences stand in its ``report()``.

    Raises
    ------
    MissingPackageError
        If PyTorch is not installed.
    ForeignProgramError
        If ``torch.export`` refuses the module; its reason and line are shown.
    UnsupportedOpError
        If the module has an operation, or an argument of one, that is not supported here.
    ImportCheckError
        If results differ from the module's.

    Notes
    -----
    The module is read through ``torch.export`` and decomposed into core operators but for those
    that the library has itself. It is used as follows::

        imported = sg.from_torch(module, (x,), dynamic={"x": {0: "batch"}})
        run = sg.function(lambda parameters, x: imported.function(sg, parameters, x))
        y = run(imported.parameters, x.numpy())
    """
    from staticgraph.importing.pytorch.reading import read_module

    return read_module(module, args, kwargs, dynamic=dynamic)


def from_jax(function: Callable[..., Any], *args: Any, parameters: Any = None) -> Imported:
    """Return a JAX function as a program here, checked against it.

    Parameters
    ----------
    function : callable
        A function that JAX can trace: of arrays, in trees. A gradient may be among what it
        computes.
    *args
        Example inputs, arrays or trees of them.
    parameters : tree, optional
        The parameters, if the function takes any, which are then its first argument.

    Returns
    -------
    Imported
        Its parameters are called by their paths, ``layer.w`` for ``{"layer": {"w": ...}}``.
        Outputs and, where JAX has them, gradients by all parameters and inputs were compared with
        the function's; the differences stand in its ``report()``.

    Raises
    ------
    MissingPackageError
        If JAX is not installed.
    ForeignProgramError
        If JAX cannot trace the function; its reason and line are shown.
    UnsupportedOpError
        If the function has a primitive, or a parameter of one, that is not supported here.
    ImportCheckError
        If results differ from the function's.

    Notes
    -----
    It is used as follows::

        imported = sg.from_jax(predict, x, parameters=parameters)
        run = sg.function(lambda parameters, x: imported.function(sg, parameters, x))
        y = run(imported.parameters, x)
    """
    from staticgraph.importing.jaxprs.reading import read_function

    return read_function(function, *args, parameters=parameters)


__all__ = ["from_jax", "from_torch"]
