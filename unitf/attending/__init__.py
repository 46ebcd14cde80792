"""Attending: what a model looks at in a sample, as numbers, pictures and a page."""

from unitf.attending.looks import Attended, Looks, attend

__all__ = ["Attended", "Looks", "attend"]
