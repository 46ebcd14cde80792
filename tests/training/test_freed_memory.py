"""What a step frees is there for the next: counted in pages that the system had to bring."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
from unitf.training.freed_memory import keep_freed_memory
import torch
torch.set_num_threads(1)
if {keep}:
    assert keep_freed_memory()
faults = []
for step in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2**24) for _ in range(2)]  # 64 MiB each
    del tensors
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*faults)
"""


def faults(keep: bool) -> list[int]:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(keep=keep)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [int(word) for word in told.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_without_asking_the_system():
    assert max(faults(keep=True)[8:]) < 50 < min(faults(keep=False)[8:])
