"""The op library and everything that both executors must agree on. Loads NumPy only.

What an op of one's own is made of is importable from here.
"""

from oplibrary.core.op import Kind, Op, example, lookup, register
from oplibrary.core.types import TensorType
from oplibrary.messages.source import enter_package

enter_package(__file__)

__all__ = ["Kind", "Op", "TensorType", "example", "lookup", "register"]
