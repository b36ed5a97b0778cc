"""Declaring: what puts nodes into a graph, gradients included, and what lowers it to a program."""
