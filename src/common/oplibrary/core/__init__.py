"""The op record, types, and the structures that calls arrange values in."""
