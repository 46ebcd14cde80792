"""The limits of this machine: the speed of its matrix products and of reading memory."""

import resource
import time

import torch

from benchmarks.speed.workload import Limit, Side

_SIZE = 2048
_BYTES = 1 << 28


def limit(kind: Limit) -> Side:
    """Returns a side whose `count` is floating-point operations or bytes."""
    if kind == "read":
        memory = torch.ones(_BYTES // 4)
        return Side(lambda: memory.sum(), _BYTES)
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[kind]
    a, b = torch.randn(_SIZE, _SIZE, dtype=dtype), torch.randn(_SIZE, _SIZE, dtype=dtype)
    return Side(lambda: a @ b, 2 * _SIZE**3)


def spent(side: Side) -> tuple[float, float]:
    """Returns the CPU seconds and the wall-clock seconds of one run."""
    cpu, wall = _cpu(), time.perf_counter()
    side.run()
    return _cpu() - cpu, time.perf_counter() - wall


def _cpu() -> float:
    """Returns CPU seconds of this process and of its finished child processes."""
    of_others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + of_others.ru_utime + of_others.ru_stime
