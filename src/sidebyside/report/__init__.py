"""How a comparison is shown: as text, JSON and CSV."""
