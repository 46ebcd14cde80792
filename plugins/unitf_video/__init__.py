"""The video modality of unitf. This file imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from unitf import Register, hookimpl

_HOME = {"VideoTubelets": "unitf_video.tubelets"}
__all__ = ["VideoTubelets"]

if TYPE_CHECKING:
    from unitf_video.tubelets import VideoTubelets


@hookimpl
def register_tokenizers(register: Register) -> None:
    """Registers the tokenizers of this plugin."""
    register("unitf_video.tubelets:VideoTubelets")


@hookimpl
def register_architectures(register: Register) -> None:
    """Registers the published architectures that this plugin maps to unitf."""
    register("unitf_video.hf_videomae:HFVideoMAE")


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unitf_video' has no attribute {name!r}")
