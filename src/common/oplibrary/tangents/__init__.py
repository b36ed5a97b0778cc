"""How ops push tangents forward: what a rule is given, and the rules of families."""
