"""Graphs and programs as text, drawings and exchange formats."""
