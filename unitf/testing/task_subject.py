"""The task under test, with tokenizers, a small core and a handful of samples."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unitf.batch import Batch, Sample, TaskBatch
from unitf.core import TransformerConfig
from unitf.data.encoder import Encoder, Item
from unitf.fitting import build_components, fit_components
from unitf.model import Model, TokenizerFactory
from unitf.registry.configurable import remade
from unitf.tasks.task import Task
from unitf.testing.subject import DIM, CheckError, expect, seeded
from unitf.testing.toy_tokenizers import toy_tokenizer

NAME = "task"  # what the task under test is called in its model


@dataclass(frozen=True)
class _Data:
    """What tokenizers and tasks are fitted on."""

    samples: Sequence[Sample]
    on_error: str = "raise"

    def training_items(self) -> Iterator[Item]:
        for number, sample in enumerate(self.samples):
            yield Item(sample, f"samples[{number}]", number)


class TaskSubject:
    """The task under test, in a model that was fitted and built.

    Args:
        make: makes the task, anew each time.
        samples: a handful of raw samples with targets.
        tokenizers: makers of them, by the names that the task calls them; for a name that is not
            there a toy tokenizer is taken that fits the values.
        core: settings of `TransformerConfig`, beside a small size.
    """

    def __init__(
        self,
        make: Callable[[], Task],
        samples: Sequence[Sample],
        tokenizers: Mapping[str, TokenizerFactory] | None = None,
        core: Mapping[str, Any] | None = None,
    ) -> None:
        self.make = make
        self.samples = list(samples)
        self.config = TransformerConfig(**{"dim": DIM, "depth": 1, "num_heads": 2, **(core or {})})
        task = self._made()
        self.factories: dict[str, TokenizerFactory] = dict(tokenizers or {})
        for column, name in task.tokenized:
            if name not in self.factories:
                values = (s[column] for s in self.samples if s.get(column) is not None)
                value = next(values, None)
                expect(value is not None, "samples", f"no value of column {column!r}", "one")
                self.factories[name] = toy_tokenizer(value)
        self.model = self.fresh()

    @property
    def task(self) -> Task:
        return self.model.tasks[NAME]

    @property
    def tokenizers(self) -> dict[str, Any]:
        return dict(self.model.tokenizers.items())

    def _made(self) -> Task:
        task: Any = self.make()
        expect(isinstance(task, Task), "the task", type(task).__name__, "a unitf.Task")
        return task

    def fresh(self, task: Task | None = None) -> Model:
        """A model that was fitted and built, from the same seed each time."""
        with seeded(0):
            tasks = {NAME: self._made() if task is None else task}
            model = Model(self.config, self.factories, tasks)
            fit_components(model.tokenizers, model.tasks, _Data(self.samples))
            build_components(model.tokenizers, model.tasks, self.config.dim, 0)
        return model.eval()

    def remade(self) -> Task:
        """A task from the configuration of this one, after a way through JSON."""
        settings = json.loads(json.dumps(self.task.configuration()))
        return remade(settings)

    def batch(
        self, samples: Sequence[Sample], labelled: bool = True, model: Model | None = None
    ) -> Batch:
        """The samples, as the data loader hands them to the device.

        Raises:
            UserError: one of them cannot be encoded.
        """
        model = model or self.model
        encode = Encoder(model.tokenizers, model.tasks, labelled)
        with seeded(0):
            return encode([encode.item(number, sample) for number, sample in enumerate(samples)])

    def unlabelled(self) -> list[dict[str, Any]]:
        """The samples without their targets."""
        target = self.task.target
        return [{k: v for k, v in sample.items() if k != target} for sample in self.samples]

    def losses(self, model: Model, batch: Batch) -> tuple[Tensor, TaskBatch]:
        """The losses of a batch, and its view."""
        task_batch = batch.task_batches[NAME]
        outputs = model(batch)[NAME]
        return model.tasks[NAME].losses(
            outputs, task_batch, dict(model.tokenizers.items())
        ), task_batch

    @torch.no_grad()
    def predictions(
        self, samples: Sequence[Sample], labelled: bool = False, model: Model | None = None
    ) -> list[Any]:
        """What the task predicts of the samples."""
        model = model or self.model
        batch = self.batch(samples, labelled, model)
        with seeded(0):
            outputs = model(batch)[NAME]
            tokenizers = dict(model.tokenizers.items())
            return model.tasks[NAME].predict(outputs, batch.task_batches[NAME], tokenizers)


def expect_alike(found: Any, expected: Any, place: str, tolerance: float = 0.0) -> None:
    """That two predictions are the same: plain data, whose numbers may differ a little.

    Raises:
        CheckError: they are not; the message names where.
    """
    if isinstance(expected, dict) and isinstance(found, dict) and tolerance:
        # probabilities that are nearly the same may stand in another order
        expect(
            set(found) == set(expected), place, sorted(map(str, found)), sorted(map(str, expected))
        )
        for key, value in expected.items():
            expect_alike(found[key], value, f"{place}[{key!r}]", tolerance)
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        expect(len(found) == len(expected), f"length of {place}", len(found), len(expected))
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            expect_alike(one, other, f"{place}[{number}]", tolerance)
    elif isinstance(expected, float) and isinstance(found, float):
        close = abs(found - expected) <= tolerance * max(1.0, abs(expected))
        expect(close or found == expected, place, found, f"{expected} (± {tolerance:g})")
    elif found != expected:
        raise CheckError(f"{place}: found {found!r:.80}, expected {expected!r:.80}")
