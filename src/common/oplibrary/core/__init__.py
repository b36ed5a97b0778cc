"""The op record, the ops by name, and what runs them."""
