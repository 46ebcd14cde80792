"""Shows what a model attends to in a sample, as numbers, pictures and a page."""

from unitf.analysis.attention.maps import AttentionMap, SampleAttention, attend

__all__ = ["AttentionMap", "SampleAttention", "attend"]
