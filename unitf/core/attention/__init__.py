"""Attention over a packed batch: one small implementation for each case."""
