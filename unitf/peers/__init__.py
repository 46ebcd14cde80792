"""Peers: models of other libraries, whose weights unitf takes over and gives back."""

from unitf.peers.architecture import Architecture, TransformersArchitecture, Trial, random_texts
from unitf.peers.hub import Hub
from unitf.peers.names import each, joined, line, unused

__all__ = [
    "Architecture",
    "Hub",
    "TransformersArchitecture",
    "Trial",
    "each",
    "joined",
    "line",
    "random_texts",
    "unused",
]
