"""What the checks of a task measure."""

import pickle
import warnings
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from unitf.batch import Sample, TaskBatch
from unitf.model import Model
from unitf.tasks.metrics.task_metrics import TaskMetrics, checked_metrics
from unitf.tasks.task import Task
from unitf.testing.subject import expect, seeded
from unitf.testing.task_subject import NAME, TaskSubject

Metrics: TypeAlias = dict[str, object]  # name → number, or nested lists of numbers


class Strange:
    """A value that no task takes as a target."""


def encode_in_worker(parcel: bytes) -> bytes:
    from unitf.data.encoder import Encoder

    tokenizers, tasks, samples = pickle.loads(parcel)
    encode = Encoder(tokenizers, tasks)
    with seeded(0):
        batch = encode([encode.item(number, sample) for number, sample in enumerate(samples)])
    return pickle.dumps(batch.task_batches[NAME])


def named(names: Sequence[str]) -> str:
    """Returns three of the names, and how many more there are."""
    shown = ", ".join(name.removeprefix(f"tasks.{NAME}.") for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def gradients_of(
    subject: TaskSubject, model: Model, samples: Sequence[Sample]
) -> dict[str, Tensor | None]:
    """Returns the gradient of each parameter from the sum of the losses of these samples."""
    model.zero_grad()
    with seeded(0):
        values, _ = subject.losses(model, subject.batch(samples, model=model))
        if values.requires_grad:
            values.sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def computed_metrics(subject: TaskSubject, parts: Sequence[Sequence[int]]) -> Metrics:
    """Returns the metrics after updates with these parts of the samples."""
    task: Task = subject.task
    task_batch: TaskBatch = subject.batch(subject.samples).task_batches[NAME]
    collection = checked_metrics(task.metrics(), type(task).__name__)
    outputs = subject.model(subject.batch(subject.samples))[NAME]
    outputs = task.evaluate(outputs, task_batch, subject.tokenizers, subject.model.core, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few samples for a metric
        for sequences in parts:
            task.update_metrics(collection, outputs, task_batch, subject.tokenizers, sequences)
        computed: Metrics = {name: value.tolist() for name, value in collection.compute().items()}
    if isinstance(collection, TaskMetrics):
        hint = "some; a TaskMetrics counts with metrics.update(prediction, target), not by name"
    else:
        hint = "some"
    expect(bool(computed), "metrics", "no metric", hint)
    return computed
