"""Checkpoints: a trained model is one file, enough by itself."""

from unitf.checkpoints.read import find_checkpoint, read_checkpoint

__all__ = ["find_checkpoint", "read_checkpoint"]
