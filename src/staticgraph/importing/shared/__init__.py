"""What the readers of all sources share: the program that they make, and what is done with it."""
