"""TensorFlow's programs, by what they are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from oplibrary.messages.errors import ArgumentError, MissingPackageError
from staticgraph.importing.graphdefs.functions import FunctionReader
from staticgraph.importing.graphdefs.graphs import GraphReader
from staticgraph.importing.shared.imported import Imported


def _tensorflow() -> Any:
    """Return the module, without its greetings."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow
    except ImportError:
        raise MissingPackageError(
            "from_tensorflow needs TensorFlow",
            fix="pip install tensorflow",
            cause="it traces functions, and knows the shapes of graphs",
        ) from None
    return tensorflow


def read_tensorflow(
    program: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    fetches: Sequence[Any] | None,
    variables: Mapping[str, Any] | None,
    dynamic: Mapping[str, Mapping[int, str]] | None,
) -> Imported:
    """Return a program of TensorFlow as a program here; see `sg.from_tensorflow`."""
    tf = _tensorflow()
    if isinstance(program, (tf.Graph, tf.compat.v1.GraphDef)):
        return GraphReader(tf, program, args, fetches, variables or {}, dynamic or {}).read()
    if not callable(program):
        raise ArgumentError(
            f"from_tensorflow: a {type(program).__name__} is no program of TensorFlow",
            cause="functions, Keras models, signatures and graphs are read",
            fix="pass a tf.function first, then its example inputs",
        )
    return FunctionReader(tf, program, tuple(args), dict(kwargs), dynamic or {}).read()
