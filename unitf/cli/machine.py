"""Fits a run to its machine: cores, memory, and the precision of numbers."""

import os
import warnings
from typing import Protocol, runtime_checkable

import torch
from lightning import Trainer
from lightning.pytorch.accelerators import AcceleratorRegistry, CPUAccelerator
from lightning.pytorch.strategies import StrategyRegistry

from unitf.errors import UserError, close_names, suggestion
from unitf.training.freed_memory import keep_freed_memory


@runtime_checkable
class TrainerSettings(Protocol):
    """The settings of a trainer that are read here, before it is made."""

    accelerator: object
    strategy: object
    precision: object


@runtime_checkable
class TrainerLengths(Protocol):
    """How long a trainer trains."""

    max_epochs: object
    max_steps: object
    limit_train_batches: object


def prepare_machine(trainer: Trainer, workers: int) -> None:
    """Sets how this process uses the cores and the memory of a CPU.

    It leaves one core to each data worker: more threads than cores spin while they wait.
    """
    if isinstance(trainer.accelerator, CPUAccelerator):
        keep_freed_memory()
    # Lightning divides the cores among several processes
    if trainer.world_size == 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() - workers))


def check_trainer(settings: TrainerSettings) -> None:
    """Raises a UserError if a trainer has no such accelerator or strategy, or precision."""
    check_precision(settings.precision)
    accelerators = [*AcceleratorRegistry.available_accelerators(), "auto", "gpu"]
    strategies = [*StrategyRegistry.available_strategies(), "auto"]
    named = {"accelerator": accelerators, "strategy": strategies}
    for key, known in named.items():
        value = getattr(settings, key)
        if isinstance(value, str) and value.lower() not in known:
            raise UserError(
                f"trainer.{key}: found {value!r}, expected one of {', '.join(known)}"
                + (f"; {suggestion(close)}" if (close := close_names(value, known)) else "")
            )


def check_lengths(settings: TrainerLengths) -> None:
    """Raises a UserError if a training has no step."""
    for key in ("max_epochs", "max_steps", "limit_train_batches"):
        if (value := getattr(settings, key)) == 0:
            raise UserError(f"trainer.{key}: found {value}, expected more than 0 to train")


def check_precision(precision: object) -> None:
    """Raises a UserError if unitf cannot train in this precision."""
    if str(precision) in ("16-true", "bf16-true", "64", "64-true"):
        raise UserError(
            f"trainer.precision: expected 32-true, 16-mixed or bf16-mixed, found {precision}: "
            "weights, positions and losses are kept in float32"
        )


def warn_of_emulation(trainer: TrainerSettings) -> None:
    """Warns if this processor has no bfloat16, so that it is much slower than float32."""
    on_cpu = trainer.accelerator == "cpu" or not torch.cuda.is_available()
    # oneDNN computes bfloat16 itself from AVX-512 on; below, every product is emulated
    emulated = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    if on_cpu and emulated and "bf16" in str(trainer.precision):
        warnings.warn(
            f"precision {trainer.precision}: this processor has no bfloat16, which is then many "
            "times slower than 32-true",
            stacklevel=2,
        )
