"""Layers and functions of plain torch that know nothing else of unitf."""
