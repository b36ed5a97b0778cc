"""What measurements came to, as data."""
