"""What all tests share: shapes are checked, the shared data is found or its tests are skipped."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # a core each: threads of several workers only wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

import pytest
import torch
from jaxtyping import install_import_hook

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # toys.py, places.py, benchmarks

# must come before the first import of unitf
_hook = install_import_hook(
    [
        "unitf",
        "unitf_text",
        "unitf_image",
        "unitf_audio",
        "unitf_video",
        "unitf_series",
        "unitf_table",
        "unitf_hubs",
    ],
    "beartype.beartype",
)


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """Training flushes denormal numbers, for the whole process; hypothesis wants them back."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def _plugin_files() -> Iterator[None]:
    """A plugin file that a test loads is in no command that a later test sees printed."""
    from unitf.registry import registry

    before = registry._registry().files
    yield
    registry._registry().files = before
