"""Masking: which tokens a masked model predicts, and what it sees instead of them."""

import zlib
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from unitf.errors import UserError
from unitf.features import Features
from unitf.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Masking:
    """A random choice of the tokens that are hidden.

    Args:
        mask_ratio: the fraction of each sample's tokens that are hidden; at least one is.
        random: the fraction of hidden ids that are replaced by a random id.
        kept: the fraction of hidden ids that are not replaced.
        block: the number of consecutive tokens that are hidden together.
    """

    mask_ratio: float
    random: float
    kept: float
    block: int

    def __post_init__(self) -> None:
        if not 0 < self.mask_ratio < 1:
            raise UserError(
                f"MaskedTokens: mask_ratio must be above 0 and below 1, found {self.mask_ratio}"
            )
        if min(self.random, self.kept) < 0 or self.random + self.kept > 1:
            raise UserError(
                f"MaskedTokens: random {self.random} and kept {self.kept} must be at least 0, "
                "and at most 1 together"
            )
        if self.block < 1:
            raise UserError(f"MaskedTokens: block must be 1 or more, found {self.block}")

    def __call__(
        self, features: Features, tokenizer: Tokenizer, train: bool = False
    ) -> dict[str, Tensor]:
        """Chooses the hidden tokens of one sample.

        Returns:
            "hidden": for each token whether it is hidden; "shown": the rows that the model sees.

        Raises:
            UserError: the tokenizer of ids has no mask token.
        """
        generator = None  # in training the loader has seeded the global generator
        if not train:  # the same tokens are hidden in every epoch
            seed = zlib.crc32(features.rows.contiguous().numpy().tobytes())
            generator = torch.Generator().manual_seed(seed)
        hidden = torch.zeros(features.num_tokens, dtype=torch.bool)
        candidates = torch.nonzero(_hideable(features, tokenizer)).flatten()
        if len(candidates) == 0:  # there are only added tokens, such as start and end
            return {"hidden": hidden, "shown": features.rows}
        chosen = candidates[self._draw(len(candidates), generator)]
        hidden[chosen] = True
        if not features.is_ids:
            # zeros here too: a tokenizer may mix neighbours before it embeds them
            return {"hidden": hidden, "shown": features.rows * ~hidden[:, None]}
        if tokenizer.mask_id is None:
            raise UserError(f"MaskedTokens: {type(tokenizer).__name__} has no mask token")
        shown = features.values.clone()
        draws = torch.rand(len(chosen), generator=generator)
        shown[chosen[draws >= self.random + self.kept]] = tokenizer.mask_id
        randomised = chosen[draws < self.random]
        size = cast(int, tokenizer.vocabulary_size)
        random_ids = torch.randint(size, (len(randomised),), generator=generator)
        shown[randomised] = random_ids.to(shown.dtype)
        return {"hidden": hidden, "shown": shown}

    def _draw(self, size: int, generator: torch.Generator | None) -> Int[Tensor, " M"]:
        """Draws the indices of the hidden tokens among `size`, block by block.

        The blocks lie on a grid with a random start.
        """
        count = max(1, round(self.mask_ratio * size))
        if self.block == 1:
            return torch.randperm(size, generator=generator)[:count]
        start = int(torch.randint(self.block, (1,), generator=generator))
        blocks = (torch.arange(size) + start) // self.block
        order = torch.randperm(int(blocks[-1]) + 1, generator=generator)
        return order[blocks].argsort(stable=True)[:count]


def _hideable(features: Features, tokenizer: Tokenizer) -> Bool[Tensor, " N"]:
    """Returns which tokens may be hidden: all but those that a tokenizer adds to a text."""
    if not features.is_ids:
        return torch.ones(features.num_tokens, dtype=torch.bool)
    added = (tokenizer.start_id, tokenizer.end_id, tokenizer.mask_id, tokenizer.padding_id)
    return ~torch.isin(features.values, torch.tensor([i for i in added if i is not None]))
