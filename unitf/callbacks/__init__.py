"""Callbacks: what a run shows and keeps."""

from unitf.callbacks.adapters import Adapters
from unitf.callbacks.averaging import EMA
from unitf.callbacks.checkpoint import AtomicCheckpointIO, Checkpoint
from unitf.callbacks.finite import FiniteLoss
from unitf.callbacks.progress import Progress
from unitf.callbacks.report import RunReport
from unitf.callbacks.summary import Summary

__all__ = [
    "EMA",
    "Adapters",
    "AtomicCheckpointIO",
    "Checkpoint",
    "FiniteLoss",
    "Progress",
    "RunReport",
    "Summary",
]
