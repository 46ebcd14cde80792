"""The task under test, in a small model with a few samples."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor

from unitf.batch import Batch, Sample, TaskBatch
from unitf.core import TransformerConfig
from unitf.data.encoder import Encoder, Item
from unitf.fitting import build_components, check_constructed, fit_components
from unitf.model import Model, TokenizerFactory
from unitf.registry.configurable import remade
from unitf.tasks.task import Task
from unitf.testing.subject import DIM, expect, seeded
from unitf.testing.toy_tokenizers import toy_tokenizer
from unitf.tokenizer.tokenizer import Tokenizer

NAME = "task"  # the name of the task under test in its model
Prediction: TypeAlias = dict[str, object]  # of one sample, by column


@dataclass(frozen=True)
class _Data:
    """The data that tokenizers and tasks are fitted on."""

    samples: Sequence[Sample]
    on_error: Literal["raise", "skip"] = "raise"

    def training_items(self) -> Iterator[Item]:
        """Yields all samples."""
        for number, sample in enumerate(self.samples):
            yield Item(sample, f"samples[{number}]", number)


class TaskSubject:
    """The task under test, in a model that was fitted and built.

    Args:
        make: makes a new task.
        samples: a few raw samples with targets.
        tokenizers: factories of tokenizers, by the names that the task calls them. For a missing
            name a toy tokenizer is used that fits the values.
        core: settings of `TransformerConfig`, in addition to a small size.
    """

    def __init__(
        self,
        make: Callable[[], Task],
        samples: Sequence[Sample],
        tokenizers: Mapping[str, TokenizerFactory] | None = None,
        core: Mapping[str, object] | None = None,
    ) -> None:
        self.make: Callable[[], Task] = make
        self.samples: list[Sample] = list(samples)
        small: Mapping[str, object] = {"dim": DIM, "depth": 1, "num_heads": 2}
        make_config = cast(Callable[..., TransformerConfig], TransformerConfig)
        self.config: TransformerConfig = make_config(**{**small, **(core or {})})
        task = self._new_task()
        self.factories: dict[str, TokenizerFactory] = dict(tokenizers or {})
        for column, name in task.tokenized:
            if name not in self.factories:
                values = (s[column] for s in self.samples if s.get(column) is not None)
                value = next(values, None)
                expect(value is not None, "samples", f"no value of column {column!r}", "one")
                self.factories[name] = toy_tokenizer(value)
        self.model: Model = self.fresh()

    @property
    def task(self) -> Task:
        """The fitted and built task."""
        return self.model.tasks[NAME]

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """The tokenizers of the model, by name."""
        return dict(self.model.tokenizers.items())

    def _new_task(self) -> Task:
        task = self.make()
        expect(isinstance(task, Task), "the task", type(task).__name__, "a unitf.Task")
        check_constructed(task)
        return task

    def fresh(self, task: Task | None = None) -> Model:
        """Returns a new model, fitted and built, with the same first weights each time.

        Args:
            task: the task of the model; by default a new one.
        """
        with seeded(0):
            tasks = {NAME: self._new_task() if task is None else task}
            model = Model(self.config, self.factories, tasks)
            fit_components(model.tokenizers, model.tasks, _Data(self.samples))
            build_components(model.tokenizers, model.tasks, self.config.dim, 0)
        return model.eval()

    def remade(self) -> Task:
        """Returns a task made from the configuration of this one, written as JSON."""
        settings = json.loads(json.dumps(self.task.configuration()))
        return remade(settings)

    def batch(
        self, samples: Sequence[Sample], labelled: bool = True, model: Model | None = None
    ) -> Batch:
        """Returns the samples as a batch, as the data loader does.

        Raises:
            UserError: a sample cannot be encoded.
        """
        model = model or self.model
        encode = Encoder(model.tokenizers, model.tasks, labelled)
        with seeded(0):
            return encode([encode.item(number, sample) for number, sample in enumerate(samples)])

    def unlabelled(self) -> list[Sample]:
        """Returns the samples without their targets."""
        target = self.task.target
        return [{k: v for k, v in sample.items() if k != target} for sample in self.samples]

    def losses(self, model: Model, batch: Batch) -> tuple[Tensor, TaskBatch]:
        """Returns the losses of a batch, and the part of the batch that the task reads."""
        task_batch = batch.task_batches[NAME]
        outputs = model(batch)[NAME]
        return model.tasks[NAME].losses(
            outputs, task_batch, dict(model.tokenizers.items())
        ), task_batch

    @torch.no_grad()
    def predictions(
        self, samples: Sequence[Sample], labelled: bool = False, model: Model | None = None
    ) -> list[Prediction]:
        """Returns the task's predictions for raw samples."""
        model = model or self.model
        batch = self.batch(samples, labelled, model)
        with seeded(0):
            outputs = model(batch)[NAME]
            tokenizers = dict(model.tokenizers.items())
            return model.tasks[NAME].predict(outputs, batch.task_batches[NAME], tokenizers)
