"""Inference: predictions, generated sequences and embeddings of raw samples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.batch import Batch, Sample, TaskBatch
from unitf.component import PlainData
from unitf.core import Transformer, TransformerConfig
from unitf.data.encoder import Encoder
from unitf.data.joined_columns import JoinedColumns
from unitf.errors import UserError
from unitf.features import Features
from unitf.generation import Generation, Prompt, Reader, Rules, StreamedText, write
from unitf.generation import generate as write_all
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens


class InferenceModel(nn.Module, ABC):
    """The parts of a model that inference uses; `unitf.model.Model` is the model.

    Args:
        config: the configuration of the core.
        core: the Transformer.
        tokenizers: the tokenizers by name.
        tasks: the tasks by name.
    """

    config: TransformerConfig
    core: Transformer
    tokenizers: MutableMapping[str, Tokenizer]
    tasks: MutableMapping[str, Task]

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device of the core."""

    @abstractmethod
    def columns(self, batch: Batch, everything: bool = True) -> dict[str, Tokens]:
        """Returns the core's columns for each task."""

    @abstractmethod
    def predictions(self, batch: Batch) -> list[PlainData]:
        """Returns the predictions of each task for each of its samples."""


@torch.inference_mode()
def predict(
    model: InferenceModel,
    samples: Sequence[Sample],
    batch_size: int,
    skipped: list[str] | None = None,
) -> list[PlainData]:
    """Returns the predictions of the tasks for each sample; see `Model.predict`."""
    _check(batch_size)
    on_error = "raise" if skipped is None else "skip"
    encode = Encoder(model.tokenizers, model.tasks, labelled=False, on_error=on_error)
    items = [encode.item(number, sample) for number, sample in enumerate(samples)]
    numbers = {item.name: number for number, item in enumerate(items)}
    predictions: list[PlainData] = []
    with evaluating(model):
        for first in range(0, len(items), batch_size):
            batch = encode(items[first : first + batch_size]).to(model.device)
            if skipped is not None:
                skipped += batch.skipped
            if not batch.num_samples:
                continue
            predictions += [
                {"index": numbers[prediction.pop("sample")], **prediction}
                for prediction in model.predictions(batch)
            ]
    return sorted(predictions, key=lambda prediction: prediction["index"])


@torch.inference_mode()
def embed(
    model: InferenceModel, samples: Sequence[Sample], batch_size: int
) -> Float[Tensor, "S _"]:
    """Returns a vector for each sample; see `Model.embed`."""
    _check(batch_size)
    vectors: Tensor | None = None
    with evaluating(model):
        for name, numbers in _by_task(model, samples).items():
            tasks = {n: t for n, t in model.tasks.items() if name in (n, None)}
            encode = Encoder(model.tokenizers, tasks, labelled=False)
            for first in range(0, len(numbers), batch_size):
                chosen = numbers[first : first + batch_size]
                batch = encode([encode.item(i, samples[i]) for i in chosen]).to(model.device)
                assert name is not None  # without a task, encoding has raised an error
                task, tokenizers = model.tasks[name], dict(model.tokenizers.items())
                task_batch = task.unmasked(batch.task_batches[name])
                columns = model.columns(
                    replace(batch, task_batches={**batch.task_batches, name: task_batch})
                )[name]
                new = task.sample_vectors(columns, task_batch, tokenizers)
                if vectors is None:
                    vectors = torch.zeros(len(samples), new.shape[1])
                if vectors.shape[1] != new.shape[1]:
                    raise UserError(
                        f"{name}: vectors of {new.shape[1]} numbers, and another task's of "
                        f"{vectors.shape[1]}: expected samples of one of the tasks"
                    )
                vectors[chosen] = new.float().cpu()
    return torch.zeros(0, model.config.dim) if vectors is None else vectors


@torch.inference_mode()
def generate(
    model: InferenceModel,
    samples: Sequence[Sample],
    settings: Generation,
    task: str | None = None,
    batch_size: int = 32,
) -> list[PlainData]:
    """Returns what a task generates for each sample; see `Model.generate`."""
    _check(batch_size)
    name = writing_task(model, task)
    records: list[PlainData] = []
    with evaluating(model):
        for first in range(0, len(samples), batch_size):
            prompt = _prompt(model, name, samples[first : first + batch_size], first)
            rules = Rules(settings, prompt)
            for one in write_all(model.core, prompt, settings):
                value = one.value(rules)
                record: PlainData = {"index": first + one.sample, "task": name}
                record["text" if isinstance(value, str) else "value"] = value
                record["tokens"] = [t.tolist() if isinstance(t, Tensor) else t for t in one.tokens]
                if prompt.is_ids:
                    record["log_probabilities"] = one.log_probabilities
                if one.score is not None:
                    record["score"] = one.score
                records.append(record)
    return records


