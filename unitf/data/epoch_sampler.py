"""Order: which samples each process has at each step, as a pure function of seed and epoch."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from unitf.data.seeding import mix
from unitf.errors import UserError


class SampleIndex(NamedTuple):
    """One sample of a batch: the how-manieth pass over which source, and the sample's number."""

    source: int
    epoch: int
    index: int


class EpochSampler:
    """The batches of one process, step by step; every process has equally many.

    The batches of all processes together are one global batch, of which each takes its share, so
    the samples of a step do not depend on how many processes there are, only on
    `size` × `world`.

    Training: a source is read in passes, each a new permutation of all its samples. An epoch takes
    from each source as many as its weight says and goes on next time where it stopped, so rare
    samples are repeated evenly and plentiful ones are all seen in the end.
    Evaluation: every sample once, in the order of the sources (with `lengths`: by length); a batch
    may be empty.

    Args:
        counts: how many samples each source has.
        size: of a process's batch: samples, or tokens if `lengths` are given.
        lengths: the tokens of each sample, for each source.
        weights: each source's share of an epoch; by default its share of the samples.
        seed: of the permutations; None for evaluation.
        rank, world: the number of this process, and how many there are.
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
        self.counts = list(counts)
        self.size, self.lengths = size, lengths
        self.seed = seed
        self.rank, self.world = rank, world
        self.start: tuple[int, int] = (0, 0)  # epoch and step at which the next iteration begins
        total = sum(self.counts)
        shares = [count / total for count in self.counts] if weights is None else weights
        self.shares = [round(total * share / sum(shares)) for share in shares]
        self.num_steps = self._count_steps()

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
        """All that an epoch draws, in order: a Draw a row."""
        blocks = []
        for source, (count, share) in enumerate(zip(self.counts, self.shares, strict=True)):
            first, last = epoch * share, (epoch + 1) * share
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
        """The rows of `draws` in each batch of this process."""
        rows = np.resize(np.arange(len(indices)), self._usable(len(indices)))
        whole = self.size * self.world
        return [rows[s * whole : (s + 1) * whole][self.rank :: self.world] for s in self._steps()]

    def _usable(self, count: int) -> int:
        """Training: equal shares for all; up to world - 1 samples wait for another epoch."""
        return count if self.seed is None else max(count - count % self.world, self.world)

    def _by_tokens(self, indices: np.ndarray, epoch: int) -> list[np.ndarray]:
        """Batches of about equal length: each has one sample of the longest, one of the next …

        The longest `num_batches` samples go to one batch each, in random order, then the next
        ones, and so on. So no batch is longer than the longest of each layer together, which
        does not depend on the epoch: the number of steps never changes, no batch exceeds the
        budget, and all processes have as much to do.
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
            mine = indices[:, 0] == source
            lengths[mine] = known[indices[mine, 2]]
        return lengths

    def _steps(self) -> range:
        return range(self.num_steps)

    def _count_steps(self) -> int:
        total = sum(self.shares)
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
        """The longest lengths that an epoch can draw of a source."""
        assert self.lengths is not None
        count, share = self.counts[source], self.shares[source]
        if count == 0 or share == count:
            return np.asarray(self.lengths[source])
        turns = -(-share // count) + 1  # a pass may begin in one epoch and end in the next
        return np.sort(np.tile(self.lengths[source], turns))[::-1][:share]
