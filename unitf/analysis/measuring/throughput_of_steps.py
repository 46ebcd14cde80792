"""A recipe's training steps, measured: figures as plain data."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

from unitf.analysis.measuring.peak_memory import peak_memory
from unitf.analysis.measuring.step_times import PARTS, Stepper, StepTimes
from unitf.analysis.measuring.work import count_flops, matmul_rate

WARM_UP = 3  # steps: memory is allocated, blocks are compiled, workers have begun
COUNTED = 3  # batches whose operations are counted


def bench(trainer: Any, learner: Any, num_steps: int) -> dict[str, Any]:
    """Times steps of a recipe that `run_prepared` has made ready."""
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


def quartiles(numbers: Sequence[float]) -> dict[str, float]:
    """The median, and between what the middle half lies."""
    low, median, high = np.percentile(numbers, (25, 50, 75)).tolist()
    return {"median": median, "low": low, "high": high}


def _parts(steps: Sequence[StepTimes]) -> dict[str, dict[str, float]]:
    """Of each part the mean seconds a step, which sum to the mean step, and its share."""
    total = sum(step.seconds for step in steps)
    sums = {name: sum(step.parts[name] for step in steps) for name in PARTS}
    return {n: {"seconds": s / len(steps), "share": s / total} for n, s in sums.items()}


def _flops_per_token(stepper: Stepper) -> float:
    """Needed by some batches, forward and backward."""
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
