"""Where the repository and the shared data lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("UNITF_SHARED", ROOT.parent / "shared"))
