"""The target of a sequence-to-sequence model: its end, its shift and its positions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from unitf.errors import UserError
from unitf.features import Features
from unitf.registry.configurable import Configurable
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens


@dataclass(frozen=True)
class TargetPositions(Configurable):
    """Learned positions of a target whose tokenizer also encodes the source (BART).

    Args:
        max_tokens: the largest number of target tokens.
        offset: the number of unused vectors before that of the first token.
    """

    max_tokens: int
    offset: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.offset < 0:
            raise UserError(
                f"target_positions: expected max_tokens of 1 or more and an offset of 0 or more, "
                f"found {self.max_tokens} and {self.offset}"
            )


def ended(features: Features, tokenizer: Tokenizer) -> Features:
    """Adds the tokenizer's end token, unless it is there or the sequence was cut."""
    end, values = tokenizer.end_id, features.values
    if end is None or not features.is_ids or values[-1:].tolist() == [end]:
        return features
    if tokenizer.cuts([features.num_tokens])[0]:
        return features
    position = features.positions[:, -1:].clone()
    position[0] += 1
    return Features(
        torch.cat([values, values.new_tensor([end])]),
        torch.cat([features.positions, position], dim=1),
    )


def behind(lengths: Sequence[int], target: Tokens) -> Tokens:
    """Shifts the positions of a target, so that they continue after sources of these lengths."""
    before = np.repeat(np.array(lengths, np.float32), target.lengths)
    positions = target.positions.clone()
    positions[0] += torch.from_numpy(before).to(positions.device, non_blocking=True)
    return replace(target, positions=positions)


def moved(features: Features, first: int) -> Features:
    """Shifts the ids of each sequence by one: `first` comes first, the last id is dropped."""
    values = features.values.roll(1)
    starts = np.cumsum([0, *features.lengths])[:-1][np.array(features.lengths, dtype=bool)]
    index = torch.from_numpy(starts.astype(np.int64)).to(values.device, non_blocking=True)
    return replace(features, values=values.index_fill(0, index, first))
