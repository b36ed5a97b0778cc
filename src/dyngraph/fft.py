"""Fourier transforms: the op library's namespace of this name, bound to the dynamic executor."""

from dyngraph.engine.namespace import functions_of as _functions_of

_FUNCTIONS = _functions_of("fft")
globals().update(_FUNCTIONS)
__all__ = sorted(_FUNCTIONS)


def __dir__() -> list[str]:
    return list(__all__)
