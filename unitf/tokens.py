"""Tokens and Features: the two data structures that the parts of unitf exchange.

The columns of a D×N matrix lie one after the other in memory, which is torch's contiguous (N, D)
byte for byte. Only this module depends on that layout: all other code uses `rows` or `matrix`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unitf.features import default_positions, join_positions, to_offsets, to_tensor


@dataclass(frozen=True, eq=False)
class Spans:
    """The part of a text that each token of a sequence represents.

    Args:
        texts: one text, or both texts of a pair.
        ranges: three rows: the number of the text, the first character, and the character after
            the last one; all are -1 for a token that represents no part of a text.
    """

    texts: tuple[str, ...]
    # a NumPy array, because data workers send it to the main process sample by sample
    ranges: Int[np.ndarray, "3 N"]


@dataclass(frozen=True, eq=False)
class ColumnIndices:
    """A selection of the columns of a batch.

    Args:
        index: the indices of the R selected columns, sequence by sequence.
        lengths: how many columns of each sequence are selected.
    """

    index: Int[Tensor, " R"]
    lengths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a batch: one D×N matrix, sequences side by side, without padding.

    Args:
        matrix: one column for each token.
        offsets: S + 1 numbers; sequence s is `matrix[:, offsets[s]:offsets[s + 1]]`.
        positions: the P coordinates of each token: its index in a text; (row, column) in an image;
            (frame, band) in a spectrogram; (frame, row, column) in a video.
        lengths: the length of each sequence.
    """

    matrix: Float[Tensor, "D N"]
    offsets: Int[Tensor, " S1"]
    positions: Float[Tensor, "P N"]
    lengths: tuple[int, ...]  # on the host, so that no code has to wait for the device

    @classmethod
    def from_rows(
        cls,
        rows: Float[Tensor, "N D"],
        lengths: Sequence[int] | None = None,
        positions: Float[Tensor, "P N"] | None = None,
        offsets: Int[Tensor, " S1"] | None = None,
    ) -> "Tokens":
        """Makes Tokens from one row for each token.

        Args:
            rows: the rows of all tokens.
            lengths: the length of each sequence; by default there is one sequence.
            positions: the positions of the tokens; by default 0, 1, 2, … within each sequence.
            offsets: the offsets of the sequences; by default computed from `lengths`.
        """
        lengths = (rows.shape[0],) if lengths is None else tuple(lengths)
        return cls(
            matrix=rows.contiguous().mT,
            offsets=to_offsets(lengths, rows.device) if offsets is None else offsets,
            positions=default_positions(lengths, rows.device) if positions is None else positions,
            lengths=lengths,
        )

    @classmethod
    def from_padded(cls, padded: Float[Tensor, "S L D"], mask: Bool[Tensor, "S L"]) -> "Tokens":
        """Makes Tokens from a padded batch and the mask of its real tokens.

        The position of a token is its index along L.
        """
        order = torch.arange(padded.shape[1], dtype=torch.float32, device=padded.device)
        return cls.from_rows(
            padded[mask],
            lengths=cast(list[int], mask.sum(1).tolist()),  # pyright: ignore[reportUnknownMemberType]
            positions=order.expand(mask.shape)[mask][None],
        )

    def to_padded(self, value: float = 0.0) -> tuple[Float[Tensor, "S L D"], Bool[Tensor, "S L"]]:
        """Returns a batch padded at the end with `value`, and the mask of its real tokens."""
        longest = self.longest
        lengths = torch.tensor(self.lengths, device=self.matrix.device)
        mask = torch.arange(longest, device=self.matrix.device) < lengths[:, None]
        padded = self.rows.new_full((len(self.lengths), longest, self.dim), value)
        padded[mask] = self.rows
        return padded, mask

    @property
    def rows(self) -> Float[Tensor, "N D"]:
        """One row for each token: a view that costs nothing."""
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
        """The length of the longest sequence; 0 for a batch without sequences."""
        return max(self.lengths, default=0)

    @property
    def equal_lengths(self) -> bool:
        """Whether all sequences are equally long, so that attention needs only a reshape."""
        return len(set(self.lengths)) <= 1

    def with_rows(self, rows: Float[Tensor, "N D2"]) -> "Tokens":
        """Returns the same sequences with other contents (one row for each token)."""
        return replace(self, matrix=rows.contiguous().mT)

    @classmethod
    def pack(cls, items: Sequence["Tokens"]) -> "Tokens":
        """Packs several batches into one batch; `items` is not empty."""
        if len(items) == 1:
            return items[0]
        return cls.from_rows(
            torch.cat([item.rows for item in items]),
            lengths=[n for item in items for n in item.lengths],
            positions=join_positions([item.positions for item in items]),
        )

    def unpack(self, counts: Sequence[int]) -> list["Tokens"]:
        """Splits a batch into batches of `counts` sequences each; the inverse of `pack`."""
        if len(counts) == 1:
            return [self]
        batches: list[Tokens] = []
        first = 0
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
        """Selects the columns [first, last) of every sequence, with the meaning of a slice."""
        return self.at(self.column_indices([(first, last)] * self.num_sequences))

    def column_indices(self, slices: Sequence[tuple[int | None, int | None]]) -> ColumnIndices:
        """Returns the indices of the columns [first, last) of each sequence.

        Args:
            slices: one pair (first, last) for each sequence, with the meaning of a slice.
        """
        starts = np.cumsum([0, *self.lengths])[:-1]
        ranges = [
            range(n)[first:last] for n, (first, last) in zip(self.lengths, slices, strict=True)
        ]
        indices = [
            start + np.arange(r.start, r.stop) for start, r in zip(starts, ranges, strict=True)
        ]
        order = np.concatenate(indices) if indices else np.zeros(0, np.int64)
        index = to_tensor(order).to(self.matrix.device, non_blocking=True)
        return ColumnIndices(index, tuple(len(r) for r in ranges))

    def at(self, indices: ColumnIndices, rows: Float[Tensor, "R D2"] | None = None) -> "Tokens":
        """Selects columns.

        Args:
            indices: which columns.
            rows: new contents of the selected columns; by default their contents here.
        """
        if rows is None:
            rows = self.rows.index_select(0, indices.index)
        return Tokens.from_rows(
            rows, indices.lengths, self.positions.index_select(1, indices.index)
        )

    def split(self) -> list["Tokens"]:
        """Returns one Tokens for each sequence."""
        return self.unpack([1] * self.num_sequences)

    @classmethod
    def concat(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """Joins several batches of S sequences each, sequence by sequence.

        Sequence s of the result is sequence s of the first part, then that of the second part, and
        so on. Any of them may be empty.
        """
        if len(parts) == 1:
            return parts[0]
        # a part without tokens is joined too, so that autograd still reaches its parameters
        rows = torch.cat([part.rows for part in parts])
        positions = join_positions([part.positions for part in parts])
        lengths = np.array([part.lengths for part in parts], dtype=np.int64)  # (parts, S)
        starts = (lengths.cumsum() - lengths.ravel()).reshape(lengths.shape)
        ranges = [
            np.arange(start, start + n)
            for start, n in zip(starts.T.ravel(), lengths.T.ravel(), strict=True)
            if n
        ]
        order = np.concatenate(ranges) if ranges else np.zeros(0, np.int64)
        if not np.array_equal(order, np.arange(len(order))):
            index = to_tensor(order).to(rows.device, non_blocking=True)
            rows, positions = rows.index_select(0, index), positions.index_select(1, index)
        return cls.from_rows(rows, lengths=lengths.sum(0).tolist(), positions=positions)
