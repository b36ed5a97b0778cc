"""The declared graph and its values: networkx below, nodes above."""
