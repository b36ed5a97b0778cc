"""The tape: what operations leave behind, and whether they do."""
