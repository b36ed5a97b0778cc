"""Programs of the papers on TensorFlow Eager and AutoGraph."""
