"""The kernel of sequences whose lengths differ much, and how their groups are chosen."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unitf.core.attention.kernel import Kernel
from unitf.core.attention.packing import Sorting
from unitf.core.attention.sdpa import AttentionSpec
from unitf.core.uncompiled import uncompiled

_MAX_CUTS = 64  # cuts between groups that are tried; trying all of them takes a millisecond


class Grouped:
    """Attention of sequences in groups of similar lengths, each group by a kernel of its own.

    Args:
        groups: the numbers of the sequences of each group.
        make: makes the kernel of one group.
    """

    def __init__(
        self,
        pattern: AttentionSpec,
        groups: Sequence[Sequence[int]],
        device: torch.device,
        make: Callable[[AttentionSpec], Kernel],
    ) -> None:
        same = pattern.query_lengths == pattern.key_lengths
        self.queries: Sorting = Sorting(pattern.query_lengths, groups, device)
        self.keys: Sorting = self.queries if same else Sorting(pattern.key_lengths, groups, device)
        positions = pattern.positions
        parts: Sequence[Tensor | None] = [None] * len(groups)
        if positions is not None:
            parts = [part.mT for part in self.queries.apart(positions.mT)]
        self.kernels: list[Kernel] = []
        for members, part in zip(groups, parts, strict=True):
            lengths, key_lengths = (
                tuple(all_lengths[number] for number in members)
                for all_lengths in (pattern.query_lengths, pattern.key_lengths)
            )
            group_pattern = replace(
                pattern, query_lengths=lengths, key_lengths=key_lengths, positions=part
            )
            self.kernels.append(make(group_pattern))

    @uncompiled  # every number of groups would be compiled anew
    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.queries.apart(q), self.keys.apart(k), self.keys.apart(v), strict=True)
        outs = [kernel(*part) for kernel, part in zip(self.kernels, parts, strict=True)]
        return self.queries.together(outs)


def group(pairs: Sequence[tuple[int, int]], separate: int) -> list[list[int]]:
    """Returns the numbers of the sequences that are best padded together.

    Sorted by length, the sequences are cut into groups where the sum of all costs is least. A
    padded token costs as much as 25 scores (measured on CPU, with heads of 32 numbers).

    Args:
        pairs: the query length and the key length of each sequence.
        separate: what one more group costs, in scores.
    """
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    lengths = np.array([pairs[number] for number in order])
    changes = np.flatnonzero((lengths[1:] != lengths[:-1]).any(1)) + 1
    cuts = np.array([0, *changes[:: len(changes) // _MAX_CUTS + 1], len(order)])
    best, begin = np.zeros(len(cuts)), np.zeros(len(cuts), int)
    for end in range(1, len(cuts)):
        queries = lengths[cuts[end] - 1, 0]  # the longest of those before the cut
        highest = np.maximum.reduceat(lengths[: cuts[end], 1], cuts[:end])
        keys = np.maximum.accumulate(highest[::-1])[::-1]
        cost_of_each = queries * keys + 25 * (queries + keys)
        costs = best[:end] + (cuts[end] - cuts[:end]) * cost_of_each + separate
        begin[end] = costs.argmin()
        best[end] = costs[begin[end]]
    groups: list[list[int]] = []
    end = len(cuts) - 1
    while end > 0:
        groups.append(order[cuts[begin[end]] : cuts[end]])
        end = int(begin[end])
    return groups[::-1]
