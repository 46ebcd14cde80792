"""Memory: what a training process does with what it frees."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tensors that a step frees are there for the next one, instead of going back to the system.

    A step on a CPU else gets its largest tensors (logits of a large vocabulary) from the system
    anew each time, page by page, all of them set to zero first. For the whole process; without
    glibc nothing is changed.

    Returns:
        Whether it was changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))
