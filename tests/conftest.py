"""What all tests share: shapes are checked, the shared data is found or its tests are skipped."""

import os
import sys
from pathlib import Path

from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("UNITF_SHARED", ROOT.parent / "shared"))

sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]  # toys.py, benchmarks

# must come before the first import of unitf
_hook = install_import_hook(
    [
        "unitf",
        "unitf_text",
        "unitf_image",
        "unitf_audio",
        "unitf_video",
        "unitf_series",
        "unitf_hubs",
    ],
    "beartype.beartype",
)
