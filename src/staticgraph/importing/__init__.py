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


def from_jax(
    function: Callable[..., Any],
    *args: Any,
    parameters: Any = None,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Imported:
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
    dynamic : mapping of str to mapping of int to str, optional
        The axes that each run may choose the length of: by the name of the argument (of an array in
        a tree with the way to it, ``tree.x``), then by the axis, what the length is called.

    Returns
    -------
    Imported
        Its parameters are called by their paths, ``layer.w`` for ``{"layer": {"w": ...}}``.
        Outputs and, where JAX has them, gradients by all parameters and inputs were compared with
        the function's, outputs also at other lengths if some are open; the differences stand in its
        ``report()``.

    Raises
    ------
    MissingPackageError
        If JAX is not installed.
    ArgumentError
        If `dynamic` names no array, or no axis of it.
    ForeignProgramError
        If JAX cannot trace the function, or not for every length; its reason and line are shown.
    UnsupportedOpError
        If the function has a primitive, or a parameter of one, that is not supported here.
    ImportCheckError
        If results differ from the function's.

    Notes
    -----
    It is used as follows::

        imported = sg.from_jax(predict, x, parameters=parameters, dynamic={"x": {0: "batch"}})
        run = sg.function(lambda parameters, x: imported.function(sg, parameters, x))
        y = run(imported.parameters, x)
    """
    from staticgraph.importing.jaxprs.reading import read_function

    return read_function(function, *args, parameters=parameters, dynamic=dynamic)


def from_onnx(
    model: Any,
    inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    constants: Mapping[str, Any] | None = None,
    parameters: Sequence[str] | None = None,
) -> Imported:
    """Return a model in the ONNX format as a program here, checked against its source.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
    inputs : sequence or mapping of str to array, optional
        Example inputs, in order or by name. Those that are not given are made: normal numbers, and
        zeros and ones for integers.
    dynamic : mapping of str to mapping of int to str, optional
        The axes that each run may choose the length of: by the name of the input, then by the
        axis, what the length is called. By default they are those that the model leaves open.
    constants : mapping of str to array, optional
        Inputs that are always the same, such as shapes that are passed in; they are inputs no more.
    parameters : sequence of str, optional
        The stored arrays that are parameters, by name. By default they are those of floating-point
        numbers with an axis, if no shape depends on them.

    Returns
    -------
    Imported
        Its parameters and inputs have the model's names. Its outputs were compared on the example
        inputs with those of ``onnx.reference``, or of ONNX Runtime where that does not run the
        model; the differences stand in its ``report()``.

    Raises
    ------
    MissingPackageError
        If ``onnx`` is not installed.
    ForeignProgramError
        If the file is damaged, its data are missing, or it does not run on the example inputs.
    UnsupportedOpError
        If the model has an operator, or an argument of one, that is not supported here.
    ImportCheckError
        If results differ from the source's.

    Notes
    -----
    Operators that the table does not have are taken apart as ONNX's own schema says. Nothing in
    the file is run but its operators. It is used as follows::

        imported = sg.from_onnx("model.onnx")
        run = sg.function(lambda parameters, x: imported.function(sg, parameters, x))
        y = run(imported.parameters, x)
    """
    from staticgraph.importing.onnx_models.reading import read_model

    return read_model(model, inputs, dynamic=dynamic, constants=constants, parameters=parameters)


def from_tensorflow(
    program: Any,
    *args: Any,
    fetches: Sequence[Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    **kwargs: Any,
) -> Imported:
    """Return a function, a Keras model or a graph of TensorFlow as a program, checked against it.

    Parameters
    ----------
    program : callable, tf.Graph or GraphDef
        A ``tf.function``, a concrete function, a signature of a SavedModel, a Keras model or
        layer, or a function that ``tf.function`` can trace; or a graph of TensorFlow 1.
    *args, **kwargs
        Example inputs: arrays and tensors, in nested containers. Other values, such as
        ``training=True``, belong to the program. Of a graph it is one dict, with an array for each
        placeholder.
    fetches : sequence of str, optional
        What of a graph is wanted: the names of tensors, and of ops that assign.
    variables : mapping of str to array, optional
        The values of a graph's variables; left out, those that its ``Assign`` ops give them first.
    dynamic : mapping of str to mapping of int to str, optional
        The axes that each run may choose the length of: by the name of the argument, then by the
        axis, what the length is called.

    Returns
    -------
    Imported
        Its parameters are called as TensorFlow's variables. What the program assigns is state: the
        next values are returned. Outputs, the next state, and gradients by all parameters and
        inputs were compared with TensorFlow's; the differences stand in its ``report()``.

    Raises
    ------
    MissingPackageError
        If TensorFlow is not installed.
    ForeignProgramError
        If TensorFlow cannot trace the function; its reason and line are shown.
    UnsupportedOpError
        If the program has an op, or an attribute of one, that is not supported here.
    ImportCheckError
        If results differ from TensorFlow's.

    Notes
    -----
    It is used as follows::

        imported = sg.from_tensorflow(model, x, training=False, dynamic={"x": {0: "batch"}})
        run = sg.function(lambda parameters, x: imported.function(sg, parameters, x))
        y = run(imported.parameters, x)

        graph = sg.from_tensorflow(graph_def, {"x": x}, fetches=["y", "train"])
    """
    from staticgraph.importing.graphdefs.reading import read_tensorflow

    return read_tensorflow(
        program, args, kwargs, fetches=fetches, variables=variables, dynamic=dynamic
    )


__all__ = ["from_jax", "from_onnx", "from_tensorflow", "from_torch"]
