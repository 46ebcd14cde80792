"""The largest batch that fits in memory: each try is a fresh process, which may be killed."""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch

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

_TOO_LARGE = 75  # the exit status of a try that found no more memory
_STEPS = 2  # the second has what an optimizer keeps beside gradients
_TAKEN = 0.9  # of what is free: other processes grow too
_PAUSE = 0.02  # seconds between two looks at how much a try has


def find_largest(argv: list[str], first: int, gigabytes: float | None) -> dict[str, Any]:
    """How many samples of a recipe fit, and what was tried.

    Args:
        argv: the recipe's arguments.
        first: how many samples are tried first.
        gigabytes: of memory; None: what there is.

    Raises:
        UserError: a try failed for another reason, or not even one sample fits.
    """
    most = _memory() if gigabytes is None else int(gigabytes * 1e9)
    tries: list[dict[str, Any]] = []

    def fits(samples: int) -> int:
        found = _try(argv, samples, most)
        configured = f"{found['peak_memory_bytes'] / 1e9:.2f} GB" if found else "too large"
        sys.stderr.write(f"largest batch: {samples:,} samples: {configured}\n")
        peak = found and found["peak_memory_bytes"]
        tries.append({"samples": samples, "fits": bool(found), "peak_memory_bytes": peak})
        return 0 if found is None else found["samples"]

    samples, everything = largest_fitting(fits, first)
    if not samples:
        raise UserError(f"--largest-batch: not even one sample fits in {most / 1e9:.2f} GB")
    return {"samples": samples, "everything": everything, "memory_bytes": most, "tries": tries}


def _memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    free = available_memory()
    if free is None:
        raise UserError("--largest-batch: this system does not say what is free: give --memory GB")
    return int(_TAKEN * free)


def _try(argv: list[str], samples: int, most: int) -> dict[str, Any] | None:
    """What a batch of so many samples took; None: it did not fit."""
    files = {entry.package for entry in registry.records() if Path(entry.package).is_file()}
    plugins = [word for file in sorted(files) for word in ("--plugin", file)]
    sizes = ["--data.tokens_per_batch", "null", "--data.batch_size", str(samples)]
    command = [sys.executable, "-m", "unitf", *plugins, "bench", *argv, *sizes]
    command += ["--probe", "--memory", str(most / 1e9)]
    status, said, complained = _run(command, most)
    if status == 0:
        return json.loads(said.splitlines()[-1])
    if status == _TOO_LARGE or status < 0:  # a signal: it was ended
        return None
    last = (complained.strip().splitlines() or ["it said nothing"])[-1]
    raise UserError(f"--largest-batch, {samples} samples: {last.removeprefix('unitf: error: ')}")


def _run(command: list[str], most: int) -> tuple[int, str, str]:
    """The exit status, output and complaints of a process, which ends if it takes too much."""
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        try:
            while process.poll() is None:
                if not torch.cuda.is_available() and resident_memory(process.pid) > most:
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
    """Takes the first steps of a recipe and says how large its batches were."""
    offer_to_end()
    cli = RecipeCLI("bench", argv)
    if torch.cuda.is_available():
        fraction = gigabytes * 1e9 / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, fraction))
    try:
        figures = cli.run_prepared(lambda: _probe(cli.trainer, cli.model))
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_memory_error(error):
            raise
        return _TOO_LARGE
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _probe(trainer: Any, learner: Any) -> dict[str, int]:
    stepper = Stepper(trainer, learner)
    steps = [stepper() for _ in range(_STEPS)]
    samples = max(step.samples for step in steps) // trainer.accumulate_grad_batches
    return {"samples": samples, "peak_memory_bytes": peak_memory(learner.device)}
