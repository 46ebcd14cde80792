"""The value that a modality expects, and how a wrong one is refused."""

from dataclasses import dataclass, replace

import torch

from unitf.errors import UserError
from unitf.features import Features
from unitf.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Expected:
    """What a tokenizer promises about its Features."""

    kind: str  # the name of its class, for messages
    vocabulary: int | None  # the number of ids
    height: int | None  # F
    axes: int  # P
    longest: int | None  # the largest number of tokens
    none: Features  # S = 0 sequences

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Expected":
        return cls(
            kind=type(tokenizer).__name__,
            vocabulary=tokenizer.vocabulary_size,
            height=tokenizer.num_features,
            axes=tokenizer.num_axes,
            longest=tokenizer.max_tokens,
            none=replace(tokenizer.empty(), lengths=()),
        )

    def check(self, features: object) -> None:
        """Checks the shapes and types of one sample's Features; `fault` checks the numbers.

        Raises:
            UserError: the Features are not what the tokenizer promises.
        """
        if not isinstance(features, Features):
            raise UserError(f"{self.kind}.encode gave {type(features).__name__}, expected Features")
        values, positions = features.values, features.positions
        count = values.shape[-1]
        if self.vocabulary is not None:
            if values.ndim != 1 or values.dtype not in (torch.int64, torch.int32):
                raise UserError(f"{self.kind}.encode gave {_say(values)}, expected ids int64 (N)")
        elif values.ndim != 2 or values.dtype != torch.float32 or values.shape[0] != self.height:
            raise UserError(
                f"{self.kind}.encode gave {_say(values)}, expected float32 {self.height}×N"
            )
        if positions.ndim != 2 or positions.shape[1] != count or positions.shape[0] != self.axes:
            raise UserError(
                f"{self.kind}.encode gave positions {_say(positions)}, expected {self.axes}×{count}"
            )
        if features.lengths != (count,):
            raise UserError(f"{self.kind}.encode gave {len(features.lengths)} sequences, not one")
        if count == 0:
            raise UserError(f"{self.kind} found nothing to make a token of")
        if self.longest is not None and count > self.longest:
            raise UserError(f"{count} tokens of {self.kind}, expected at most {self.longest}")

    def fault(self, features: Features) -> str:
        """Returns what is wrong with the numbers; empty if nothing is."""
        values = features.values
        if values.numel() == 0:
            return ""
        if self.vocabulary is not None:
            low, high = (int(end) for end in torch.aminmax(values))
            if low < 0 or high >= self.vocabulary:
                return f"{self.kind}.encode gave id {low if low < 0 else high}, expected 0 to " + (
                    f"{self.vocabulary - 1}"
                )
        elif not torch.isfinite(values).all():
            return f"{self.kind}.encode gave numbers that are not finite (NaN or infinite)"
        if not torch.isfinite(features.positions).all():
            return f"{self.kind}.encode gave positions that are not finite"
        return ""


def _say(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'×'.join(map(str, tensor.shape))}"
