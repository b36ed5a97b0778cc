"""PyTorch's modules, read through ``torch.export``."""