@torch.inference_mode()
def stream(
    model: InferenceModel, sample: Sample, settings: Generation, task: str | None = None
) -> Iterator[PlainData]:
    """Yields what a task generates for one sample, token by token; see `Model.stream`."""
    if settings.num_beams > 1 or settings.num_returns > 1:
        raise UserError("one sequence is streamed: expected num_beams 1 and num_returns 1")
    with evaluating(model):
        prompt = _prompt(model, writing_task(model, task), [sample])
        text = StreamedText(prompt, settings)
        for step in write(Reader(model.core, prompt, settings), settings):
            record: PlainData = {"token": step.token}
            if isinstance(step.token, int):
                record |= {"text": text.add(step), "log_probability": step.log_probability}
            yield record


def writing_task(model: InferenceModel, name: str | None = None) -> str:
    """Returns the name of the task that generates.

    Args:
        model: the model.
        name: the name of a task; None: the only task that can generate.

    Raises:
        UserError: no task can generate, several can and `name` is None, or the named one cannot.
    """
    writing = [n for n, task in model.tasks.items() if task.can_generate]
    if name is None and len(writing) == 1:
        return writing[0]
    if name in writing:
        return str(name)
    kinds = ", ".join(f"{n} ({type(task).__name__})" for n, task in model.tasks.items())
    if not writing:
        raise UserError(f"this model cannot generate: its tasks are {kinds}; see unitf predict")
    chosen = "several tasks that generate" if name is None else f"{name!r}"
    raise UserError(f"task: expected one of {', '.join(writing)}, found {chosen}")


def _prompt(model: InferenceModel, name: str, samples: Sequence[Sample], first: int = 0) -> Prompt:
    """Returns the prompt of some samples; a sample without inputs has no tokens.

    Args:
        model: the model.
        name: the name of the task.
        samples: the raw samples.
        first: the number of the first sample, for error messages.
    """
    task = model.tasks[name]
    join = JoinedColumns(model.tokenizers, {name: task})
    samples = [join(sample) for sample in samples]
    samples = [{c: s[c] for c in task.inputs if not _is_empty(s.get(c))} for s in samples]
    encode = Encoder(model.tokenizers, {name: task}, labelled=False)
    filled = [number for number, sample in enumerate(samples) if sample]
    batch = encode([encode.item(first + n, samples[n]) for n in filled]).task_batches[name]
    if len(filled) < len(samples):
        batch = _with_empty(batch, filled, len(samples))
    return task.prompt(batch.to(model.device), dict(model.tokenizers.items()))


def _by_task(model: InferenceModel, samples: Sequence[Sample]) -> dict[str | None, list[int]]:
    """Groups the numbers of the samples by the first task that accepts them; None: no task."""
    groups: dict[str | None, list[int]] = {}
    for number, sample in enumerate(map(JoinedColumns(model.tokenizers, model.tasks), samples)):
        accepting = (n for n, task in model.tasks.items() if task.accepts(sample, labelled=False))
        groups.setdefault(next(accepting, None), []).append(number)
    return groups


def _with_empty(batch: TaskBatch, filled: Sequence[int], count: int) -> TaskBatch:
    """Adds samples without tokens to a batch.

    Args:
        batch: the samples that have tokens.
        filled: the numbers of these samples among all.
        count: the number of all samples.
    """
    features = {}
    for column, packed in batch.features.items():
        lengths = np.zeros(count, np.int64)
        lengths[list(filled)] = packed.lengths
        features[column] = Features(packed.values, packed.positions, tuple(lengths.tolist()))
    names = tuple(str(number) for number in range(count))
    return TaskBatch(features, None, ("",) * count, names)


def _check(batch_size: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size: expected 1 or more, found {batch_size}")


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode, and afterwards each of its modules into its old mode.

    The modes may differ: parts may be frozen, or belong to another model too.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
