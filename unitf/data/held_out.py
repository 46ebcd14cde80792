"""Draws samples for validation and for a test, by a hash of each sample and within each class."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unitf.batch import Sample

_SHOWN = 200  # characters of a target that tell classes apart


def held_out(
    samples: Sequence[Sample],
    fractions: Mapping[str, float],
    targets: Sequence[str] = (),
    root: Path | None = None,
) -> dict[str, np.ndarray]:
    """Returns the numbers of the samples of each split; the rest is "train".

    A sample stays in its split wherever it stands in the data, and (nearly always) when others are
    added: within each class the samples with the lowest hashes are drawn. Equal samples stay
    together.

    Args:
        samples: the training samples.
        fractions: the fraction of each split.
        targets: columns that may hold the class; the first that a sample has counts.
        root: the folder of the data, which is no part of what a sample is.
    """
    begin = "" if root is None else f"{root}/"
    classes: dict[str, list[tuple[bytes, int]]] = {}
    for index in range(len(samples)):
        sample = samples[index]
        classes.setdefault(_class_of(sample, targets), []).append((_hash(sample, begin), index))
    taken: dict[str, list[int]] = {split: [] for split in ("train", *fractions)}
    before = 0
    for name in sorted(classes):
        hashed = sorted(classes[name])
        first, share = 0, 0.0
        for split, fraction in fractions.items():
            share += fraction
            wanted = math.floor((before + len(hashed)) * share) - math.floor(before * share)
            last = _end(hashed, max(first, wanted))
            taken[split] += [index for _, index in hashed[first:last]]
            first = last
        taken["train"] += [index for _, index in hashed[first:]]
        before += len(hashed)
    return {split: np.sort(np.array(indices, int)) for split, indices in taken.items()}


def _end(hashed: Sequence[tuple[bytes, int]], last: int) -> int:
    """Returns where the equal samples end that a cut would part."""
    while 0 < last < len(hashed) and hashed[last][0] == hashed[last - 1][0]:
        last += 1
    return last


def _class_of(sample: Sample, targets: Sequence[str]) -> str:
    values = (sample.get(target) for target in targets)
    return str(next((value for value in values if value is not None), ""))[:_SHOWN]


def _hash(sample: Sample, begin: str) -> bytes:
    """Returns the hash of a sample; a path counts from the folder of the data."""
    digest = hashlib.blake2b(digest_size=8)
    for column in sorted(sample):
        value = sample[column]
        digest.update(column.encode() + b"\0")
        if isinstance(value, bytes):
            digest.update(value)
        elif isinstance(value, np.ndarray):
            digest.update(str(value.shape).encode() + np.ascontiguousarray(value).tobytes())
        else:
            digest.update(str(value).removeprefix(begin).encode(errors="replace"))
        digest.update(b"\0")
    return digest.digest()
