"""Architecture: how a published family of models is described in unitf."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from unitf.core import TransformerConfig
from unitf.errors import UserError
from unitf.features import Features
from unitf.interop.weight_map import WeightMapping
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class DummyInputs:
    """The same random input for a published model and for unitf.

    Args:
        inputs: the arguments of the published model's `forward`.
        features: for each tokenizer, S packed sequences.
        mask: which of the published model's padded columns are real; None: all are.
        target: S sequences to predict; the published model reads all but their last tokens.
        memory_mask: which columns of the published encoder's output are real.
    """

    inputs: Mapping[str, object]
    features: Mapping[str, Features]
    mask: Bool[Tensor, "S L"] | None = None
    target: Features | None = None
    memory_mask: Bool[Tensor, "S M"] | None = None

    def packed(self, columns: Tensor, memory: bool = False) -> Tensor:
        """Returns the real ones of the published model's columns (S, L, …), packed: (N, …)."""
        mask = self.memory_mask if memory else self.mask
        return columns.flatten(0, 1) if mask is None else columns[mask]


class Architecture(ABC):
    """One published model in unitf: its configuration, tokenizers, tasks and names of weights.

    A subclass reads the configuration of the published model. It is registered with the hook
    `register_architectures`.

    Args:
        published: the model, made by its own library.
        source: its name on the hub, or its folder; None: it was made from a configuration alone.

    Raises:
        UserError: the model has an option that unitf lacks.
    """

    hub: ClassVar[str]  # "hf" or "timm"
    kinds: ClassVar[tuple[str, ...]]  # the hub's names of the described kinds of models

    def __init__(self, published: nn.Module, source: str | None = None) -> None:
        self.published: Any = published
        self.source: str | None = source
        if reason := self.unsupported():
            raise UserError(f"{type(published).__name__} is not supported: {reason}")

    def unsupported(self) -> str | None:
        """Returns which option of the published model unitf lacks; None: it has them all."""
        return None

    @abstractmethod
    def core(self) -> TransformerConfig:
        """Returns the configuration of the blocks."""

    @abstractmethod
    def tokenizers(self) -> dict[str, Tokenizer]:
        """Returns the tokenizers by name, already fitted."""

    @abstractmethod
    def tasks(self) -> dict[str, Task]:
        """Returns the tasks by name; a model without a head gets the task `Embedding`."""

    @abstractmethod
    def weight_map(self) -> Sequence[WeightMapping]:
        """Returns which tensors of the published model are which of `Model.state_dict`."""

    @abstractmethod
    def dummy_inputs(self) -> DummyInputs:
        """Returns random input: sequences of different lengths if the published model allows it."""

    @abstractmethod
    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        """Returns the published model's outputs: "columns" (N, D), and the logits of each task.

        An encoder-decoder also has "memory" (M, D). A missing output is not compared.
        """

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        """Returns the published blocks of "encoder" and "decoder", to be compared one by one."""
        return {}


class TransformersArchitecture(Architecture):
    """The base class for models of the library `transformers`."""

    hub = "hf"

    @property
    def config(self) -> Any:
        """The configuration of the published model in transformers."""
        return self.published.config

    @property
    def body(self) -> Any:
        """The model below the heads."""
        return getattr(self.published, self.published.base_model_prefix, self.published)

    @property
    def prefix(self) -> str:
        """The prefix of the names of the body's tensors."""
        return "" if self.body is self.published else f"{self.published.base_model_prefix}."

    @property
    def head(self) -> str:
        """The end of the published class's name after "For"; empty for a body alone."""
        return type(self.published).__name__.partition("For")[2]

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}

        def keep(module: nn.Module, inputs: object, output: object) -> None:
            kept["columns"] = dummy_inputs.packed(cast(Sequence[Tensor], output)[0])

        handle = self.body.register_forward_hook(keep)
        try:
            output = self.published(**dummy_inputs.inputs)
        finally:
            handle.remove()
        return kept | self.heads(output, dummy_inputs)

    def heads(self, output: object, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        """Returns the published logits of each task: (S, C), or packed (N, C)."""
        if (logits := getattr(output, "logits", None)) is None:
            return {}
        per_token = dummy_inputs.mask is not None and logits.shape[:2] == dummy_inputs.mask.shape
        return {name: dummy_inputs.packed(logits) if per_token else logits for name in self.tasks()}


def random_texts(
    vocabulary: int, longest: int, lengths: Sequence[int] = (7, 12, 3), avoid: Sequence[int] = ()
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Returns random ids (S, L), the mask of the real ones, and the lengths.

    Args:
        vocabulary: the number of ids.
        longest: the largest length that the published model allows.
        lengths: the wanted lengths of the sequences.
        avoid: ids with a special meaning (padding, end).
    """
    lengths = tuple(min(length, longest) for length in lengths)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    allowed = torch.tensor([i for i in range(vocabulary) if i not in set(avoid)])
    ids = allowed[torch.randint(len(allowed), mask.shape)]
    return ids, mask, lengths
