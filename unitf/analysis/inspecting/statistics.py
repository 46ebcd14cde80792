"""Figures of packed batches, as plain data."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from unitf.analysis.inspecting.packed import PackedBatch
from unitf.batch import Batch


def batch_statistics(batches: Sequence[tuple[Batch, list[PackedBatch]]]) -> dict[str, Any]:
    """What some batches hold, and what the core reads of them.

    Tokens are the columns that the core reads, also those that are learned (a class token).
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
    """The share of the padded tokens that are padding."""
    return 1 - tokens / padded if padded else 0.0


def _tasks(batches: Sequence[Batch]) -> dict[str, Any]:
    """Of each task its samples, and how many brought which columns."""
    return {
        name: {
            "samples": sum(batch.task_batches[name].num_samples for batch in batches),
            "brought": dict(
                Counter(m for batch in batches for m in batch.task_batches[name].modalities)
            ),
        }
        for name in batches[0].task_batches
    }


def _matrix(group: Sequence[PackedBatch]) -> dict[str, Any]:
    """Of one matrix, in each of the batches."""
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
        "columns": {name: found for name, found in columns.items() if found},
        "attention": [
            {"kind": kind, "sees": sees, "kernel": kernel, "batches": count}
            for (kind, sees, kernel), count in attentions.items()
        ],
    }


def _lengths(lengths: np.ndarray) -> dict[str, Any]:
    """Of some sequences."""
    if not len(lengths):
        return {"sequences": 0, "tokens": 0, "shortest": 0, "median": 0.0, "longest": 0}
    return {
        "sequences": len(lengths),
        "tokens": int(lengths.sum()),
        "shortest": int(lengths.min()),
        "median": float(np.median(lengths)),
        "longest": int(lengths.max()),
    }


def _column(name: str, group: Sequence[PackedBatch]) -> dict[str, Any]:
    """Of the tokens of one column; nothing where there are none."""
    counts, positions = [], []
    for packed in group:
        if name in packed.names:
            number = packed.names.index(name)
            counts.append(packed.lengths_of(number))
            positions.append(packed.positions[:, packed.columns == number])
    lengths = np.concatenate(counts) if counts else np.zeros(0, int)
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return {}
    ranges = []
    for axis in range(max(packed.num_axes.get(name, 0) for packed in group)):
        along = np.concatenate([part[axis] for part in positions if len(part) > axis])
        ranges.append([float(along.min()), float(along.max())])
    return {**_lengths(lengths), "positions": ranges}
