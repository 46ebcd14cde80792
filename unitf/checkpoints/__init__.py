"""Checkpoints: reading, comparing and updating them, and the folder format; see `unitf.load`."""

from unitf.checkpoints.read import find_checkpoint, read_checkpoint

__all__ = ["find_checkpoint", "read_checkpoint"]
