"""Tokens and Features: the two data structures that the parts of unitf exchange.

The columns of a D×N matrix lie one after the other in memory, which is torch's contiguous (N, D)
byte for byte. Only this module depends on that layout: all other code uses `rows` or `matrix`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

RawValue: TypeAlias = Any  # the value of a column: a text, a number, an array, the path of a file


def to_offsets(lengths: Sequence[int], device: torch.device | None = None) -> Int[Tensor, " S1"]:
    """Returns S + 1 offsets: where each sequence begins, and where the last one ends."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def _order(lengths: Sequence[int], device: torch.device) -> Float[Tensor, "1 N"]:
    """Returns the positions 0, 1, 2, … within each sequence."""
    if len(lengths) == 1:
        return torch.arange(lengths[0], dtype=torch.float32, device=device)[None]
    counts = [np.arange(n, dtype=np.float32) for n in lengths]
    order = np.concatenate(counts) if counts else np.zeros(0, np.float32)
    return _to_tensor(order)[None].to(device)


def _to_tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType]


def _join_positions(positions: list[Float[Tensor, "_ _"]]) -> Float[Tensor, "P N"]:
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
            positions = _order(lengths, values.device)
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
            positions=_join_positions([item.positions for item in items]),
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
            positions=_order(lengths, rows.device) if positions is None else positions,
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
            positions=_join_positions([item.positions for item in items]),
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
        index = _to_tensor(order).to(self.matrix.device, non_blocking=True)
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
        positions = _join_positions([part.positions for part in parts])
        lengths = np.array([part.lengths for part in parts], dtype=np.int64)  # (parts, S)
        starts = (lengths.cumsum() - lengths.ravel()).reshape(lengths.shape)
        ranges = [
            np.arange(start, start + n)
            for start, n in zip(starts.T.ravel(), lengths.T.ravel(), strict=True)
            if n
        ]
        order = np.concatenate(ranges) if ranges else np.zeros(0, np.int64)
        if not np.array_equal(order, np.arange(len(order))):
            index = _to_tensor(order).to(rows.device, non_blocking=True)
            rows, positions = rows.index_select(0, index), positions.index_select(1, index)
        return cls.from_rows(rows, lengths=lengths.sum(0).tolist(), positions=positions)
