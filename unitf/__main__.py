"""The command line as a module: `python -m unitf`."""

import sys

from unitf.cli import main

if __name__ == "__main__":  # spawned data workers import this file too
    sys.exit(main())
