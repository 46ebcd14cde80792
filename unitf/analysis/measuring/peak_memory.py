"""Memory: how much a process took and may take, and when a batch is too large."""

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
    """Returns the most bytes that were used so far: on a GPU by tensors, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_memory() -> int | None:
    """Returns the free bytes of main memory; None if the system does not report them."""
    limits = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # of a container
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text())
        limits.append(most - int((group / "memory.current").read_text()))
    return min(limits, default=None)


def resident_memory(process: int) -> int:
    """Returns the bytes of main memory that a process uses now; 0 if they are not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return 0


def offer_to_end() -> None:
    """Asks the system to end this process before any other when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def is_memory_error(error: BaseException) -> bool:
    """Returns whether an error means that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(
        m in str(error) for m in _MEMORY_ERRORS
    )


def largest_fitting(fits: Callable[[int], int], first: int) -> tuple[int, bool]:
    """Finds the largest number that fits, to within a sixteenth, by doubling and bisecting.

    Args:
        fits: tries a number of samples and returns how many a batch really had: fewer if the data
            has no more, 0 if they do not fit.
        first: the number that is tried first.

    Returns:
        The number (0 if not even one sample fits), and whether the data has no more samples.
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
