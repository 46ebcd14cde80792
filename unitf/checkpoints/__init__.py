"""Checkpoints: a trained model is one file, enough by itself."""

from unitf.loading import find_checkpoint, load, read_checkpoint

__all__ = ["find_checkpoint", "load", "read_checkpoint"]
