"""The dynamic value: tensors, their data and how they print."""
