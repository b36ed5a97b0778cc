"""TensorFlow's functions and graphs."""
