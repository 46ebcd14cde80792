"""Architecture: how a published family of models is said in unitf."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from unitf.core import TransformerConfig
from unitf.errors import UserError
from unitf.interop.weight_map import WeightMapping
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features


@dataclass(frozen=True, eq=False)
class DummyInputs:
    """The same random input for a peer and for unitf.

    Args:
        inputs: what the peer is called with.
        features: for each tokenizer, S sequences, packed.
        mask: which of the peer's padded columns are real; None: all are.
        target: S sequences that are to be predicted; the peer reads all but their last tokens.
        memory_mask: which columns are real of what the peer's encoder makes for its decoder.
    """

    inputs: Mapping[str, Any]
    features: Mapping[str, Features]
    mask: Bool[Tensor, "S L"] | None = None
    target: Features | None = None
    memory_mask: Bool[Tensor, "S M"] | None = None

    def packed(self, columns: Tensor, memory: bool = False) -> Tensor:
        """The real ones of the peer's columns (S, L, …), side by side."""
        mask = self.memory_mask if memory else self.mask
        return columns.flatten(0, 1) if mask is None else columns[mask]


class Architecture(ABC):
    """One model of a published family: its configuration, tokenizers, heads and names in unitf.

    A subclass reads what it needs from the peer's configuration. It is registered with the hook
    `register_architectures`.

    Args:
        peer: the model, as its library made it.
        source: the hub's name, or the folder, it came from; None: made from a configuration alone.
    """

    hub: ClassVar[str]  # "hf" or "timm"
    kinds: ClassVar[tuple[str, ...]]  # what the hub calls the models that this class describes

    def __init__(self, published: nn.Module, source: str | None = None) -> None:
        self.published: Any = published
        self.source = source
        if reason := self.unsupported():
            raise UserError(f"{type(published).__name__} cannot be said in unitf: {reason}")

    def unsupported(self) -> str | None:
        """Which option of the peer unitf lacks; None: it has them all."""
        return None

    @abstractmethod
    def core(self) -> TransformerConfig:
        """The blocks."""

    @abstractmethod
    def tokenizers(self) -> dict[str, Tokenizer]:
        """What makes columns, by name; fitted, so that parameters can be made."""

    @abstractmethod
    def tasks(self) -> dict[str, Task]:
        """What reads columns, by name; a body without a head gets an `Embedding`."""

    @abstractmethod
    def weight_map(self) -> Sequence[WeightMapping]:
        """Which tensors of the peer are which of unitf (as in `Model.state_dict`)."""

    @abstractmethod
    def dummy_inputs(self) -> DummyInputs:
        """Random input: sequences of different lengths where the peer takes them."""

    @abstractmethod
    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        """What the peer makes of the input: "columns" (N, D) packed, and for each task its logits.

        Of an encoder-decoder also "memory" (M, D). What is missing is not compared.
        """

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        """The peer's blocks, for "encoder" and "decoder": they are compared one by one."""
        return {}


class TransformersArchitecture(Architecture):
    """What the models of the library `transformers` have in common."""

    hub = "hf"

    @property
    def config(self) -> Any:
        """The configuration of the peer, as transformers has it."""
        return self.published.config

    @property
    def body(self) -> Any:
        """The model below the heads."""
        return getattr(self.published, self.published.base_model_prefix, self.published)

    @property
    def prefix(self) -> str:
        """What stands before the names of the body's tensors."""
        return "" if self.body is self.published else f"{self.published.base_model_prefix}."

    @property
    def head(self) -> str:
        """What follows "For" in the name of the peer's class; empty for a body alone."""
        return type(self.published).__name__.partition("For")[2]

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            kept["columns"] = dummy_inputs.packed(output[0])

        handle = self.body.register_forward_hook(keep)
        try:
            output = self.published(**dummy_inputs.inputs)
        finally:
            handle.remove()
        return kept | self.heads(output, dummy_inputs)

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        """For each task the peer's logits: (S, C), or packed (N, C)."""
        if (logits := getattr(output, "logits", None)) is None:
            return {}
        per_token = dummy_inputs.mask is not None and logits.shape[:2] == dummy_inputs.mask.shape
        return {name: dummy_inputs.packed(logits) if per_token else logits for name in self.tasks()}


def random_texts(
    vocabulary: int, longest: int, lengths: Sequence[int] = (7, 12, 3), avoid: Sequence[int] = ()
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Random ids (S, L), the mask of the real ones, and the lengths.

    Args:
        avoid: ids that mean something to the peer wherever they stand (padding, end).
    """
    lengths = tuple(min(length, longest) for length in lengths)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    allowed = torch.tensor([i for i in range(vocabulary) if i not in set(avoid)])
    ids = allowed[torch.randint(len(allowed), mask.shape)]
    return ids, mask, lengths
