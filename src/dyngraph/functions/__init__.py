"""Functions on functions: control flow, derivatives, custom gradients, checkpoints."""
