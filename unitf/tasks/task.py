"""Task: what a model predicts from the core's columns, and how a prediction is scored."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.batch import Counts, EncodedSample, Sample, TaskBatch
from unitf.component import Component
from unitf.core import TransformerConfig
from unitf.errors import UserError
from unitf.features import Features, FileContent
from unitf.generation import Prompt
from unitf.proposal import Column, Proposal
from unitf.tasks.heads.pooling import MeanPooling
from unitf.tasks.metrics.metric_types import MetricCollection
from unitf.tokenizer.located_targets import LocatedTarget
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens

Tokenizers: TypeAlias = Mapping[str, Tokenizer]
"""The tokenizers of a model, by name."""

# each task chooses these types itself, and its methods name what it chose
Target: TypeAlias = Any  # a target: a tensor, as a rule, or a dictionary of tensors
Output: TypeAlias = Any  # what the heads compute: a tensor, as a rule
SampleInfo: TypeAlias = Any  # what `predict` needs to know of a raw sample
Prediction: TypeAlias = dict[str, Any]  # plain data, which a person reads


class CoreInputs(NamedTuple):
    """What the core reads for one task.

    Args:
        tokens: S sequences.
        memory: S source sequences for the encoder of an encoder-decoder; None: there is none.
        prefix: for each sequence the number of tokens at its beginning that attend to each other
            although the core is causal; None: no token attends to later ones.
    """

    tokens: Tokens
    memory: Tokens | None = None
    prefix: tuple[int, ...] | None = None

    @classmethod
    def pack(cls, items: Sequence["CoreInputs"]) -> "CoreInputs":
        """Joins the inputs of several tasks; either all have a memory (a prefix) or none has."""
        memories = [item.memory for item in items if item.memory is not None]
        prefixes = [item.prefix for item in items if item.prefix is not None]
        return cls(
            Tokens.pack([item.tokens for item in items]),
            Tokens.pack(memories) if memories else None,
            tuple(n for prefix in prefixes for n in prefix) if prefixes else None,
        )


class Task(Component, ABC):
    """One thing that a model learns: it reads some columns of a sample and predicts another.

    Args:
        inputs: the columns that the task reads; their tokens are joined in this order. A
            dictionary names the tokenizer of each column, where the names differ
            (`{premise: text}`). A sample may lack some of the columns.
        target: the column that is predicted.
        weight: the factor of this task's loss in the sum over all tasks.

    A subclass may have three more names. The static method `examples()` returns what
    `unitf plugins check` needs: a dictionary of `init_args`, `samples` and, where they are needed,
    `tokenizers` and `core`. The tuple `former_names` and the dictionary `former_arguments` say
    what the class and its arguments were called before, for models that were saved then.
    """

    causal: bool | None = None
    """Whether the core sees only earlier tokens. None: as the core is configured."""
    monitor: str = "loss"
    """The name of the metric that says how good the task is."""
    mode: str = "min"
    """Whether a lower ("min") or a higher ("max") value of `monitor` is better."""
    steady_loss: bool = True
    """Whether a lower loss of validation means a better model; not if what is right moves with what
    is predicted."""
    loss_per_sample: bool = False
    """Whether `losses` returns exactly one loss for each sample."""
    compares_samples: bool = False
    """Whether the loss of a sample depends on the others of its batch."""
    calibrating: bool = False
    """Whether what is measured is a validation in training, from which `calibrate` may learn."""
    fitted_parameters: tuple[str, ...] = ("",)
    """Prefixes of the names of parameters that are useless after `fit` learned something else."""
    calibrated: tuple[str, ...] = ()
    """The names in `fitted` that a validation sets, not the training samples."""
    target_tokenizer: str | None = None
    """The name of the tokenizer, if the target is a sequence of tokens."""
    in_place: bool = False
    """Whether the target says something of single places in the inputs, such as a label for each
    token: an augmentation that moves what they show must then move the target (`located`)."""

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.inputs: dict[str, str] = (
            inputs if isinstance(inputs, dict) else {name: name for name in inputs}
        )
        self.target: str | None = target
        self.weight: float = weight

    @property
    def unembeds(self) -> frozenset[str]:
        """The names of the tokenizers whose `unembed` this task calls."""
        return frozenset()

    @property
    def tokenized(self) -> list[tuple[str, str]]:
        """Pairs (column, name of its tokenizer) of all columns that are encoded as tokens."""
        pairs = list(self.inputs.items())
        if self.target is not None and self.target_tokenizer is not None:
            pairs.append((self.target, self.target_tokenizer))
        return pairs

    @property
    def output_columns(self) -> tuple[int | None, int | None] | None:
        """The columns [first, last) of each sequence that `outputs` needs; None: all of them.

        `outputs` receives only these, and the core's last block computes only these.
        """
        return None

    def check_core(self, core: TransformerConfig) -> None:
        """Checks that the core can do what the task needs, before anything is read or learned.

        Raises:
            UserError: it cannot.
        """

    # ---- before training, and in data workers ------------------------------------------

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Says whether this task can learn a target from these inputs, and how it would.

        Args:
            target: some values of the column that is predicted; None: there is no such column.
            inputs: the columns that have a tokenizer.

        Returns:
            The arguments of the constructor without `inputs` and `target`; None: it cannot.
        """
        return None

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns from the training samples what `encode_target` needs, such as class names."""

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        """Returns whether this task can use a sample.

        A sample needs at least one of the inputs and, if `labelled`, a target.
        """
        has_input = any(sample.get(column) is not None for column in self.inputs)
        has_target = self.target is None or sample.get(self.target) is not None
        return has_input and (has_target or not labelled)

    def located(self, sample: Sample) -> LocatedTarget | None:
        """Returns the target, if it locates something in the inputs; None: it does not.

        `encode_token_target` gets it as `encoding.located`, moved as the inputs were.

        Raises:
            UserError: the task cannot use the raw value.
        """
        return None

    def _raw_target(self, sample: Sample) -> object:
        """Returns the raw value of the target column."""
        assert self.target is not None
        return sample[self.target]

    @abstractmethod
    def encode_target(self, sample: Sample) -> Target:
        """Returns the target of one sample as a tensor, or as a dictionary of tensors.

        Raises:
            UserError: the task cannot use the raw value; the loader adds the sample's name. (A
                UserError is a ValueError; any ValueError is treated so.)
        """

    def out_of_scope_target(self, sample: Sample) -> Target | None:
        """Returns a target for a sample of a test whose own is unknown; None: it is left out.

        It is called where `encode_target` raised an error. `losses` and the metrics must then know
        such a target.
        """
        return None

    def sample_info(self, encoding: EncodedSample) -> SampleInfo:
        """Returns what `predict` needs to know of a raw sample beside its tokens."""
        return None

    def encode_token_target(self, encoding: EncodedSample, sample_info: SampleInfo) -> Target:
        """Returns the target of one encoded sample, if the target depends on its tokens."""
        return self.encode_target(encoding.sample)

    def encode_sequence(self, features: Features, tokenizer: Tokenizer) -> Features:
        """Returns the tokens to predict; `target_tokenizer` encoded them as `features`."""
        return features

    def collate(self, targets: Sequence[Target]) -> Target:
        """Joins the targets of S samples; S may be 0.

        Raises:
            UserError: a target is no tensor.
        """
        for target in targets:
            if not isinstance(target, Tensor):
                raise UserError(
                    f"{type(self).__name__}.encode_target: found {type(target).__name__}, "
                    "expected a tensor (or override collate)"
                )
        return torch.stack(list(targets)) if targets else None

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of losses that `losses` will return: by default, one a sample.

        It is called in data workers. The loss of an optimizer step is a mean over the losses of all
        its batches in all processes, so their number must be known before the first of them.
        """
        return batch.num_samples

    def loss_weights(self, batch: TaskBatch) -> Float[Tensor, " L"] | None:
        """Returns the weight of each loss that `losses` returns; None: all weigh the same.

        The loss of an optimizer step is the sum of its losses times their weights, divided by the
        sum of the weights. This method is called in data workers too, where `batch` has its target
        and its features alone.
        """
        return None

    def counts(self, batch: TaskBatch, tokenizers: Tokenizers) -> Counts:
        """Returns what is summed over an optimizer step; `TaskBatch.step` then has the sums."""
        losses, weights = self.num_losses(batch, tokenizers), self.loss_weights(batch)
        total = 0.0 if weights is None else weights.double().sum().item()
        return Counts(batch.num_samples, losses, batch.num_tokens, weights=total)

    def requirements(self, tokenizers: Tokenizers) -> dict[str, object]:
        """Returns what `make_parameters` needs to know of the tokenizers, as plain data."""
        return {}

    # ---- on the device -----------------------------------------------------------------

    def core_inputs(self, batch: TaskBatch, tokenizers: Tokenizers) -> CoreInputs:
        """Embeds and joins the inputs of a batch, as the core reads them."""
        return CoreInputs(self.join_inputs(self.embed(batch, tokenizers)))

    def unmasked(self, batch: TaskBatch) -> TaskBatch:
        """Returns the batch with no token masked, for a task that masks some."""
        return batch

    def embed(self, batch: TaskBatch, tokenizers: Tokenizers) -> list[Tokens]:
        """Embeds each input as S sequences."""
        return [tokenizers[used](batch.features[name]) for name, used in self.inputs.items()]

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Joins the tokens of the inputs, in their order, to one sequence for each sample."""
        return Tokens.concat(parts)

    @abstractmethod
    def outputs(self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers) -> Output:
        """Applies the heads to the core's columns.

        The result (logits, for instance) has a row for each sample, or for each token.
        """

    def sample_vectors(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S _"]:
        """Returns a vector for each sample, by which samples are compared: its mean column."""
        return MeanPooling()(columns)

    def logits(self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers) -> Tensor:
        """Returns the head's logits as other libraries return them: S or N rows."""
        return self.outputs(columns, batch, tokenizers)

    @abstractmethod
    def losses(self, output: Output, batch: TaskBatch, tokenizers: Tokenizers) -> Tensor:
        """Returns the losses (L,), whose mean is minimised: one for each sample, or each token.

        If `loss_per_sample` is true, there is one for each sample, in the order of the samples.
        """

    def evaluate(
        self,
        output: Output,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        core: nn.Module,
        testing: bool,
    ) -> Output:
        """Adds to an output what takes long to compute; it is never called in training.

        Args:
            testing: whether this is a test, which may take longer than a validation.
        """
        return output

    @property
    def can_average(self) -> bool:
        """Whether an ensemble can average outputs: the class overrides `to_average`."""
        return type(self).to_average is not Task.to_average

    def to_average(self, output: Output) -> Tensor:
        """Returns what an ensemble averages of an output: probabilities, or values.

        Raises:
            UserError: outputs of this task cannot be averaged.
        """
        raise UserError(f"{type(self).__name__}: its outputs cannot be averaged")

    def from_average(self, average: Tensor) -> Output:
        """Returns the output of which `to_average` returns `average`."""
        return average

    @property
    def can_generate(self) -> bool:
        """Whether this task can generate: its class overrides `prompt`."""
        return type(self).prompt is not Task.prompt

    def prompt(self, batch: TaskBatch, tokenizers: Tokenizers) -> Prompt:
        """Returns what the core reads before it generates the first token.

        Raises:
            UserError: this task does not generate.
        """
        raise UserError(f"{type(self).__name__} generates nothing")

    # ---- for a person ------------------------------------------------------------------

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Creates the metrics; each has its usual name (accuracy, f1, perplexity)."""

    @abstractmethod
    def update_metrics(
        self,
        metrics: MetricCollection,
        output: Output,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates `metrics` with some samples.

        Args:
            sequences: the indices of these samples in the batch.
        """

    def calibrate(self, results: Mapping[str, object]) -> None:
        """Learns from the results of a validation in training what only predictions need.

        Args:
            results: the metrics over all samples, by name.
        """

    def prediction_files(
        self, prediction: Prediction, sample: Sample, tokenizers: Tokenizers
    ) -> dict[str, FileContent]:
        """Returns the parts of a prediction that are files for a person, by their keys.

        By default these are its text, and the value that the tokenizer of the target decoded.

        Args:
            prediction: of one sample; `value` is what the task generated, if that is no text.
            sample: the raw sample.
            tokenizers: the tokenizers by name.
        """
        files: dict[str, FileContent] = {}
        if isinstance(text := prediction.get("text"), str):
            files["text"] = (".txt", text.encode())
        if self.target_tokenizer is not None and "value" in prediction:
            file = tokenizers[self.target_tokenizer].to_file(prediction["value"])
            files |= {} if file is None else {"value": file}
        return files

    @abstractmethod
    def predict(self, output: Output, batch: TaskBatch, tokenizers: Tokenizers) -> list[Prediction]:
        """Returns for each sample plain data for a person, such as a label and its probability."""
