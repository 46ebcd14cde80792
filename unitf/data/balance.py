"""Balance: training samples drawn so that rare classes come more often."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unitf.batch import Sample
from unitf.data.epoch_sampler import EpochSampler, SampleIndex
from unitf.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Balance:
    """Draws the training samples of each source by class.

    An epoch has as many samples as before. The samples of a class are all drawn once before one of
    them is drawn again, also over epochs.

    Args:
        column: the column of the classes.
        strength: 1 draws each class equally often, 0 as often as it occurs; a class of n samples
            is drawn in proportion to n^(1 - strength).
    """

    column: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UserError(
                f"data.balance.strength: expected a number from 0 to 1, found {self.strength}"
            )

    def classes(self, samples: Sequence[Sample], location: str) -> list[np.ndarray]:
        """Returns the indices of the samples of each class.

        Raises:
            UserError: a sample lacks the column, or its value is no single class.
        """
        by_class: dict[str, list[int]] = {}
        for index in range(len(samples)):
            sample = samples[index]
            if (value := sample.get(self.column)) is None:
                known = did_you_mean(self.column, sample)
                raise UserError(f"data.balance: {location}[{index}] has no {self.column}{known}")
            if not isinstance(value, Hashable) or isinstance(value, tuple):
                raise UserError(
                    f"data.balance: {location}[{index}] has a {type(value).__name__} of "
                    f"{self.column}, expected one class"
                )
            by_class.setdefault(" ".join(str(value).split()), []).append(index)
        return [np.array(by_class[name]) for name in sorted(by_class)]


class BalancedSampler(EpochSampler):
    """An EpochSampler whose sources are the classes of the real sources.

    Args:
        balance: how classes are drawn.
        samples: the training samples of each source, by its name.
        size, lengths, weights, seed, rank, world: as for EpochSampler, of the real sources.
    """

    def __init__(
        self,
        balance: Balance,
        samples: Mapping[str, Sequence[Sample]],
        size: int,
        lengths: Sequence[np.ndarray] | None,
        weights: Sequence[float] | None,
        seed: int | None,
        rank: int,
        world: int,
    ) -> None:
        self.groups: list[tuple[int, np.ndarray]] = [
            (source, indices)
            for source, (name, own) in enumerate(samples.items())
            for indices in balance.classes(own, name)
        ]
        numbers = [len(own) for own in samples.values()]
        if weights is None:
            weights = numbers
        powers = [len(indices) ** (1 - balance.strength) for _, indices in self.groups]
        totals = [
            sum(p for p, (owner, _) in zip(powers, self.groups, strict=True) if owner == source)
            for source in range(len(numbers))
        ]
        super().__init__(
            [len(indices) for _, indices in self.groups],
            size,
            lengths=self._of_groups(lengths),
            weights=[
                weights[source] * power / totals[source]
                for power, (source, _) in zip(powers, self.groups, strict=True)
            ],
            seed=seed,
            rank=rank,
            world=world,
        )

    def _of_groups(self, lengths: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
        if lengths is None:
            return None
        return [np.asarray(lengths[source])[indices] for source, indices in self.groups]

    def set_token_counts(self, count_tokens: Callable[[], Sequence[np.ndarray]]) -> None:
        """Sets what counts the tokens of an earlier stretch of batches by tokens."""
        self.count_tokens = lambda: self._of_groups(count_tokens()) or []

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for batch in super().__iter__():
            yield [
                SampleIndex(source, epoch, int(indices[index]))
                for group, epoch, index in batch
                for source, indices in [self.groups[group]]
            ]
