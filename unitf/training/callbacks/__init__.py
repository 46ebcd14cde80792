"""Callbacks: what a run displays, writes and keeps."""

from unitf.training.callbacks.averaging import EMA
from unitf.training.callbacks.checkpoint import AtomicCheckpointIO, Checkpoint
from unitf.training.callbacks.finite_loss import FiniteLoss
from unitf.training.callbacks.progress import Progress
from unitf.training.callbacks.run_report import RunReport
from unitf.training.callbacks.save_adapters import Adapters
from unitf.training.callbacks.summary import Summary
from unitf.training.callbacks.time_budget import TimeBudget
from unitf.training.parallel.watchdog import Watchdog

__all__ = [
    "EMA",
    "Adapters",
    "AtomicCheckpointIO",
    "Checkpoint",
    "FiniteLoss",
    "Progress",
    "RunReport",
    "Summary",
    "TimeBudget",
    "Watchdog",
]
