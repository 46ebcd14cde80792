"""Token offsets: which of the core's columns are the tokens of which input."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unitf.batch import TaskBatch
from unitf.features import Features
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens


def lengths_of(features: Features) -> np.ndarray:
    """Returns the number of tokens of each sequence."""
    return np.array(features.lengths, dtype=np.int64)


def runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the integers start, start + 1, … of each run, all runs joined.

    Args:
        starts: the first integer of each run.
        counts: the length of each run.
    """
    before = counts.cumsum() - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def first_offsets(
    columns: Tokens,
    batch: TaskBatch,
    inputs: Mapping[str, str],
    tokenizers: Mapping[str, Tokenizer],
) -> dict[str, np.ndarray]:
    """Returns for each input the column index of the first token of each sequence.

    Args:
        columns: the core's columns. Each sequence ends with the inputs in their order, each with
            its prefix; a class token may come before them.
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
    """Returns the columns of an input's tokens, one token in each row.

    Args:
        first: the column index of each sequence's first token; see `first_offsets`.
        shift: what is added to each column index; -1: the column before each token.
    """
    index = torch.from_numpy(runs(first + shift, lengths_of(features)))
    return columns.rows.index_select(0, index.to(columns.matrix.device, non_blocking=True))


def input_rows(
    columns: Tokens,
    batch: TaskBatch,
    inputs: Mapping[str, str],
    tokenizers: Mapping[str, Tokenizer],
    column: str,
) -> Float[Tensor, "N D"]:
    """Returns the core's columns of the tokens of one input of a task, one token in each row.

    Args:
        columns: the core's columns of all inputs.
        inputs: column of the samples → name of its tokenizer.
        column: the input.
    """
    first = first_offsets(columns, batch, inputs, tokenizers)[column]
    return rows_of(columns, batch.features[column], first)


def members(features: Features) -> Int[Tensor, " N"]:
    """Returns for each token the index of its sequence."""
    return _owners(lengths_of(features))


def sums(values: Float[Tensor, " N"], counts: np.ndarray) -> Float[Tensor, " S"]:
    """Returns the sum over the tokens of each sequence; `counts` are their numbers."""
    totals = values.new_zeros(len(counts))
    return totals.index_add(0, _owners(counts).to(values.device), values)


def _owners(counts: np.ndarray) -> Int[Tensor, " N"]:
    return torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
