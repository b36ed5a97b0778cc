"""What explains the times of a comparison: where a mode gains, and what bounds it."""
