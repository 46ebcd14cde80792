"""Measures the training steps of a recipe; the results are plain data."""

from collections.abc import Sequence
from itertools import islice
from typing import TypedDict

import numpy as np
import torch
from lightning.pytorch import Trainer

from unitf.analysis.measuring.peak_memory import peak_memory
from unitf.analysis.measuring.step_times import PARTS, Stepper, StepTimes
from unitf.analysis.measuring.work import count_flops, matmul_rate
from unitf.training.learner import Learner

WARM_UP: int = 3  # steps: memory is allocated, blocks are compiled, workers have begun
COUNTED: int = 3  # batches whose operations are counted


class Quartiles(TypedDict):
    """The median of some numbers, and the limits of their middle half."""

    median: float
    low: float
    high: float


class PartTime(TypedDict):
    """The mean seconds of one part of a step, and its share of the step (0 to 1)."""

    seconds: float
    share: float


class StepMeasurements(TypedDict):
    """What `bench` measures; counts are means over the timed steps.

    `flops_per_step` counts the operations that a step needs, `share_of_matmul` compares their rate
    with that of a large matrix product on the same device.
    """

    device: str
    threads: int
    precision: str
    computed_in: str
    steps: int
    batches_per_step: int
    samples_per_step: float
    tokens_per_step: float
    step_seconds: Quartiles
    samples_per_second: Quartiles
    tokens_per_second: Quartiles
    flops_per_step: float
    flops_per_second: float
    matmul_flops_per_second: float
    share_of_matmul: float
    parts: dict[str, PartTime]
    padding_avoided: float
    peak_memory_bytes: int


def bench(trainer: Trainer, learner: Learner, num_steps: int) -> StepMeasurements:
    """Times training steps; call it inside `run_prepared`, which prepares the recipe."""
    stepper, device = Stepper(trainer, learner), learner.device
    for _ in range(WARM_UP):
        stepper()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    steps = [stepper() for _ in range(num_steps)]
    peak = peak_memory(device)
    with trainer.precision_plugin.train_step_context():
        weight = next(learner.core.parameters()).detach()[..., :1]
        dtype = (weight.reshape(-1, 1) @ weight.reshape(1, -1)).dtype  # as it is computed
    rate = matmul_rate(device, dtype)
    needed = _flops_per_token(stepper) * _mean(steps, "tokens")
    seconds = quartiles([step.seconds for step in steps])
    return {
        "device": _name(device),
        "threads": torch.get_num_threads(),
        "precision": str(trainer.precision),
        "computed_in": str(dtype).removeprefix("torch."),
        "steps": num_steps,
        "batches_per_step": trainer.accumulate_grad_batches,
        "samples_per_step": _mean(steps, "samples"),
        "tokens_per_step": _mean(steps, "tokens"),
        "step_seconds": seconds,
        "samples_per_second": quartiles([step.samples / step.seconds for step in steps]),
        "tokens_per_second": quartiles([step.tokens / step.seconds for step in steps]),
        "flops_per_step": needed,
        "flops_per_second": needed / seconds["median"],
        "matmul_flops_per_second": rate,
        "share_of_matmul": needed / seconds["median"] / rate,
        "parts": _parts(steps),
        "padding_avoided": 1 - sum(s.columns for s in steps) / max(1, sum(s.padded for s in steps)),
        "peak_memory_bytes": peak,
    }


def quartiles(numbers: Sequence[float]) -> Quartiles:
    """Returns the median of some numbers and the limits of their middle half."""
    low, median, high = np.percentile(numbers, (25, 50, 75)).tolist()
    return {"median": median, "low": low, "high": high}


def _parts(steps: Sequence[StepTimes]) -> dict[str, PartTime]:
    """Returns the mean time of each part; all parts together take the time of the mean step."""
    total = sum(step.seconds for step in steps)
    sums = {name: sum(step.parts[name] for step in steps) for name in PARTS}
    return {n: {"seconds": s / len(steps), "share": s / total} for n, s in sums.items()}


def _flops_per_token(stepper: Stepper) -> float:
    """Counts the operations that some batches need, forward and backward."""
    flops = tokens = 0
    for batch in islice(stepper.batches, COUNTED):
        flops += count_flops(stepper.learner.core, lambda batch=batch: stepper.loss(batch))
        tokens += batch.num_tokens
        stepper.learner.zero_grad()
    return flops / max(tokens, 1)


def _mean(steps: Sequence[StepTimes], name: str) -> float:
    return sum(getattr(step, name) for step in steps) / len(steps)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.backends.cpu.get_cpu_capability()}"
