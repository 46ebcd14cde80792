"""EpochSampler: the samples of each process at each step, a pure function of seed and epoch."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from unitf.data.seeding import mix
from unitf.errors import UserError


class SampleIndex(NamedTuple):
    """One sample of a batch."""

    source: int  # the number of its source
    epoch: int  # the number of the pass over the source
    index: int  # the number of the sample in the source


class Stretch(NamedTuple):
    """A part of an epoch whose batches were made in one way."""

    size: int  # of the batch of one process, in samples or tokens
    tokens: bool  # whether `size` is a number of tokens
    accumulation: int  # the number of batches of an optimizer step
    world: int  # the number of processes
    steps: int  # how many batches of each process were trained on
    of: int  # how many there were, from the first of the stretch to the end of the epoch


class EpochStart(NamedTuple):
    """Where the batches of an epoch begin."""

    epoch: int = 0
    step: int = 0  # the first batch, counted from the end of the earlier stretches
    earlier: tuple[Stretch, ...] = ()  # the batches of the epoch that were made in other ways


_Lengths: TypeAlias = Sequence[np.ndarray]  # for each source, the tokens of each sample


class EpochSampler:
    """The batches of one process, step by step; every process has the same number of batches.

    The batches of all processes are parts of one global batch. So the samples of a step depend on
    `size` × `world`, and not on the number of processes.

    Training: a source is read in passes, each a new permutation of all its samples. An epoch draws
    from each source according to its weight, and the next epoch continues where it stopped. So
    samples of a small source are repeated evenly, and every sample of a large one is seen in time.
    If a run goes on in the middle of an epoch with other batches or another number of processes,
    the samples that the earlier stretches of the epoch have left are arranged anew, each once.
    Evaluation: every sample once, in the order of the sources (with `lengths`: by length).
    A batch is empty where no sample is left for a process.

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
        lengths: _Lengths | None = None,
        weights: Sequence[float] | None = None,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.counts: list[int] = list(counts)
        self.size: int = size
        self.lengths: _Lengths | None = lengths
        # returns the lengths for an earlier stretch of batches by tokens, if `lengths` is None
        self.count_tokens: Callable[[], _Lengths] | None = None
        self.seed: int | None = seed
        self.rank: int = rank
        self.world: int = world
        self.start: EpochStart = EpochStart()  # where the next iteration begins
        total = sum(self.counts)
        ratios = [count / total for count in self.counts] if weights is None else weights
        # the number of samples that an epoch draws from each source
        self.drawn: list[int] = [round(total * ratio / sum(ratios)) for ratio in ratios]
        self.num_steps: int = self._count_steps()

    def set_token_counts(self, count_tokens: Callable[[], _Lengths]) -> None:
        """Sets what counts the tokens of an earlier stretch of batches by tokens."""
        self.count_tokens = count_tokens

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        epoch, first, earlier = EpochStart(*self.start)
        indices = self.left_indices(epoch, earlier)
        for batch in self._batches(indices, epoch, whole=not earlier)[first:]:
            yield [SampleIndex(*row) for row in indices[batch].tolist()]

    @property
    def identity(self) -> tuple[int, ...]:
        """The numbers that the order of the samples of an epoch depends on."""
        return (-1 if self.seed is None else self.seed, *self.counts, *self.drawn)

    def num_steps_left(self, epoch: int, earlier: Sequence[Stretch]) -> int:
        """Returns the number of steps for what earlier stretches of an epoch have left of it."""
        if not earlier:
            return self.num_steps
        return self._num_steps_of(self.left_indices(epoch, earlier))

    def left_indices(self, epoch: int, earlier: Sequence[Stretch]) -> np.ndarray:
        """Returns the rows of `sample_indices` that earlier stretches have left, in order."""
        indices = self.sample_indices(epoch)
        for number, stretch in enumerate(earlier):
            rows = self._rows_of(stretch, indices, epoch, whole=number == 0)
            indices = np.delete(indices, rows, axis=0)
        return indices

    def _rows_of(
        self, stretch: Stretch, indices: np.ndarray, epoch: int, whole: bool
    ) -> np.ndarray:
        """Returns the rows that the batches of all processes had in a stretch."""
        rows: list[np.ndarray] = []
        for rank in range(stretch.world):
            order = copy.copy(self)
            order.size, order.rank, order.world = stretch.size, rank, stretch.world
            order.lengths = self._known_lengths() if stretch.tokens else None
            order.num_steps = order._count_steps()
            rows += order._batches(indices, epoch, whole)[: stretch.steps]
        return np.concatenate([np.zeros(0, int), *rows])

    def _known_lengths(self) -> _Lengths:
        if self.lengths is not None:
            return self.lengths
        assert self.count_tokens is not None
        return self.count_tokens()

    def _batches(self, indices: np.ndarray, epoch: int, whole: bool) -> list[np.ndarray]:
        """Returns the rows of `indices` in each batch of this process.

        Args:
            whole: whether `indices` are all of the epoch, and not only what is left of it.
        """
        num_steps = self.num_steps if whole else self._num_steps_of(indices)
        if self.lengths is None:
            return self._by_samples(indices, num_steps)
        return self._by_tokens(indices, epoch, num_steps)

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

    def _by_samples(self, indices: np.ndarray, num_steps: int) -> list[np.ndarray]:
        rows = np.arange(len(indices))
        total = self.size * self.world
        return [
            rows[s * total : (s + 1) * total][self.rank :: self.world] for s in range(num_steps)
        ]

    def _by_tokens(self, indices: np.ndarray, epoch: int, num_steps: int) -> list[np.ndarray]:
        """Returns batches of about equal length.

        With B batches, the B longest samples go to one batch each, in random order; then the next
        B samples, and so on. So the longest possible batch has the longest sample of each of these
        layers, in every epoch: the number of steps never changes, no batch exceeds the budget, and
        all processes have the same amount of work.
        """
        lengths = self._lengths_of(indices)
        batches = num_steps * self.world
        by_length = np.argsort(-lengths, kind="stable")
        members: list[list[int]] = [[] for _ in range(batches)]
        for layer, first in enumerate(range(0, len(by_length), max(batches, 1))):
            rows = by_length[first : first + batches]
            # a short last layer goes to random batches, not always to the first ones
            batch_indices = self._permutation(batches, len(self.counts) + 1, epoch, layer)[
                : len(rows)
            ]
            for batch_index, row in zip(batch_indices.tolist(), rows.tolist(), strict=True):
                members[batch_index].append(row)
        return [np.array(members[s * self.world + self.rank], int) for s in range(num_steps)]

    def _lengths_of(self, indices: np.ndarray) -> np.ndarray:
        assert self.lengths is not None
        lengths = np.zeros(len(indices), int)
        for source, known in enumerate(self.lengths):
            of_source = indices[:, 0] == source
            lengths[of_source] = known[indices[of_source, 2]]
        return lengths

    def _num_steps_of(self, indices: np.ndarray) -> int:
        """Returns the number of steps for what is left of an epoch."""
        if self.lengths is None or len(indices) == 0:
            return -(-len(indices) // (self.size * self.world))
        return self._fewest_steps(np.sort(self._lengths_of(indices))[::-1])

    def _count_steps(self) -> int:
        """Returns the number of steps of each whole epoch."""
        if self.lengths is None:
            return -(-sum(self.drawn) // (self.size * self.world))
        worst = np.sort(np.concatenate([self._longest(s) for s in range(len(self.counts))]))[::-1]
        if len(worst) == 0:
            return 0
        if worst[0] > self.size:
            raise UserError(
                f"a sample has {worst[0]} tokens, more than tokens_per_batch {self.size}"
            )
        return self._fewest_steps(worst)

    def _fewest_steps(self, worst: np.ndarray) -> int:
        """Returns the fewest steps at which no batch of these lengths can exceed the budget."""
        low, high = 1, -(-len(worst) // self.world)
        while low < high:
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
