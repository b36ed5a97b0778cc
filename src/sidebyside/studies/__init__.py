"""What is measured, in which order: a study a file; it gives what `sidebyside.results` defines."""
