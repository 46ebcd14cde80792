"""Comparisons of unitf with other libraries (the peers)."""
