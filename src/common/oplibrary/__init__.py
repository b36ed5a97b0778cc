"""The op library and everything that both executors must agree on. Loads NumPy only.

What an op of one's own is made of is importable from here.
"""

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import lookup, register
from oplibrary.messages.source import enter_package
from oplibrary.values.types import TensorType

enter_package(__file__)

__all__ = ["Kind", "Op", "TensorType", "example", "lookup", "register"]
