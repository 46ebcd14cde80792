"""EpochSampler: the samples of each process at each step, a pure function of seed and epoch."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from unitf.data.seeding import mix
from unitf.errors import UserError


class SampleIndex(NamedTuple):
    """One sample of a batch."""

    source: int  # the number of its source
    epoch: int  # the number of the pass over the source
    index: int  # the number of the sample in the source


class EpochSampler:
    """The batches of one process, step by step; every process has the same number of batches.

    The batches of all processes are parts of one global batch. So the samples of a step depend on
    `size` × `world`, and not on the number of processes.

    Training: a source is read in passes, each a new permutation of all its samples. An epoch draws
    from each source according to its weight, and the next epoch continues where it stopped. So
    samples of a small source are repeated evenly, and every sample of a large one is seen in time.
    Evaluation: every sample once, in the order of the sources (with `lengths`: by length); a batch
    may be empty.

    Args:
        counts: the number of samples of each source.
        size: of the batch of one process, in samples; in tokens if `lengths` are given.
        lengths: for each source, the number of tokens of each sample.
        weights: the relative number of samples of each source in an epoch; by default `counts`.
        seed: of the permutations; None for evaluation.
        rank: the number of this process.
        world: the number of processes.
    """

    def __init__(
        self,
        counts: Sequence[int],
        size: int,
        lengths: Sequence[np.ndarray] | None = None,
        weights: Sequence[float] | None = None,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.counts: list[int] = list(counts)
        self.size: int = size
        self.lengths: Sequence[np.ndarray] | None = lengths
        self.seed: int | None = seed
        self.rank: int = rank
        self.world: int = world
        self.start: tuple[int, int] = (0, 0)  # epoch and step at which the next iteration begins
        total = sum(self.counts)
        ratios = [count / total for count in self.counts] if weights is None else weights
        # the number of samples that an epoch draws from each source
        self.drawn: list[int] = [round(total * ratio / sum(ratios)) for ratio in ratios]
        self.num_steps: int = self._count_steps()

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        epoch, first = self.start
        indices = self.sample_indices(epoch)
        batches = (
            self._by_samples(indices) if self.lengths is None else self._by_tokens(indices, epoch)
        )
        for step in range(first, self.num_steps):
            yield [SampleIndex(*row) for row in indices[batches[step]].tolist()]

    def sample_indices(self, epoch: int) -> np.ndarray:
        """Returns the samples of an epoch in order: one SampleIndex a row, of shape (N, 3)."""
        blocks = []
        for source, (count, drawn) in enumerate(zip(self.counts, self.drawn, strict=True)):
            first, last = epoch * drawn, (epoch + 1) * drawn
            for turn in range(first // max(count, 1), -(-last // max(count, 1))):
                begin, end = max(first - turn * count, 0), min(last - turn * count, count)
                index = self._permutation(count, source, turn)[begin:end]
                blocks.append(
                    np.stack([np.full_like(index, source), np.full_like(index, turn), index], 1)
                )
        indices = np.concatenate(blocks)
        return indices[self._permutation(len(indices), len(self.counts), epoch)]

    def _permutation(self, count: int, *key: int) -> np.ndarray:
        if self.seed is None:
            return np.arange(count)
        return np.random.default_rng(mix(self.seed, *key)).permutation(count)

    def _by_samples(self, indices: np.ndarray) -> list[np.ndarray]:
        """Returns the rows of `indices` in each batch of this process."""
        rows = np.resize(np.arange(len(indices)), self._usable(len(indices)))
        total = self.size * self.world
        return [rows[s * total : (s + 1) * total][self.rank :: self.world] for s in self._steps()]

    def _usable(self, count: int) -> int:
        """Returns how many samples are used: in training a multiple of `world`, else all."""
        return count if self.seed is None else max(count - count % self.world, self.world)

    def _by_tokens(self, indices: np.ndarray, epoch: int) -> list[np.ndarray]:
        """Returns batches of about equal length.

        With B batches, the B longest samples go to one batch each, in random order; then the next
        B samples, and so on. So the longest possible batch has the longest sample of each of these
        layers, in every epoch: the number of steps never changes, no batch exceeds the budget, and
        all processes have the same amount of work.
        """
        lengths = self._lengths_of(indices)
        batches = self.num_steps * self.world
        by_length = np.argsort(-lengths, kind="stable")
        members: list[list[int]] = [[] for _ in range(batches)]
        for layer, first in enumerate(range(0, len(by_length), batches)):
            rows = by_length[first : first + batches]
            # a short last layer goes to random batches, not always to the first ones
            batch_indices = self._permutation(batches, len(self.counts) + 1, epoch, layer)[
                : len(rows)
            ]
            for batch_index, row in zip(batch_indices.tolist(), rows.tolist(), strict=True):
                members[batch_index].append(row)
        if self.seed is not None:
            for batch_index in range(batches):  # fewer samples than processes
                members[batch_index] = members[batch_index] or [
                    int(by_length[batch_index % len(by_length)])
                ]
        return [np.array(members[s * self.world + self.rank], int) for s in self._steps()]

    def _lengths_of(self, indices: np.ndarray) -> np.ndarray:
        assert self.lengths is not None
        lengths = np.zeros(len(indices), int)
        for source, known in enumerate(self.lengths):
            of_source = indices[:, 0] == source
            lengths[of_source] = known[indices[of_source, 2]]
        return lengths

    def _steps(self) -> range:
        return range(self.num_steps)

    def _count_steps(self) -> int:
        total = sum(self.drawn)
        if self.lengths is None:
            return -(-self._usable(total) // (self.size * self.world))
        worst = np.sort(np.concatenate([self._longest(s) for s in range(len(self.counts))]))[::-1]
        if len(worst) == 0:
            return 0
        if worst[0] > self.size:
            raise UserError(
                f"a sample has {worst[0]} tokens, more than tokens_per_batch {self.size}"
            )
        low, high = 1, -(-len(worst) // self.world)
        while low < high:  # the fewest steps at which no batch can exceed the budget
            middle = (low + high) // 2
            fits = worst[:: middle * self.world].sum() <= self.size
            low, high = (low, middle) if fits else (middle + 1, high)
        return low

    def _longest(self, source: int) -> np.ndarray:
        """Returns the largest lengths that an epoch can draw from a source."""
        assert self.lengths is not None
        count, drawn = self.counts[source], self.drawn[source]
        if count == 0 or drawn == count:
            return np.asarray(self.lengths[source])
        turns = -(-drawn // count) + 1  # a pass may begin in one epoch and end in the next
        return np.sort(np.tile(self.lengths[source], turns))[::-1][:drawn]
