"""What a machine has for a run: cores, memory, kinds of numbers."""

import os
import warnings
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CPUAccelerator

from unitf.errors import UserError
from unitf.training.freed_memory import keep_freed_memory


def prepare_machine(trainer: Trainer, workers: int) -> None:
    """Settles how this process uses a CPU: its cores, and its memory.

    It leaves a core to each data worker: threads that wait for a busy one spin, and lose more.
    """
    if isinstance(trainer.accelerator, CPUAccelerator):
        keep_freed_memory()
    # of several processes Lightning divides them
    if trainer.world_size == 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() - workers))


def check_precision(precision: Any) -> None:
    """Raises UserError for numbers that tokens are not made of."""
    if str(precision) in ("16-true", "bf16-true", "64", "64-true"):
        raise UserError(
            f"trainer.precision: expected 32-true, 16-mixed or bf16-mixed, found {precision}: "
            "weights, positions and losses are kept in float32"
        )


def warn_of_emulation(trainer: Any) -> None:
    """Says so where bfloat16 would be slower than float32, many times."""
    on_cpu = trainer.accelerator == "cpu" or not torch.cuda.is_available()
    # oneDNN computes bfloat16 itself from AVX-512 on; below, every product is emulated
    emulated = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    if on_cpu and emulated and "bf16" in str(trainer.precision):
        warnings.warn(
            f"precision {trainer.precision}: this processor has no bfloat16, which is then many "
            "times slower than 32-true",
            stacklevel=2,
        )
