"""Memory: how much a process took, may take, and how a batch too large is told."""

import contextlib
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch

_MEMORY_ERRORS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "Cannot allocate memory",
    "exited unexpectedly",  # a data worker that said nothing more, most likely ended by the system
    "killed by signal",
)


def peak_memory(device: torch.device) -> int:
    """The most bytes so far: on a GPU of tensors, else of the process as a whole."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_memory() -> int | None:
    """The bytes of main memory that nobody uses; None: the system does not say."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # of a container
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text())
        found.append(most - int((group / "memory.current").read_text()))
    return min(found, default=None)


def resident_memory(process: int) -> int:
    """The bytes of main memory that another process has now; 0: nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return 0


def offer_to_end() -> None:
    """Where memory runs out, the system ends this process before any other."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def is_memory_error(error: BaseException) -> bool:
    """Whether an error says that there was no more memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(
        m in str(error) for m in _MEMORY_ERRORS
    )


def largest_fitting(fits: Callable[[int], int], first: int) -> tuple[int, bool]:
    """The largest number that fits, to within a sixteenth, by doubling and bisecting.

    Args:
        fits: tries a number of samples and says how many there really were: fewer, where there
            are no more; 0: they do not fit.
        first: where to begin.

    Returns:
        the number, and whether it is all that there are; 0 where not even one fits.
    """
    low, high = 0, first
    while count := fits(high):
        if count < high:
            return count, True
        low, high = high, 2 * high
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        count = fits(middle)
        if count:
            low = count
        else:
            high = middle
    return low, False
