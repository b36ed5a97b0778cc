"""From a program to the steps of a run: what each value is, what is in memory, and where."""
