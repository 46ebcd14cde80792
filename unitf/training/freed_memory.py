"""How a training process keeps the memory that it frees."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keeps the memory of freed tensors for the next step, instead of returning it to the system.

    Otherwise each step on a CPU asks the system for its largest tensors (such as the logits of a
    large vocabulary) again, and the system sets every page to zero first. The setting holds for
    the whole process. Without glibc nothing changes.

    Returns:
        Whether the setting was changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))
