"""Model: tokenizers, one core and tasks, and what they make of a batch or of raw samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import inference
from unitf.batch import Batch, Sample
from unitf.core import Transformer, TransformerConfig
from unitf.core.auxiliary import BlockAuxiliary
from unitf.core.lora import LoRA, add_adapters
from unitf.core.named import saved
from unitf.fitting import build_components, check_inputs
from unitf.generation import Generation
from unitf.nn.reference_mode import is_reference_mode
from unitf.registry.configurable import FORMAT, plain
from unitf.tasks.task import CoreInputs, Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import ColumnIndices, Tokens

TokenizerFactory = Callable[[int], Tokenizer]


class TrainingLoss(NamedTuple):
    """The loss of a batch.

    Args:
        total: what is minimised: the loss of the tasks and the weighted terms of the core's blocks.
        tasks: the loss of the tasks alone.
        terms: the mean of each term over blocks and tokens, without its coefficient, by name.
        auxiliary: all that the core's blocks returned beside their rows.
    """

    total: Float[Tensor, ""]
    tasks: Float[Tensor, ""]
    terms: dict[str, Tensor]
    auxiliary: list[BlockAuxiliary]


class Model(nn.Module):
    """Tokenizers, one core, one or more tasks: a plain torch module, which needs no Lightning.

    `unitf.load` and `unitf.from_pretrained` give one that is trained; `Learner.of` trains it
    further.

    Args:
        core: what the Transformer is.
        tokenizers: makers of them, given D, by the name that tasks call their inputs.
        tasks: by name.
        lora: adapters of the core.
    """

    def __init__(
        self,
        core: TransformerConfig,
        tokenizers: Mapping[str, TokenizerFactory],
        tasks: Mapping[str, Task],
        lora: LoRA | None = None,
    ) -> None:
        super().__init__()
        self.config = core
        self.core = Transformer(core)
        if lora is not None:
            add_adapters(self.core, lora)
        self.lora = lora
        # typed as what they hold: a ModuleDict's items are bare modules to a type checker
        self.tokenizers: Any = nn.ModuleDict({n: make(core.dim) for n, make in tokenizers.items()})
        self.tasks: Any = nn.ModuleDict(tasks)
        check_inputs(self.tokenizers, self.tasks)
        # drawn here, with the core's parameters: strategies may seed again before components are
        # built, and these must not depend on how many processes there are
        self._build_seed = int(torch.randint(2**31, (), device="cpu").item())
        # the published model that the weights began as, so that they can go back to its library
        self.origin: dict[str, Any] | None = None

    def _share(self, model: "Model") -> None:
        """Consists of the very modules of another model from here on."""
        self.config, self.core, self.lora = model.config, model.core, model.lora
        self.tokenizers, self.tasks = model.tokenizers, model.tasks
        self._build_seed, self.origin = model._build_seed, model.origin

    def build_components(self) -> None:
        """Makes the parameters of tokenizers and tasks that have none yet, and are fitted."""
        build_components(self.tokenizers, self.tasks, self.config.dim, self._build_seed)

    def description(self) -> dict[str, Any]:
        """What a checkpoint says of this model, beside its weights, for `unitf.load`."""
        origin = {} if self.origin is None else {"origin": self.origin}
        return {"format": FORMAT, "configuration": self.configuration(), **origin}

    def configuration(self) -> dict[str, Any]:
        """All that `unitf.load` needs to make this model again, as plain data."""
        return {
            "core": saved(self.config),
            "tokenizers": {n: t.configuration() for n, t in self.tokenizers.items()},
            "tasks": {n: t.configuration() for n, t in self.tasks.items()},
            **({} if self.lora is None else {"lora": plain(asdict(self.lora), "lora")}),
        }

    @property
    def device(self) -> torch.device:
        """Where the core is."""
        return next(self.core.parameters()).device

    @property
    def _tokenizers(self) -> dict[str, Tokenizer]:
        return dict(self.tokenizers.items())

    # ---- the way from a batch to what the tasks read ------------------------------------

    def columns(self, batch: Batch, everything: bool = True) -> dict[str, Tokens]:
        """For each task the core's columns; the sequences of all tasks share one pass.

        Args:
            everything: also those that a task does not read.
        """
        return self._columns(batch, everything)[0]

    def _columns(
        self, batch: Batch, everything: bool
    ) -> tuple[dict[str, Tokens], list[BlockAuxiliary]]:
        """The columns of each task, and what the blocks returned beside them in all passes."""
        views, tokenizers = batch.task_batches, self._tokenizers
        core_inputs = {
            name: self.tasks[name].core_inputs(view, tokenizers) for name, view in views.items()
        }
        kinds = {
            name: (self.tasks[name].causal, one.memory is None, one.prefix is None)
            for name, one in core_inputs.items()
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
        """The columns that some tasks read of their sequences; None: all of them."""
        slices = {name: self.tasks[name].output_columns for name in counts}
        if not any(slices.values()):
            return None
        return tokens.column_indices(
            [slices[name] or (None, None) for name, count in counts.items() for _ in range(count)]
        )

    def forward(self, batch: Batch, auxiliary: bool = False) -> Any:
        """For each task what its heads read.

        Args:
            auxiliary: whether to return also what the core's blocks return beside their rows.
        """
        columns, terms = self._columns(batch, everything=False)
        outputs = {
            name: self.tasks[name].outputs(columns[name], view, self._tokenizers)
            for name, view in batch.task_batches.items()
        }
        return (outputs, terms) if auxiliary else outputs

    def _losses(self, batch: Batch, outputs: Mapping[str, Any]) -> dict[str, Tensor]:
        return {
            name: self.tasks[name].losses(outputs[name], view, self._tokenizers)
            for name, view in batch.task_batches.items()
        }

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """What is minimised of a batch of labelled samples; see `training_loss`."""
        return self.training_loss(batch).total

    def training_loss(self, batch: Batch) -> TrainingLoss:
        """The loss of a batch of labelled samples, and its parts.

        See `total_loss` for that of the tasks. To it come the terms that the core's blocks return,
        each by its weight: summed over the blocks, and the mean over the tokens of all passes.
        """
        outputs, auxiliary = self(batch, auxiliary=True)
        loss = self.total_loss(batch, self._losses(batch, outputs))
        terms, means = self._terms(auxiliary)
        return TrainingLoss(loss if terms is None else loss + terms, loss, means, auxiliary)

    def _terms(
        self, auxiliary: Sequence[BlockAuxiliary]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The weighted sum of all terms (None: there are none), and the mean of each by name.

        A block counts by its share of all tokens that go through it, in all passes and processes.
        """
        if not any(block.losses() for block in auxiliary):
            return None, {}
        blocks = list(dict.fromkeys((block.stack, block.block) for block in auxiliary))
        tokens = torch.zeros(len(blocks))
        for block in auxiliary:
            tokens[blocks.index((block.stack, block.block))] += block.num_tokens
        counts, processes = self.over_processes(tokens)
        total_tokens = dict(zip(blocks, counts.tolist(), strict=True))
        total = torch.zeros((), device=self.device)
        sums: dict[str, Tensor] = {}
        having: dict[str, set[tuple[str, int]]] = {}
        for block in auxiliary:
            key = block.stack, block.block
            sample_weight = block.num_tokens / max(total_tokens[key], 1) * processes
            for name, term in block.losses().items():
                value = term.value.float() * sample_weight
                total = total + value * term.weight
                sums[name] = sums.get(name, torch.zeros_like(total)) + value.detach()
                having.setdefault(name, set()).add(key)
        return total, {name: value / len(having[name]) for name, value in sums.items()}

    def total_loss(self, batch: Batch, losses: Mapping[str, Tensor]) -> Tensor:
        """The mean loss, each task by its weight and its share of the samples.

        In several processes, counts are those of the global batch: the mean of the processes'
        gradients is then that of one process which had all samples.
        """
        names = list(losses)
        counts = torch.tensor(
            [
                [batch.task_batches[n].num_samples for n in names],
                [len(losses[n]) for n in names],
            ],
            dtype=torch.float32,
        )
        counts, processes = self.over_processes(counts)
        samples, items = counts.tolist()
        total = torch.zeros((), device=self.device)
        for name, n, count in zip(names, samples, items, strict=True):
            sample_weight = n / max(sum(samples), 1) / max(count, 1)
            total = total + losses[name].float().sum() * (sample_weight * self.tasks[name].weight)
        return total * processes

    def over_processes(self, counts: Tensor) -> tuple[Tensor, int]:
        """The sum of counts over all processes that train together, and how many these are."""
        return counts, 1

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """What each task says of each of its samples, under their names."""
        outputs = self(batch)
        return [
            {"sample": sample, "task": name, **prediction}
            for name, view in batch.task_batches.items()
            if view.num_samples
            for sample, prediction in zip(
                view.names,
                self.tasks[name].predict(outputs[name], view, self._tokenizers),
                strict=True,
            )
        ]

    # ---- in Python ---------------------------------------------------------------------

    def predict(self, samples: Sequence[Sample], batch_size: int = 64) -> list[dict[str, Any]]:
        """What the tasks say of raw samples (dictionaries of columns), as plain data.

        Each prediction has `index`, the number of its sample, and `task`.
        """
        return inference.predict(self, samples, batch_size)

    def generate(
        self,
        samples: Sequence[Sample],
        settings: Generation | None = None,
        task: str | None = None,
        batch_size: int = 32,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """What a task writes for raw samples: text (or value), tokens, log-probabilities.

        Args:
            settings: how; by default the likeliest token, up to 256 of them.
            task: the name of the task that writes, where several can.
            options: those of `Generation`, by name, instead of `settings`.
        """
        settings = settings or Generation(**options)
        return inference.generate(self, samples, settings, task, batch_size)

    def stream(
        self,
        sample: Sample,
        settings: Generation | None = None,
        task: str | None = None,
        **options: Any,
    ) -> Iterator[dict[str, Any]]:
        """What a task writes for one raw sample, token by token; see `generate`."""
        return inference.stream(self, sample, settings or Generation(**options), task)

    def embed(self, samples: Sequence[Sample], batch_size: int = 64) -> Float[Tensor, "S _"]:
        """A vector for each raw sample, of its first task: the mean of its columns (S×D).

        That of `Embedding` is the task's own; of one that hides tokens nothing is hidden.
        """
        return inference.embed(self, samples, batch_size)
