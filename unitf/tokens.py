"""Tokens and Features: the two things that cross a border in unitf.

In memory the columns of a D×N matrix lie one after the other, which is byte for byte torch's
contiguous (N, D). This file is the only place that knows: everybody else says `rows` or `matrix`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def to_offsets(lengths: Sequence[int], device: torch.device | None = None) -> Int[Tensor, " S1"]:
    """Where each sequence begins, and where the last one ends: S + 1 numbers."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def _order(lengths: Sequence[int], device: torch.device) -> Float[Tensor, "1 N"]:
    """Positions 0, 1, 2, … within each sequence."""
    if len(lengths) == 1:
        return torch.arange(lengths[0], dtype=torch.float32, device=device)[None]
    counts = [np.arange(n, dtype=np.float32) for n in lengths]
    order = np.concatenate(counts) if counts else np.zeros(0, np.float32)
    return torch.from_numpy(order)[None].to(device)


def _join_positions(positions: list[Float[Tensor, "_ _"]]) -> Float[Tensor, "P N"]:
    """Side by side; an axis that one of them lacks is 0 there."""
    try:  # asking each for its axes first would be a fifth of what packing takes
        return torch.cat(positions, dim=1)
    except RuntimeError:
        axes = max(p.shape[0] for p in positions)
        grown = [torch.nn.functional.pad(p, (0, 0, 0, axes - p.shape[0])) for p in positions]
        return torch.cat(grown, dim=1)


