"""What a traced function reads from outside, and how each later call knows that it is the same."""
