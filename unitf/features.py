"""Features: the encoded tokens of raw values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

RawValue: TypeAlias = Any  # the value of a column: a text, a number, an array, the path of a file
FileContent: TypeAlias = tuple[str, bytes]
"""A file that is to be written: the ending of its name, as ".png", and its bytes."""


def to_offsets(lengths: Sequence[int], device: torch.device | None = None) -> Int[Tensor, " S1"]:
    """Returns S + 1 offsets: where each sequence begins, and where the last one ends."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def default_positions(lengths: Sequence[int], device: torch.device) -> Float[Tensor, "1 N"]:
    """Returns the positions 0, 1, 2, … within each sequence."""
    if len(lengths) == 1:
        return torch.arange(lengths[0], dtype=torch.float32, device=device)[None]
    counts = [np.arange(n, dtype=np.float32) for n in lengths]
    order = np.concatenate(counts) if counts else np.zeros(0, np.float32)
    return to_tensor(order)[None].to(device)


def to_tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType]


def join_positions(positions: list[Float[Tensor, "_ _"]]) -> Float[Tensor, "P N"]:
    """Joins positions side by side; an axis that one of them lacks is filled with 0."""
    try:  # comparing the numbers of axes first would cost a fifth of the time of packing
        return torch.cat(positions, dim=1)
    except RuntimeError:
        axes = max(p.shape[0] for p in positions)
        grown = [torch.nn.functional.pad(p, (0, 0, 0, axes - p.shape[0])) for p in positions]
        return torch.cat(grown, dim=1)


@dataclass(frozen=True, eq=False, init=False)
class Features:
    """The encoded tokens of raw values: ids (N,) or numbers F×N, and the position of each token.

    A batch is packed in the same way as Tokens: sequences side by side, without padding.

    Args:
        values: the ids (N,) or the numbers F×N.
        positions: the positions P×N; by default 0, 1, 2, … within each sequence.
        lengths: the length of each sequence; by default there is one sequence.
    """

    values: Shaped[Tensor, "*F N"]
    positions: Float[Tensor, "P N"]
    lengths: tuple[int, ...]

    def __init__(
        self,
        values: Shaped[Tensor, "*F N"],
        positions: Float[Tensor, "P N"] | None = None,
        lengths: tuple[int, ...] | None = None,
    ) -> None:
        lengths = (values.shape[-1],) if lengths is None else lengths
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "lengths", lengths)
        if positions is None:
            positions = default_positions(lengths, values.device)
        object.__setattr__(self, "positions", positions)

    @property
    def is_ids(self) -> bool:
        """Whether a token is an id of a vocabulary; otherwise it is a vector of F numbers."""
        return self.values.ndim == 1

    @property
    def rows(self) -> Shaped[Tensor, "N *F"]:
        """The values with one row for each token: (N,) or (N, F)."""
        return self.values if self.is_ids else self.values.mT

    @property
    def num_tokens(self) -> int:
        """N, the number of tokens of all sequences."""
        return self.values.shape[-1]

    @property
    def num_sequences(self) -> int:
        """S, the number of sequences; some may be empty."""
        return len(self.lengths)

    @classmethod
    def pack(cls, items: Sequence["Features"]) -> "Features":
        """Packs several batches into one batch; `items` is not empty."""
        values = [item.values for item in items]
        return cls(
            values=torch.cat(values) if items[0].is_ids else torch.cat([v.mT for v in values]).mT,
            positions=join_positions([item.positions for item in items]),
            lengths=tuple([n for item in items for n in item.lengths]),
        )

    def split(self) -> list["Features"]:
        """Returns one Features for each sequence."""
        values, positions = _split(self.values, self.lengths), _split(self.positions, self.lengths)
        return [
            Features(part, part_positions, (length,))
            for part, part_positions, length in zip(values, positions, self.lengths, strict=True)
        ]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Features":
        """Returns a copy whose tensors are on `device`."""
        return replace(
            self,
            values=self.values.to(device, non_blocking=non_blocking),
            positions=self.positions.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Features":
        """Returns a copy whose tensors are in pinned memory."""
        return replace(self, values=self.values.pin_memory(), positions=self.positions.pin_memory())


def _split(tensor: Tensor, lengths: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Splits the last axis into pieces of these lengths."""
    return cast(tuple[Tensor, ...], tensor.split(lengths, dim=-1))  # pyright: ignore[reportUnknownMemberType]