@dataclass(frozen=True, eq=False, init=False)
class Features:
    """What `encode` makes of a raw value: ids (N,) or numbers F×N, and where each token stands.

    A batch of them is packed the same way as Tokens: sequences side by side, no padding.

    Args:
        values: ids (N,) or F×N.
        positions: P×N; by default 0, 1, 2, … within each sequence.
        lengths: of the sequences; by default there is one.
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
            positions = _order(lengths, values.device)
        object.__setattr__(self, "positions", positions)

    @property
    def is_ids(self) -> bool:
        """Whether a token is a whole number of a vocabulary (else: a vector of F numbers)."""
        return self.values.ndim == 1

    @property
    def rows(self) -> Shaped[Tensor, "N *F"]:
        """The values with a token a row: (N,) or (N, F)."""
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
        """Several batches as one batch; `items` is not empty."""
        values = [item.values for item in items]
        return cls(
            values=torch.cat(values) if items[0].is_ids else torch.cat([v.mT for v in values]).mT,
            positions=_join_positions([item.positions for item in items]),
            lengths=tuple([n for item in items for n in item.lengths]),
        )

    def split(self) -> list["Features"]:
        """One Features for each sequence."""
        return [
            Features(values, positions, (length,))
            for values, positions, length in zip(
                self.values.split(self.lengths, dim=-1),
                self.positions.split(self.lengths, dim=-1),
                self.lengths,
                strict=True,
            )
        ]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Features":
        """A copy whose tensors are on `device`."""
        return replace(
            self,
            values=self.values.to(device, non_blocking=non_blocking),
            positions=self.positions.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Features":
        """A copy whose tensors are in pinned memory."""
        return replace(self, values=self.values.pin_memory(), positions=self.positions.pin_memory())


@dataclass(frozen=True, eq=False)
class Spans:
    """What part of a text each token of a sequence stands for."""

    texts: tuple[str, ...]  # one, or both of a pair
    # the number of the text, the first character and the one after the last; -1 for tokens that
    # stand for none; in NumPy, since it goes from workers to the main process sample by sample
    ranges: Int[np.ndarray, "3 N"]


class ColumnIndices(NamedTuple):
    """Some columns of a batch: where they stand, and how many of them each sequence has."""

    index: Int[Tensor, " R"]
    lengths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a batch: one D×N matrix, sequences side by side, no padding."""

    matrix: Float[Tensor, "D N"]  # a token is a column
    offsets: Int[Tensor, " S1"]  # sequence s is matrix[:, offsets[s]:offsets[s + 1]]
    positions: Float[Tensor, "P N"]  # where a token stands: order in a text; (row, column) in an
    # image; (frame, band) in a spectrogram; (frame, row, column) in a video
    lengths: tuple[int, ...]  # of every sequence, on the host: nobody asks the device for it

    @classmethod
    def from_rows(
        cls,
        rows: Float[Tensor, "N D"],
        lengths: Sequence[int] | None = None,
        positions: Float[Tensor, "P N"] | None = None,
        offsets: Int[Tensor, " S1"] | None = None,
    ) -> "Tokens":
        """From a token a row; by default one sequence, with positions 0, 1, 2, …"""
        lengths = (rows.shape[0],) if lengths is None else tuple(lengths)
        return cls(
            matrix=rows.contiguous().mT,
            offsets=to_offsets(lengths, rows.device) if offsets is None else offsets,
            positions=_order(lengths, rows.device) if positions is None else positions,
            lengths=lengths,
        )

    @classmethod
    def from_padded(cls, padded: Float[Tensor, "S L D"], mask: Bool[Tensor, "S L"]) -> "Tokens":
        """From a padded batch and the mask of its real tokens; a position is the place in L."""
        order = torch.arange(padded.shape[1], dtype=torch.float32, device=padded.device)
        return cls.from_rows(
            padded[mask],
            lengths=mask.sum(1).tolist(),
            positions=order.expand(mask.shape)[mask][None],
        )

    def to_padded(self, value: float = 0.0) -> tuple[Float[Tensor, "S L D"], Bool[Tensor, "S L"]]:
        """A batch padded at the end with `value`, and the mask of its real tokens."""
        longest = self.longest
        lengths = torch.tensor(self.lengths, device=self.matrix.device)
        mask = torch.arange(longest, device=self.matrix.device) < lengths[:, None]
        padded = self.rows.new_full((len(self.lengths), longest, self.dim), value)
        padded[mask] = self.rows
        return padded, mask

    @property
    def rows(self) -> Float[Tensor, "N D"]:
        """A token a row: a free view."""
        return self.matrix.mT

    @property
    def dim(self) -> int:
        """D, the width of a token."""
        return self.matrix.shape[0]

    @property
    def num_tokens(self) -> int:
        """N, the number of tokens of all sequences."""
        return self.matrix.shape[1]

    @property
    def num_sequences(self) -> int:
        """S, the number of sequences; some may be empty."""
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """The number of tokens of the longest sequence; 0 where there is none."""
        return max(self.lengths, default=0)

    @property
    def equal_lengths(self) -> bool:
        """Whether all sequences are equally long, so that attention is a plain reshape."""
        return len(set(self.lengths)) <= 1

    def with_rows(self, rows: Float[Tensor, "N D2"]) -> "Tokens":
        """The same sequences with other contents (a token a row)."""
        return replace(self, matrix=rows.contiguous().mT)

    @classmethod
    def pack(cls, items: Sequence["Tokens"]) -> "Tokens":
        """Several batches as one batch; `items` is not empty."""
        if len(items) == 1:
            return items[0]
        return cls.from_rows(
            torch.cat([item.rows for item in items]),
            lengths=[n for item in items for n in item.lengths],
            positions=_join_positions([item.positions for item in items]),
        )

    def unpack(self, counts: Sequence[int]) -> list["Tokens"]:
        """The way back from `pack`: batches of `counts` sequences each."""
        if len(counts) == 1:
            return [self]
        batches, first = [], 0
        ends = list(accumulate(counts))
        lengths = [self.lengths[end - n : end] for n, end in zip(counts, ends, strict=True)]
        for part in lengths:
            last = first + sum(part)
            batches.append(
                Tokens.from_rows(self.rows[first:last], part, self.positions[:, first:last])
            )
            first = last
        return batches

    def within(self, first: int | None, last: int | None) -> "Tokens":
        """The columns [first, last) of every sequence, as in a slice of a list."""
        return self.at(self.column_indices([(first, last)] * self.num_sequences))

    def column_indices(self, slices: Sequence[tuple[int | None, int | None]]) -> ColumnIndices:
        """Where the columns [first, last) of each sequence stand."""
        starts = np.cumsum([0, *self.lengths])[:-1]
        runs = [range(n)[first:last] for n, (first, last) in zip(self.lengths, slices, strict=True)]
        indices = [
            start + np.arange(r.start, r.stop) for start, r in zip(starts, runs, strict=True)
        ]
        order = np.concatenate(indices) if indices else np.zeros(0, np.int64)
        index = torch.from_numpy(order).to(self.matrix.device, non_blocking=True)
        return ColumnIndices(index, tuple(len(r) for r in runs))

    def at(self, indices: ColumnIndices, rows: Float[Tensor, "R D2"] | None = None) -> "Tokens":
        """The columns at these places alone; `rows`: what became of them."""
        if rows is None:
            rows = self.rows.index_select(0, indices.index)
        return Tokens.from_rows(
            rows, indices.lengths, self.positions.index_select(1, indices.index)
        )

    def split(self) -> list["Tokens"]:
        """One Tokens for each sequence."""
        return self.unpack([1] * self.num_sequences)

    @classmethod
    def concat(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """Joined sequence by sequence: sequence s is that of every part, one after the other.

        Every part has S sequences, of which any may be empty.
        """
        if len(parts) == 1:
            return parts[0]
        # also a part without tokens is joined, so that autograd still reaches what made it
        rows = torch.cat([part.rows for part in parts])
        positions = _join_positions([part.positions for part in parts])
        lengths = np.array([part.lengths for part in parts], dtype=np.int64)  # (parts, S)
        starts = (lengths.cumsum() - lengths.ravel()).reshape(lengths.shape)
        runs = [
            np.arange(start, start + n)
            for start, n in zip(starts.T.ravel(), lengths.T.ravel(), strict=True)
            if n
        ]
        order = np.concatenate(runs) if runs else np.zeros(0, np.int64)
        if not np.array_equal(order, np.arange(len(order))):
            index = torch.from_numpy(order).to(rows.device, non_blocking=True)
            rows, positions = rows.index_select(0, index), positions.index_select(1, index)
        return cls.from_rows(rows, lengths=lengths.sum(0).tolist(), positions=positions)
