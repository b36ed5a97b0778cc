"""From the steps of a run to LLVM IR."""
