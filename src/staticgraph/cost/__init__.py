"""What a program costs: arithmetic and bytes."""
