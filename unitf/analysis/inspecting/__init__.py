"""Shows what a packed batch of a recipe holds, as numbers and a picture."""

from unitf.analysis.inspecting.packed import AttentionPattern, PackedBatch, observe
from unitf.analysis.inspecting.picture import draw
from unitf.analysis.inspecting.statistics import batch_statistics

__all__ = ["AttentionPattern", "PackedBatch", "batch_statistics", "draw", "observe"]
