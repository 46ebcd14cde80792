"""Checks of what a source gave for a split."""

import pickle
from collections.abc import Mapping, Sequence

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.errors import UserError


def check_samples(source: Source, split: str, samples: object) -> Sequence[Sample]:
    """Returns the samples that a source gave.

    Raises:
        UserError: they are no sequence.
    """
    if not isinstance(samples, Sequence) or isinstance(samples, str | bytes):
        raise UserError(
            f"read({split!r}) of {type(source).__name__}: "
            f"found {'None' if samples is None else type(samples).__name__}, "
            "expected a sequence of dictionaries"
        )
    return samples


def shared_with(
    source: Source, split: str, samples: Sequence[Sample], others: Mapping[str, Sequence[Sample]]
) -> str:
    """Returns a line that says which other split has the same samples; empty if none has."""
    for other, read in others.items():
        if same_samples(samples, read):
            return (
                f"the splits {other} and {split} have the same samples: "
                f"does {type(source).__name__}.read use `split`?"
            )
    return ""


def same_samples(one: Sequence[object], other: Sequence[object]) -> bool:
    """Returns whether two splits are the same samples, as if a source ignored the split.

    Lists are compared by their length and some samples; of other sequences, which may read files,
    only the identity is known.
    """
    if one is other:
        return len(one) > 0
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other):
        return False
    indices = sorted({0, len(one) // 2, len(one) - 1}) if len(one) > 1 else []
    return bool(indices) and all(_same(one[index], other[index]) for index in indices)


def _same(one: object, other: object) -> bool:
    return one is other or pickle.dumps(one) == pickle.dumps(other)
