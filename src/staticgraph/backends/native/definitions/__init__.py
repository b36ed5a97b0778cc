"""Definitions: what each value of a program is, in terms of others."""
