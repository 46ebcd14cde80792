"""Hiding: which tokens a masked model is to predict, and what it is shown in their place."""

import zlib
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from unitf.errors import UserError
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features


@dataclass(frozen=True)
class Masking:
    """A draw of tokens that are hidden.

    Args:
        mask_ratio: of the tokens of each sample that are hidden, at least one.
        random: share of hidden ids that become a random one.
        kept: share of hidden ids that stay what they are.
        block: so many consecutive tokens are hidden together.
    """

    mask_ratio: float
    random: float
    kept: float
    block: int

    def __post_init__(self) -> None:
        if not 0 < self.mask_ratio < 1:
            raise UserError(
                f"MaskedTokens: share must be above 0 and below 1, found {self.mask_ratio}"
            )
        if min(self.random, self.kept) < 0 or self.random + self.kept > 1:
            raise UserError(
                f"MaskedTokens: random {self.random} and kept {self.kept} must be shares of 1"
            )
        if self.block < 1:
            raise UserError(f"MaskedTokens: block must be 1 or more, found {self.block}")

    def __call__(
        self, features: Features, tokenizer: Tokenizer, train: bool = False
    ) -> dict[str, Tensor]:
        """Of one sample which tokens are hidden, and what is shown."""
        generator = None  # in training the loader has seeded the global one
        if not train:  # the same ones in every epoch
            seed = zlib.crc32(features.rows.contiguous().numpy().tobytes())
            generator = torch.Generator().manual_seed(seed)
        hidden = torch.zeros(features.num_tokens, dtype=torch.bool)
        candidates = torch.nonzero(_hideable(features, tokenizer)).flatten()
        if len(candidates) == 0:  # a text of added tokens alone
            return {"hidden": hidden, "shown": features.rows}
        chosen = candidates[self._draw(len(candidates), generator)]
        hidden[chosen] = True
        if not features.is_ids:
            # not only the columns: a stem may look at the neighbours before there are any
            return {"hidden": hidden, "shown": features.rows * ~hidden[:, None]}
        if tokenizer.mask_id is None:
            raise UserError(f"MaskedTokens: {type(tokenizer).__name__} has no mask token")
        shown = features.values.clone()
        luck = torch.rand(len(chosen), generator=generator)
        shown[chosen[luck >= self.random + self.kept]] = tokenizer.mask_id
        others = chosen[luck < self.random]
        size: Any = tokenizer.vocabulary_size
        shown[others] = torch.randint(size, (len(others),), generator=generator).to(shown.dtype)
        return {"hidden": hidden, "shown": shown}

    def _draw(self, size: int, generator: torch.Generator | None) -> Int[Tensor, " M"]:
        """A share of `size` places, block by block; blocks lie on a grid with a random start."""
        count = max(1, round(self.mask_ratio * size))
        if self.block == 1:
            return torch.randperm(size, generator=generator)[:count]
        start = int(torch.randint(self.block, (1,), generator=generator))
        blocks = (torch.arange(size) + start) // self.block
        turn = torch.randperm(int(blocks[-1]) + 1, generator=generator)
        return turn[blocks].argsort(stable=True)[:count]


def _hideable(features: Features, tokenizer: Tokenizer) -> Bool[Tensor, " N"]:
    """Which tokens carry something: all but those that were added around a text."""
    if not features.is_ids:
        return torch.ones(features.num_tokens, dtype=torch.bool)
    added = (tokenizer.start_id, tokenizer.end_id, tokenizer.mask_id, tokenizer.padding_id)
    return ~torch.isin(features.values, torch.tensor([i for i in added if i is not None]))
