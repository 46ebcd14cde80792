"""What hostile inputs share: their register, and how they are written."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

Case = Callable[[Path], object]
CASES: dict[str, Case] = {}
ZEROS = b"0" * (1 << 20)
_written = 0.0  # the processor time of this process when it had written its input


def is_written() -> None:
    """Begins to count: what comes now is the reading."""
    global _written
    _written = time.process_time()


def seconds_of_reading() -> float:
    """Returns the processor time since the input was written."""
    return time.process_time() - _written


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def code(folder: Path) -> str:
    return f"import pathlib\npathlib.Path({str(folder / 'ran')!r}).touch()\nclass X: ...\n"


def zip_of(path: Path, name: str, megabytes: int, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive, archive.open(name, "w") as file:
        for _ in range(megabytes):
            file.write(ZEROS)
