"""Inspecting: what a packed batch of a recipe looks like, as figures and a picture."""

from unitf.inspecting.figures import figures_of
from unitf.inspecting.packed import Attention, Packed, observe
from unitf.inspecting.picture import draw

__all__ = ["Attention", "Packed", "draw", "figures_of", "observe"]
