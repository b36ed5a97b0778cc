"""Routines: the loops of ops that go through whole arrays in an order of their own, by family."""
