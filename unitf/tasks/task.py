"""Task: what is read from the columns, how wrong it is, and how a person reads it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.component import Component
from unitf.errors import UserError
from unitf.generation import Prompt
from unitf.tasks.heads.pooling import MeanPooling
from unitf.tasks.metrics.metric_types import MetricCollection
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens

Tokenizers = Mapping[str, Tokenizer]


class CoreInputs(NamedTuple):
    """What a task gives to the core.

    Args:
        tokens: S sequences.
        memory: of S sequences, for an encoder-decoder to read first.
        prefix: how many tokens at the beginning of each sequence see each other in a causal core.
    """

    tokens: Tokens
    memory: Tokens | None = None
    prefix: tuple[int, ...] | None = None

    @classmethod
    def pack(cls, items: Sequence["CoreInputs"]) -> "CoreInputs":
        """What several tasks give, as one; either all have a memory (a prefix) or none."""
        memories = [item.memory for item in items if item.memory is not None]
        prefixes = [item.prefix for item in items if item.prefix is not None]
        return cls(
            Tokens.pack([item.tokens for item in items]),
            Tokens.pack(memories) if memories else None,
            tuple(n for prefix in prefixes for n in prefix) if prefixes else None,
        )


class Task(Component, ABC):
    """One thing to learn: reads columns of samples, gives columns of predictions.

    Args:
        inputs: the columns that it reads, in the order in which their tokens are joined; as a
            dictionary where a column has another name than its tokenizer (`{premise: text}`).
            A sample may lack some of them.
        target: the column with what is to be predicted.
        weight: of this task's loss in the sum over tasks.
    """

    causal: bool | None = None  # None: as the core is configured
    monitor: str = "loss"  # the metric that says how good the task is …
    mode: str = "min"  # … and whether less or more of it is better
    loss_per_sample = False  # whether `losses` are the samples', so that each has its modality
    # (beginnings of) names of the parameters that mean nothing once something else was fitted
    fitted_parameters: tuple[str, ...] = ("",)
    target_tokenizer: str | None = None  # encodes the target, where that is a sequence of tokens

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.inputs = inputs if isinstance(inputs, dict) else {name: name for name in inputs}
        self.target = target
        self.weight = weight

    @property
    def unembeds(self) -> frozenset[str]:
        """The names of the tokenizers whose way back this task needs."""
        return frozenset()

    @property
    def tokenized(self) -> list[tuple[str, str]]:
        """The columns that become tokens, each with the name of its tokenizer."""
        pairs = list(self.inputs.items())
        if self.target is not None and self.target_tokenizer is not None:
            pairs.append((self.target, self.target_tokenizer))
        return pairs

    @property
    def output_columns(self) -> tuple[int | None, int | None] | None:
        """The columns [first, last) of each sequence that `outputs` needs; None: all of them.

        It is given no others, and the core's last block computes no others.
        """
        return None

    # ---- before training, and in data workers ------------------------------------------

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns from the training samples what `encode_target` needs (names of classes)."""

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        """Whether a sample is for this task: it has one of the inputs and (`labelled`) a target."""
        has_input = any(sample.get(column) is not None for column in self.inputs)
        has_target = self.target is None or sample.get(self.target) is not None
        return has_input and (has_target or not labelled)

    @abstractmethod
    def encode_target(self, sample: Sample) -> Any:
        """The target of one sample as a tensor (or dictionary of tensors).

        Raises:
            ValueError: it is none that this task knows; the loader adds which sample it was.
        """

    def sample_info(self, encoding: EncodedSample) -> Any:
        """What `predict` must know of the raw sample beside its tokens; nothing, as a rule."""
        return None

    def encode_token_target(self, encoding: EncodedSample, sample_info: Any) -> Any:
        """The target of one encoded sample, for tasks whose target depends on its tokens."""
        return self.encode_target(encoding.sample)

    def encode_sequence(self, features: Features, tokenizer: Tokenizer) -> Features:
        """What is to be predicted of a target that `target_tokenizer` encoded."""
        return features

    def collate(self, targets: Sequence[Any]) -> Any:
        """The targets of S samples (S may be 0) as one."""
        return torch.stack(list(targets)) if targets else None

    def requirements(self, tokenizers: Tokenizers) -> dict[str, Any]:
        """What `make_parameters` is told of the tokenizers, as plain data."""
        return {}

    # ---- on the device -----------------------------------------------------------------

    def core_inputs(self, batch: TaskBatch, tokenizers: Tokenizers) -> CoreInputs:
        """What the core reads: the embedded inputs, arranged."""
        return CoreInputs(self.join_inputs(self.embed(batch, tokenizers)))

    def unmasked(self, batch: TaskBatch) -> TaskBatch:
        """The same samples with nothing hidden, for a task that hides some of them."""
        return batch

    def embed(self, batch: TaskBatch, tokenizers: Tokenizers) -> list[Tokens]:
        """The tokens of each input, S sequences."""
        return [tokenizers[used](batch.features[name]) for name, used in self.inputs.items()]

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """One sequence a sample, from the tokens of the inputs in their order."""
        return Tokens.concat(parts)

    @abstractmethod
    def outputs(self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers) -> Any:
        """What the heads make of the core's columns (logits, say): S rows, or a token a row."""

    def sample_vectors(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S _"]:
        """A vector for each sample, to compare them by: the mean of its columns."""
        return MeanPooling()(columns)

    def logits(self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers) -> Tensor:
        """What the head makes of the columns, as other libraries give it: S or N rows."""
        return self.outputs(columns, batch, tokenizers)

    @abstractmethod
    def losses(self, output: Any, batch: TaskBatch, tokenizers: Tokenizers) -> Tensor:
        """The losses (L,) of which the mean is to be minimised: a sample's, or a token's, each.

        Those of samples are in their order, if `loss_per_sample` says that there is one of each.
        """

    def evaluate(
        self, output: Any, batch: TaskBatch, tokenizers: Tokenizers, core: nn.Module, testing: bool
    ) -> Any:
        """Completes an output with what takes longer to compute; never called in training.

        Args:
            testing: whether it is a test, which may take its time (else validation).
        """
        return output

    @property
    def can_generate(self) -> bool:
        """Whether it generates: it has a prompt of its own."""
        return type(self).prompt is not Task.prompt

    def prompt(self, batch: TaskBatch, tokenizers: Tokenizers) -> Prompt:
        """What a core reads of the samples before it writes, for tasks that generate."""
        raise UserError(f"{type(self).__name__} generates nothing")

    # ---- for a person ------------------------------------------------------------------

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Fresh metrics; every figure has the field's name (accuracy, f1, perplexity)."""

    @abstractmethod
    def update_metrics(
        self,
        metrics: MetricCollection,
        output: Any,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates `metrics` with some of the samples, by their numbers in the view."""

    @abstractmethod
    def predict(
        self, output: Any, batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """For each sample what a person reads: plain data (a label and its probability)."""
