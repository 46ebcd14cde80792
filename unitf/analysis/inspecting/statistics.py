"""Counts what packed batches hold; the results are plain data."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TypedDict

import numpy as np

from unitf.analysis.inspecting.packed import PackedBatch
from unitf.batch import Batch


class LengthStatistics(TypedDict):
    """How many sequences there are, and how long they are, in tokens."""

    sequences: int
    tokens: int
    shortest: int
    median: float
    longest: int


class ColumnStatistics(LengthStatistics):
    """The sequences of one column, and the lowest and highest position along each axis."""

    positions: list[list[float]]


class AttentionStatistics(TypedDict):
    """One way to attend: its kind, which tokens a token sees, its kernel; in how many batches."""

    kind: str
    sees: str
    kernel: str
    batches: int


class MatrixStatistics(LengthStatistics):
    """One matrix that the core reads, over all batches; `padding_avoided` is from 0 to 1."""

    name: str
    dim: int
    padded_tokens: int
    padding_avoided: float
    columns: dict[str, ColumnStatistics]
    attention: list[AttentionStatistics]


class TaskStatistics(TypedDict):
    """The samples of one task, and how many of them brought which columns."""

    samples: int
    brought: dict[str, int]


class BatchStatistics(TypedDict):
    """What some batches hold; `padding_avoided` is from 0 to 1."""

    batches: int
    samples: int
    sequences: int
    tokens: int
    padded_tokens: int
    padding_avoided: float
    tasks: dict[str, TaskStatistics]
    matrices: list[MatrixStatistics]


def batch_statistics(batches: Sequence[tuple[Batch, list[PackedBatch]]]) -> BatchStatistics:
    """Counts what some batches hold, and what the core reads of them.

    Tokens are the columns that the core reads, learned columns (a class token) included.
    """
    groups = [
        [packed for packed in group if packed is not None]
        for group in zip_longest(*(matrices for _, matrices in batches))
    ]
    everything = [packed for group in groups for packed in group]
    padded = sum(packed.num_padded for packed in everything)
    tokens = sum(packed.num_tokens for packed in everything)
    return {
        "batches": len(batches),
        "samples": sum(batch.num_samples for batch, _ in batches),
        "sequences": sum(len(packed.lengths) for packed in everything),
        "tokens": tokens,
        "padded_tokens": padded,
        "padding_avoided": avoided(tokens, padded),
        "tasks": _tasks([batch for batch, _ in batches]),
        "matrices": [_matrix(group) for group in groups],
    }


def avoided(tokens: int, padded: int) -> float:
    """Returns the fraction of the padded tokens that are padding."""
    return 1 - tokens / padded if padded else 0.0


def _tasks(batches: Sequence[Batch]) -> dict[str, TaskStatistics]:
    """Counts the samples of each task, and how many brought which columns."""
    return {
        name: {
            "samples": sum(batch.task_batches[name].num_samples for batch in batches),
            "brought": dict(
                Counter(m for batch in batches for m in batch.task_batches[name].modalities)
            ),
        }
        for name in batches[0].task_batches
    }


def _matrix(group: Sequence[PackedBatch]) -> MatrixStatistics:
    """Counts one matrix; `group` holds it for each batch."""
    lengths = [length for packed in group for length in packed.lengths]
    tokens, padded = sum(lengths), sum(packed.num_padded for packed in group)
    names = list(dict.fromkeys(name for packed in group for name in packed.names))
    columns = {name: _column(name, group) for name in names}
    attentions = Counter((a.kind, a.sees, a.kernel) for packed in group for a in packed.attentions)
    return {
        "name": group[0].name,
        "dim": group[0].dim,
        **_lengths(np.array(lengths, int)),
        "padded_tokens": padded,
        "padding_avoided": avoided(tokens, padded),
        "columns": {name: counts for name, counts in columns.items() if counts is not None},
        "attention": [
            {"kind": kind, "sees": sees, "kernel": kernel, "batches": count}
            for (kind, sees, kernel), count in attentions.items()
        ],
    }


def _lengths(lengths: np.ndarray) -> LengthStatistics:
    """Counts some sequences by their lengths."""
    if not len(lengths):
        return {"sequences": 0, "tokens": 0, "shortest": 0, "median": 0.0, "longest": 0}
    return {
        "sequences": len(lengths),
        "tokens": int(lengths.sum()),
        "shortest": int(lengths.min()),
        "median": float(np.median(lengths)),
        "longest": int(lengths.max()),
    }


def _column(name: str, group: Sequence[PackedBatch]) -> ColumnStatistics | None:
    """Counts the tokens of one column; None: there are none."""
    counts, positions = [], []
    for packed in group:
        if name in packed.names:
            number = packed.names.index(name)
            counts.append(packed.lengths_of(number))
            positions.append(packed.positions[:, packed.columns == number])
    lengths = np.concatenate(counts) if counts else np.zeros(0, int)
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return None
    ranges = []
    for axis in range(max(packed.num_axes.get(name, 0) for packed in group)):
        along = np.concatenate([part[axis] for part in positions if len(part) > axis])
        ranges.append([float(along.min()), float(along.max())])
    return {**_lengths(lengths), "positions": ranges}
