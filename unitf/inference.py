"""What a Model makes of raw samples, in Python: predictions and embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf.batch import Sample, TaskBatch
from unitf.data.encoder import Encoder
from unitf.errors import UserError
from unitf.generation import Generation, Prompt, Reader, Rules, StreamedText, write
from unitf.generation import generate as write_all
from unitf.tokens import Features


@torch.inference_mode()
def predict(learner: Any, samples: Sequence[Sample], batch_size: int) -> list[dict[str, Any]]:
    """What the tasks say of each sample; see `Model.predict`."""
    _check(batch_size)
    encode = Encoder(learner.tokenizers, learner.tasks, labelled=False)
    items = [encode.item(number, sample) for number, sample in enumerate(samples)]
    numbers = {item.name: number for number, item in enumerate(items)}
    predictions: list[dict[str, Any]] = []
    with evaluating(learner):
        for first in range(0, len(items), batch_size):
            batch = encode(items[first : first + batch_size]).to(learner.device)
            predictions += [
                {"index": numbers[prediction.pop("sample")], **prediction}
                for prediction in learner.predictions(batch)
            ]
    return sorted(predictions, key=lambda prediction: prediction["index"])


@torch.inference_mode()
def embed(learner: Any, samples: Sequence[Sample], batch_size: int) -> Float[Tensor, "S _"]:
    """One vector for each sample; see `Model.embed`."""
    _check(batch_size)
    vectors: Tensor | None = None
    with evaluating(learner):
        for name, numbers in _by_task(learner, samples).items():
            tasks = {n: t for n, t in learner.tasks.items() if name in (n, None)}
            encode = Encoder(learner.tokenizers, tasks, labelled=False)
            for first in range(0, len(numbers), batch_size):
                some = numbers[first : first + batch_size]
                batch = encode([encode.item(i, samples[i]) for i in some]).to(learner.device)
                assert name is not None  # else encoding has named the sample
                task, tokenizers = learner.tasks[name], dict(learner.tokenizers.items())
                task_batch = task.unmasked(batch.task_batches[name])
                columns = learner.columns(
                    replace(batch, task_batches={**batch.task_batches, name: task_batch})
                )[name]
                found = task.sample_vectors(columns, task_batch, tokenizers)
                if vectors is None:
                    vectors = torch.zeros(len(samples), found.shape[1])
                if vectors.shape[1] != found.shape[1]:
                    raise UserError(
                        f"{name}: vectors of {found.shape[1]} numbers, and another task's of "
                        f"{vectors.shape[1]}: expected samples of one of the tasks"
                    )
                vectors[some] = found.float().cpu()
    return torch.zeros(0, learner.config.dim) if vectors is None else vectors


@torch.inference_mode()
def generate(
    learner: Any,
    samples: Sequence[Sample],
    settings: Generation,
    task: str | None = None,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """What a task writes for each sample; see `Model.generate`."""
    _check(batch_size)
    name, found = writing_task(learner, task), []
    with evaluating(learner):
        for first in range(0, len(samples), batch_size):
            prompt = _prompt(learner, name, samples[first : first + batch_size], first)
            rules = Rules(settings, prompt)
            for one in write_all(learner.core, prompt, settings):
                value = one.value(rules)
                record: dict[str, Any] = {"index": first + one.sample, "task": name}
                record["text" if isinstance(value, str) else "value"] = value
                record["tokens"] = [t.tolist() if isinstance(t, Tensor) else t for t in one.tokens]
                if prompt.is_ids:
                    record["log_probabilities"] = one.log_probabilities
                if one.score is not None:
                    record["score"] = one.score
                found.append(record)
    return found


@torch.inference_mode()
def stream(
    learner: Any, sample: Sample, settings: Generation, task: str | None = None
) -> Iterator[dict[str, Any]]:
    """What a task writes for one sample, as it comes; see `Model.stream`."""
    if settings.num_beams > 1 or settings.num_returns > 1:
        raise UserError("one sequence is streamed: expected num_beams 1 and num_returns 1")
    with evaluating(learner):
        prompt = _prompt(learner, writing_task(learner, task), [sample])
        text = StreamedText(prompt, settings)
        for step in write(Reader(learner.core, prompt, settings), settings):
            record: dict[str, Any] = {"token": step.token}
            if isinstance(step.token, int):
                record |= {"text": text.add(step), "log_probability": step.log_probability}
            yield record


def writing_task(learner: Any, name: str | None = None) -> str:
    """The name of the task that generates: the only one that can, or that of this name.

    Raises:
        UserError: there is none, or there are several.
    """
    writing = [n for n, task in learner.tasks.items() if task.can_generate]
    if name is None and len(writing) == 1:
        return writing[0]
    if name in writing:
        return str(name)
    kinds = ", ".join(f"{n} ({type(task).__name__})" for n, task in learner.tasks.items())
    if not writing:
        raise UserError(f"this model cannot generate: its tasks are {kinds}; see unitf predict")
    found = "several tasks that generate" if name is None else f"{name!r}"
    raise UserError(f"task: expected one of {', '.join(writing)}, found {found}")


def _prompt(learner: Any, name: str, samples: Sequence[Sample], first: int = 0) -> Prompt:
    """What the core reads of some samples; one that brings nothing has empty tokens."""
    task = learner.tasks[name]
    samples = [{c: s[c] for c in task.inputs if not _nothing(s.get(c))} for s in samples]
    encode = Encoder(learner.tokenizers, {name: task}, labelled=False)
    whole = [number for number, sample in enumerate(samples) if sample]
    batch = encode([encode.item(first + n, samples[n]) for n in whole]).task_batches[name]
    if len(whole) < len(samples):
        batch = _with_empty(batch, whole, len(samples))
    return task.prompt(batch.to(learner.device), dict(learner.tokenizers.items()))


def _by_task(learner: Any, samples: Sequence[Sample]) -> dict[str | None, list[int]]:
    """The numbers of the samples by the first task that takes them; None: by no task."""
    groups: dict[str | None, list[int]] = {}
    for number, sample in enumerate(samples):
        taking = (n for n, task in learner.tasks.items() if task.accepts(sample, labelled=False))
        groups.setdefault(next(taking, None), []).append(number)
    return groups


def _with_empty(batch: TaskBatch, whole: Sequence[int], count: int) -> TaskBatch:
    """The samples of a view under these numbers, among others that bring no token."""
    features = {}
    for column, some in batch.features.items():
        lengths = np.zeros(count, np.int64)
        lengths[list(whole)] = some.lengths
        features[column] = Features(some.values, some.positions, tuple(lengths.tolist()))
    names = tuple(str(number) for number in range(count))
    return TaskBatch(features, None, ("",) * count, names)


def _check(batch_size: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size: expected 1 or more, found {batch_size}")


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)


@contextmanager
def evaluating(learner: Any) -> Iterator[None]:
    """Without dropout, and afterwards as before: parts may be frozen, or another model's too."""
    modes = {module: module.training for module in learner.modules()}
    learner.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
