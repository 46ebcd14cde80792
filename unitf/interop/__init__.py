"""Peers: models of other libraries, whose weights unitf takes over and gives back."""

from unitf.interop.architecture import (
    Architecture,
    DummyInputs,
    TransformersArchitecture,
    random_texts,
)
from unitf.interop.hub import ModelHub
from unitf.interop.weight_map import ignore_weights, map_blocks, map_joined, map_weight

__all__ = [
    "Architecture",
    "DummyInputs",
    "ModelHub",
    "TransformersArchitecture",
    "ignore_weights",
    "map_blocks",
    "map_joined",
    "map_weight",
    "random_texts",
]
