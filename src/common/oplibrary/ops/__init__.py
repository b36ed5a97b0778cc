"""The ops, one family a file; a family is loaded when an op of it is first asked for."""
