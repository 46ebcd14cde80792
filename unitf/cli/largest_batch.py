"""Finds the largest batch that fits in memory; each try runs in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypedDict

import torch
from lightning.pytorch import Trainer

from unitf import registry
from unitf.analysis.measuring.peak_memory import (
    available_memory,
    is_memory_error,
    largest_fitting,
    offer_to_end,
    peak_memory,
    resident_memory,
)
from unitf.analysis.measuring.step_times import Stepper
from unitf.cli.untrained import RecipeCLI
from unitf.errors import UserError
from unitf.training.learner import Learner

_TOO_LARGE = 75  # the exit status of a try whose batch did not fit
_STEPS = 2  # only the second step has the state of the optimizer in memory
_USED_FRACTION = 0.9  # of the free memory: other processes grow too
_PAUSE = 0.02  # seconds between two checks of a process's memory


class BatchSize(TypedDict):
    """The samples of a batch that fitted, and the most memory that its process used."""

    samples: int
    peak_memory_bytes: int


class Try(TypedDict):
    """One number of samples that was tried."""

    samples: int
    fits: bool
    peak_memory_bytes: int | None


class LargestBatch(TypedDict):
    """The largest batch that fits; `everything` says that the data has no more samples."""

    samples: int
    everything: bool
    memory_bytes: int
    tries: list[Try]


def find_largest(argv: list[str], first: int, gigabytes: float | None) -> LargestBatch:
    """Finds how many samples of a recipe fit in memory.

    Args:
        argv: the recipe's arguments.
        first: how many samples are tried first.
        gigabytes: the memory that may be used; None: what is free.

    Raises:
        UserError: a try failed for another reason, or not even one sample fits.
    """
    max_memory = _memory() if gigabytes is None else int(gigabytes * 1e9)
    tries: list[Try] = []

    def fits(samples: int) -> int:
        batch_size = _try(argv, samples, max_memory)
        peak = None if batch_size is None else batch_size["peak_memory_bytes"]
        outcome = "too large" if peak is None else f"{peak / 1e9:.2f} GB"
        sys.stderr.write(f"largest batch: {samples:,} samples: {outcome}\n")
        tries.append({"samples": samples, "fits": peak is not None, "peak_memory_bytes": peak})
        return 0 if batch_size is None else batch_size["samples"]

    samples, everything = largest_fitting(fits, first)
    if not samples:
        raise UserError(f"--largest-batch: not even one sample fits in {max_memory / 1e9:.2f} GB")
    return {
        "samples": samples,
        "everything": everything,
        "memory_bytes": max_memory,
        "tries": tries,
    }


def _memory() -> int:
    """Returns the bytes that may be used if the user gives no limit."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    free = available_memory()
    if free is None:
        raise UserError("--largest-batch: this system does not say what is free: give --memory GB")
    return int(_USED_FRACTION * free)


def _try(argv: list[str], samples: int, max_memory: int) -> BatchSize | None:
    """Runs a batch of this size in a process of its own; None: it did not fit."""
    files = {entry.package for entry in registry.records() if Path(entry.package).is_file()}
    plugins = [word for file in sorted(files) for word in ("--plugin", file)]
    sizes = ["--data.tokens_per_batch", "null", "--data.batch_size", str(samples)]
    command = [sys.executable, "-m", "unitf", *plugins, "bench", *argv, *sizes]
    command += ["--probe", "--memory", str(max_memory / 1e9)]
    status, output, errors = _run(command, max_memory)
    if status == 0:
        return json.loads(output.splitlines()[-1])
    if status == _TOO_LARGE or status < 0:  # ended by a signal
        return None
    last = (errors.strip().splitlines() or ["it printed no error"])[-1]
    raise UserError(f"--largest-batch, {samples} samples: {last.removeprefix('unitf: error: ')}")


def _run(command: list[str], max_memory: int) -> tuple[int, str, str]:
    """Runs a process, and ends it if it uses too much memory.

    Returns:
        Its exit status, standard output and standard error.
    """
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        try:
            while process.poll() is None:
                if not torch.cuda.is_available() and resident_memory(process.pid) > max_memory:
                    process.kill()
                time.sleep(_PAUSE)
        finally:
            process.kill()
            process.wait()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read())
    return process.returncode, texts[0], texts[1]


def probe(argv: list[str], gigabytes: float) -> int:
    """Takes the first steps of a recipe and prints how large its batches were (one try)."""
    offer_to_end()
    cli = RecipeCLI("bench", argv)
    if torch.cuda.is_available():
        fraction = gigabytes * 1e9 / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, fraction))
    try:
        batch_size = cli.run_prepared(lambda: _probe(cli.trainer, cli.model))
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_memory_error(error):
            raise
        return _TOO_LARGE
    sys.stdout.write(json.dumps(batch_size) + "\n")
    return 0


def _probe(trainer: Trainer, learner: Learner) -> BatchSize:
    stepper = Stepper(trainer, learner)
    steps = [stepper() for _ in range(_STEPS)]
    samples = max(step.samples for step in steps) // trainer.accumulate_grad_batches
    return {"samples": samples, "peak_memory_bytes": peak_memory(learner.device)}
