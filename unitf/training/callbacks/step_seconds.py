"""Measures how long a training step takes, before the first one, and changes nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import cast

import torch
from lightning.pytorch import LightningModule, Trainer

from unitf.data.seeding import kept_random_state
from unitf.model import Model
from unitf.training.callbacks.prepared import training_batches

_WARM, _MOST, _SECONDS = 2, 10, 6.0  # steps that are not counted, steps in all, seconds in all
_OPTIMIZER = 1.1  # a step of the optimizer is about a tenth of the step


def measured_step(trainer: Trainer, learner: LightningModule) -> float:
    """Returns the seconds of an optimizer step, with the time that its batches take to come.

    Losses and gradients are computed and thrown away. Weights, buffers and random numbers are
    afterwards as they were, so the training is the same as without it.
    """
    parameters = [p for p in learner.parameters() if p.requires_grad]
    times: list[float] = []
    model = cast(Model, learner)
    with kept_random_state(), _kept_buffers(learner):
        begin = last = time.monotonic()
        for batch in islice(training_batches(trainer), _MOST):
            with trainer.precision_plugin.train_step_context():
                loss = model.training_loss(batch).total
            # not backward(): hooks of DDP would wait for a step that does not come
            torch.autograd.grad(loss, parameters, allow_unused=True)
            if learner.device.type == "cuda":
                torch.cuda.synchronize(learner.device)
            times.append(time.monotonic() - last)
            last = time.monotonic()
            long_enough = last - begin > _SECONDS and len(times) > _WARM
            # processes measure as many batches: reading and computing them may wait for the others
            if trainer.strategy.reduce_boolean_decision(long_enough, all=False):
                break
    counted = sorted(times[_WARM:] or times)
    usual = sum(counted) / len(counted) if counted else 0.0
    return usual * _OPTIMIZER * trainer.accumulate_grad_batches


@contextmanager
def _kept_buffers(module: torch.nn.Module) -> Iterator[None]:
    """Restores the buffers of a module, such as the means of a batch norm."""
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
