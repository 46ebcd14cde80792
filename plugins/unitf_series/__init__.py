"""The modality of time series, for unitf. This file imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from unitf import Register, hookimpl

_HOME = {"Forecast": "unitf_series.forecast", "SeriesPatches": "unitf_series.series_patches"}
__all__ = ["Forecast", "SeriesPatches"]

if TYPE_CHECKING:
    from unitf_series.forecast import Forecast
    from unitf_series.series_patches import SeriesPatches


@hookimpl
def register_tokenizers(register: Register) -> None:
    """Registers the tokenizers of this plugin."""
    register("unitf_series.series_patches:SeriesPatches")


@hookimpl
def register_tasks(register: Register) -> None:
    """Registers the tasks of this plugin."""
    register("unitf_series.forecast:Forecast")


@hookimpl
def register_architectures(register: Register) -> None:
    """Registers the published architectures that this plugin maps to unitf."""
    register("unitf_series.hf_patchtst:HFPatchTST")


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unitf_series' has no attribute {name!r}")
