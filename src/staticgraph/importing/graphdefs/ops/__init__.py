"""TensorFlow's ops, by families."""
