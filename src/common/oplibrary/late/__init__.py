"""What is loaded when it is first asked for, and the table of where it stands."""
