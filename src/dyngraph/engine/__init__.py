"""Running operations, recording them, and going backward."""
