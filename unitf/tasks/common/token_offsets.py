"""Places: which of the core's columns are the tokens of which input."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unitf.batch import TaskBatch
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens


def lengths_of(features: Features) -> np.ndarray:
    """How many tokens each sequence has."""
    return np.array(features.lengths, dtype=np.int64)


def runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start, start + 1, … of each run, one run after the other."""
    before = counts.cumsum() - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def first_offsets(
    columns: Tokens,
    batch: TaskBatch,
    inputs: Mapping[str, str],
    tokenizers: Mapping[str, Tokenizer],
) -> dict[str, np.ndarray]:
    """For each input, at which column the first token of each sequence stands.

    Args:
        columns: in which the inputs are joined in their order, each with its prefix, at the end of
            each sequence (a class token may stand before them).
        inputs: column of the samples → name of its tokenizer.
    """
    ends = np.cumsum(np.array(columns.lengths, dtype=np.int64))
    offsets = {}
    for column, name in reversed(list(inputs.items())):
        features = batch.features[column]
        offsets[column] = ends - lengths_of(features)
        ends = ends - np.array(tokenizers[name].num_columns(features), dtype=np.int64)
    return offsets


def rows_of(
    columns: Tokens, features: Features, first: np.ndarray, shift: int = 0
) -> Float[Tensor, "N D"]:
    """The columns of an input's tokens, a token a row.

    Args:
        first: see `first_offsets`.
        shift: so many columns further; -1: the column before each token.
    """
    index = torch.from_numpy(runs(first + shift, lengths_of(features)))
    return columns.rows.index_select(0, index.to(columns.matrix.device, non_blocking=True))


def members(features: Features) -> Int[Tensor, " N"]:
    """The number of the sequence that each token belongs to."""
    return _owners(lengths_of(features))


def sums(values: Float[Tensor, " N"], counts: np.ndarray) -> Float[Tensor, " S"]:
    """Of each sequence the sum over so many tokens."""
    totals = values.new_zeros(len(counts))
    return totals.index_add(0, _owners(counts).to(values.device), values)


def _owners(counts: np.ndarray) -> Int[Tensor, " N"]:
    return torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
