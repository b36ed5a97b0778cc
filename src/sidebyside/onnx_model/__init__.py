"""A static program in ONNX: what the declared graph is in the exchange format of other runtimes."""

from __future__ import annotations

from sidebyside.onnx_model.model import onnx_model

__all__ = ["onnx_model"]
