"""Models in the ONNX format, read from their files."""
