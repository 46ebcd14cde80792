"""Model: tokenizers, one core and tasks; its losses and its predictions."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import asdict
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import inference
from unitf.batch import Batch, Counts, Sample, TaskBatch, TaskData
from unitf.component import PlainData
from unitf.core import Transformer, TransformerConfig
from unitf.core.auxiliary import BlockAuxiliary
from unitf.core.auxiliary_terms import weighted_terms
from unitf.core.lora import LoRA, add_adapters
from unitf.core.named import saved
from unitf.errors import UserError
from unitf.fitting import build_components, check_inputs
from unitf.generation import Generation
from unitf.nn.reference_mode import is_reference_mode
from unitf.raw_samples import GivenSamples, input_columns, raw_samples
from unitf.registry.configurable import FORMAT, plain
from unitf.tasks.task import CoreInputs, Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import ColumnIndices, Tokens

TokenizerFactory = Callable[[int], Tokenizer]


class TrainingLoss(NamedTuple):
    """The loss of a batch and its parts.

    Args:
        total: the loss to minimise: that of the tasks plus the weighted terms of the core's blocks.
        tasks: the loss of the tasks alone.
        terms: the mean of each term over blocks and tokens, without its weight, by name.
        auxiliary: the auxiliary outputs of the core's blocks.
    """

    total: Float[Tensor, ""]
    tasks: Float[Tensor, ""]
    terms: dict[str, Tensor]
    auxiliary: list[BlockAuxiliary]


class Model(inference.InferenceModel):
    """Tokenizers, one core and one or more tasks: a torch module that needs no Lightning.

    `unitf.load` and `unitf.from_pretrained` return a trained model; `Learner.of` trains it further.

    Args:
        core: the configuration of the Transformer.
        tokenizers: functions that make a tokenizer for a width D, by the tokenizer's name.
        tasks: the tasks by name.
        lora: adapters of the core; None: it has none.
    """

    def __init__(
        self,
        core: TransformerConfig,
        tokenizers: Mapping[str, TokenizerFactory],
        tasks: Mapping[str, Task],
        lora: LoRA | None = None,
    ) -> None:
        super().__init__()
        self.config: TransformerConfig = core
        self.core: Transformer = Transformer(core)
        if lora is not None:
            add_adapters(self.core, lora)
        self.lora: LoRA | None = lora
        # typed by their values: to a type checker a ModuleDict holds nothing but modules
        self.tokenizers: MutableMapping[str, Tokenizer] = cast(
            MutableMapping[str, Tokenizer],
            nn.ModuleDict({n: make(core.dim) for n, make in tokenizers.items()}),
        )
        self.tasks: MutableMapping[str, Task] = cast(
            MutableMapping[str, Task], nn.ModuleDict(tasks)
        )
        check_inputs(self.tokenizers, self.tasks)
        for task in self.tasks.values():
            task.check_core(core)
        # drawn here, with the core's parameters: strategies may seed again before components are
        # built, and these must not depend on how many processes there are
        self._build_seed = int(torch.randint(2**31, (), device="cpu").item())
        # the published model that the weights come from, for the way back to its library
        self.origin: PlainData | None = None

    def _share(self, model: "Model") -> None:
        """Takes over the modules of another model, without copying them."""
        self.config, self.core, self.lora = model.config, model.core, model.lora
        self.tokenizers, self.tasks = model.tokenizers, model.tasks
        self._build_seed, self.origin = model._build_seed, model.origin

    def build_components(self) -> None:
        """Makes the parameters of fitted tokenizers and tasks that have none yet."""
        build_components(self.tokenizers, self.tasks, self.config.dim, self._build_seed)
        for task in self.tasks.values():  # which know by now what they learned
            task.check_core(self.config)

    def description(self) -> PlainData:
        """Returns what a checkpoint holds of this model beside its weights."""
        origin = {} if self.origin is None else {"origin": self.origin}
        return {"format": FORMAT, "configuration": self.configuration(), **origin}

    def configuration(self) -> PlainData:
        """Returns what `unitf.load` needs to make this model again, as plain data."""
        return {
            "core": saved(self.config),
            "tokenizers": {n: t.configuration() for n, t in self.tokenizers.items()},
            "tasks": {n: t.configuration() for n, t in self.tasks.items()},
            **({} if self.lora is None else {"lora": plain(asdict(self.lora), "lora")}),
        }

    @property
    def device(self) -> torch.device:
        """The device of the core."""
        return next(self.core.parameters()).device

    @property
    def _tokenizers(self) -> dict[str, Tokenizer]:
        return dict(self.tokenizers.items())

    # ---- from a batch to the outputs of the tasks ----------------------------------------

    def columns(self, batch: Batch, everything: bool = True) -> dict[str, Tokens]:
        """Returns the core's columns for each task; the sequences of all tasks share one pass.

        Args:
            batch: the samples.
            everything: whether to return the columns too that a task does not read.
        """
        return self._columns(batch, everything)[0]

    def _columns(
        self, batch: Batch, everything: bool
    ) -> tuple[dict[str, Tokens], list[BlockAuxiliary]]:
        """Returns the columns of each task, and the auxiliary outputs of all passes."""
        tokenizers = self._tokenizers
        core_inputs = {
            name: self.tasks[name].core_inputs(task_batch, tokenizers)
            for name, task_batch in batch.task_batches.items()
        }
        kinds = {
            name: (self.tasks[name].causal, inputs.memory is None, inputs.prefix is None)
            for name, inputs in core_inputs.items()
        }
        columns: dict[str, Tokens] = {}
        auxiliary: list[BlockAuxiliary] = []
        for kind in dict.fromkeys(kinds.values()):
            names = [name for name in core_inputs if kinds[name] == kind]
            packed = CoreInputs.pack([core_inputs[name] for name in names])
            output_columns = None
            if not (everything or is_reference_mode()):
                output_columns = self._output_columns(
                    packed.tokens, {n: core_inputs[n].tokens.num_sequences for n in names}
                )
            passed = self.core(
                packed.tokens,
                packed.memory,
                kind[0],
                packed.prefix,
                output_columns=output_columns,
                auxiliary=True,
            )
            auxiliary += passed.auxiliary
            parts = passed.tokens.unpack([core_inputs[name].tokens.num_sequences for name in names])
            columns.update(zip(names, parts, strict=True))
        return columns, auxiliary

    def _output_columns(self, tokens: Tokens, counts: Mapping[str, int]) -> ColumnIndices | None:
        """Returns the columns that the tasks read of their sequences; None: all columns."""
        slices = {name: self.tasks[name].output_columns for name in counts}
        if not any(slices.values()):
            return None
        return tokens.column_indices(
            [slices[name] or (None, None) for name, count in counts.items() for _ in range(count)]
        )

    def forward(
        self, batch: Batch, auxiliary: bool = False
    ) -> dict[str, TaskData] | tuple[dict[str, TaskData], list[BlockAuxiliary]]:
        """Returns the outputs of each task, and on request the auxiliary outputs of the blocks.

        Args:
            batch: the samples.
            auxiliary: whether to return a pair: the outputs, and the auxiliary outputs of the
                core's blocks.
        """
        columns, terms = self._columns(batch, everything=False)
        outputs = {
            name: self.tasks[name].outputs(columns[name], task_batch, self._tokenizers)
            for name, task_batch in batch.task_batches.items()
        }
        return (outputs, terms) if auxiliary else outputs

    def _losses(self, batch: Batch, outputs: Mapping[str, TaskData]) -> dict[str, Tensor]:
        losses = {
            name: self.tasks[name].losses(outputs[name], task_batch, self._tokenizers)
            for name, task_batch in batch.task_batches.items()
        }
        for name, values in losses.items():
            if values.ndim != 1:
                raise UserError(
                    f"model.tasks.{name}: {type(self.tasks[name]).__name__}.losses: found shape "
                    f"{tuple(values.shape)}, expected (L,), one loss of each sample or token"
                )
        return losses

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Returns the loss to minimise for a batch of labelled samples; see `training_loss`."""
        return self.training_loss(batch).total

    def training_loss(self, batch: Batch) -> TrainingLoss:
        """Returns the loss of a batch of labelled samples, and its parts.

        `total_loss` is the loss of the tasks. The auxiliary losses of the core's blocks are added,
        each times its weight: they are summed over the blocks, and averaged over the tokens of all
        passes.
        """
        outputs, auxiliary = self(batch, auxiliary=True)
        loss = self.total_loss(batch, self._losses(batch, outputs))
        terms, means = weighted_terms(auxiliary, self.over_processes, batch.step_fraction)
        return TrainingLoss(loss if terms is None else loss + terms, loss, means, auxiliary)

    def total_loss(self, batch: Batch, losses: Mapping[str, Tensor]) -> Tensor:
        """Returns the mean loss; a task counts by its weight and its fraction of the samples.

        The counts are those of the whole optimizer step (`TaskBatch.step`): the sum over its
        micro-batches of the mean over all processes is then the loss of one batch of all samples.

        Args:
            batch: the samples.
            losses: the losses (L,) of each task.
        """
        counts, processes = self._counts(batch, losses)
        samples = max(sum(count.samples for count in counts.values()), 1)
        total = torch.zeros((), device=self.device)
        for name, count in counts.items():
            sample_weight = count.samples / samples / count.divisor
            own = weighted(losses[name].float(), self.tasks[name], batch.task_batches[name])
            total = total + own.sum() * (sample_weight * self.tasks[name].weight)
        return total * processes

    def _counts(self, batch: Batch, losses: Mapping[str, Tensor]) -> tuple[dict[str, Counts], int]:
        """Returns the counts of the whole step for each task, and the number of processes.

        Raises:
            UserError: a task returned another number of losses than it had stated.
        """
        steps = {name: batch.task_batches[name].step for name in losses}
        known = {name: step for name, step in steps.items() if step is not None}
        if len(known) == len(steps) and known:
            for name, step in known.items():
                self._check_count(name, step.own.losses, len(losses[name]))
            processes = len(next(iter(known.values())).processes)
            return {name: step.total for name, step in known.items()}, processes
        own = [_own_counts(batch.task_batches[n], len(losses[n])) for n in losses]
        total, processes = self.over_processes(torch.tensor(own, dtype=torch.float32))
        rows = cast("list[list[float]]", total.tolist())
        counts = [Counts(int(row[0]), int(row[1]), weights=row[2]) for row in rows]
        return dict(zip(losses, counts, strict=True)), processes

    def _check_count(self, name: str, stated: int, found: int) -> None:
        if stated != found:
            task = type(self.tasks[name]).__name__
            raise UserError(
                f"tasks.{name}: {task}.losses returned {found} losses, but {task}.num_losses said "
                f"{stated}; a step of several batches or processes needs the right number"
            )

    def over_processes(self, counts: Tensor) -> tuple[Tensor, int]:
        """Returns the sum of counts over all training processes, and the number of processes."""
        return counts, 1

    def predictions(self, batch: Batch) -> list[PlainData]:
        """Returns the predictions of each task for each of its samples.

        Each prediction has `sample`, the name of its sample, and `task`.
        """
        outputs = self(batch)
        return [
            {"sample": sample, "task": name, **prediction}
            for name, task_batch in batch.task_batches.items()
            if task_batch.num_samples
            for sample, prediction in zip(
                task_batch.names,
                self.tasks[name].predict(outputs[name], task_batch, self._tokenizers),
                strict=True,
            )
        ]

    # ---- in Python ---------------------------------------------------------------------

    def predict(
        self,
        samples: GivenSamples,
        batch_size: int = 64,
        skipped: list[str] | None = None,
    ) -> list[PlainData]:
        """Returns the predictions of the tasks for raw samples, in their order.

        Each prediction is plain data and has `index`, the number of its sample, and `task`.

        Args:
            samples: dictionaries of columns, or one of them; a table of pandas, polars or pyarrow,
                with columns named as the inputs; for a model with one input also its values: texts,
                paths, arrays in a list.
            batch_size: the number of samples in a batch.
            skipped: gets a message for each sample that cannot be read, and the others are
                predicted; None: the first such sample is an error.
        """
        return inference.predict(self, self._samples(samples), batch_size, skipped)

    def generate(
        self,
        samples: GivenSamples,
        settings: Generation | None = None,
        task: str | None = None,
        batch_size: int = 32,
        **options: object,
    ) -> list[PlainData]:
        """Generates sequences for raw samples.

        Each sequence has `index`, the number of its sample, `task`, `text` (or `value`), `tokens`
        and `log_probabilities`.

        Args:
            samples: the raw samples, as in `predict`.
            settings: how to generate; by default the likeliest token, up to 256 times.
            task: the name of the task; needed if several tasks can generate.
            batch_size: the number of samples in a batch.
            options: the arguments of `Generation`, instead of `settings`.
        """
        settings = _settings(settings, options)
        return inference.generate(self, self._samples(samples), settings, task, batch_size)

    def stream(
        self,
        sample: Sample,
        settings: Generation | None = None,
        task: str | None = None,
        **options: object,
    ) -> Iterator[PlainData]:
        """Generates a sequence for one raw sample, token by token; see `generate`."""
        return inference.stream(self, sample, _settings(settings, options), task)

    def embed(self, samples: GivenSamples, batch_size: int = 64) -> Float[Tensor, "S _"]:
        """Returns a vector for each raw sample, made by the first task that accepts it.

        By default the vector is the mean of the sample's columns (S×D); the task `Embedding` has a
        vector of its own. No token is hidden, even for a task that hides tokens in training.

        Args:
            samples: the raw samples, as in `predict`.
            batch_size: the number of samples in a batch.
        """
        return inference.embed(self, self._samples(samples), batch_size)

    def _samples(self, given: GivenSamples) -> list[Sample]:
        return raw_samples(given, input_columns(self.tokenizers, self.tasks))


def weighted(losses: Float[Tensor, " L"], task: Task, batch: TaskBatch) -> Float[Tensor, " L"]:
    """Returns the losses of a task times their weights, if they have weights."""
    weights = task.loss_weights(batch)
    return losses if weights is None or not len(losses) else losses * weights.to(losses)


def _own_counts(batch: TaskBatch, num_losses: int) -> tuple[int, int, float]:
    weights = 0.0 if batch.counts is None else batch.counts.weights
    return batch.num_samples, num_losses, weights


def _settings(settings: Generation | None, options: PlainData) -> Generation:
    return settings or Generation(**options)
