"""Linear algebra: the op library's functions of this namespace, bound to the dynamic executor."""

from dyngraph.engine.namespace import functions_of as _functions_of

_FUNCTIONS = _functions_of("linalg")
globals().update(_FUNCTIONS)
__all__ = sorted(["LinAlgError", *_FUNCTIONS])


def __dir__() -> list[str]:
    return list(__all__)
