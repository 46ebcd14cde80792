"""SampleDataset: the samples of one split of several sources, read one by one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import cast

from torch.utils.data import Dataset

from unitf.batch import Sample
from unitf.data.encoder import Item
from unitf.data.epoch_sampler import SampleIndex


class SampleDataset(Dataset[Item]):
    """The samples of one split of several sources, as Items.

    A sequence of samples may have optional methods: `name(index)` returns a name for messages (a
    file), `at(index, seed, epoch)` a training sample that differs from epoch to epoch, and
    `beside(index, name)` the path or the bytes of a file that a sample names (None: there is none).

    Args:
        split: the name of the split.
        sources: the samples of each source, by the name of the source.
        seed: for `at`.
        train: whether the samples are for training.
    """

    def __init__(
        self, split: str, sources: dict[str, Sequence[Sample]], seed: int = 0, train: bool = False
    ) -> None:
        self.split: str = split
        self.train: bool = train
        self.seed: int = seed
        self.counts: list[int] = [len(sequence) for sequence in sources.values()]
        self.offsets: list[int] = [sum(self.counts[:i]) for i in range(len(self.counts))]
        self._sources: list[str] = list(sources)
        self._readers = [
            (
                f"{name}/{split}",
                sequence,
                getattr(sequence, "name", None),
                getattr(sequence, "at", None) if train else None,
                getattr(sequence, "beside", None),
            )
            for name, sequence in sources.items()
        ]

    def __getitems__(self, indices: Sequence[SampleIndex]) -> list[Item]:
        return [self[sample_index] for sample_index in indices]

    def __getitem__(self, sample_index: SampleIndex) -> Item:
        source, epoch, index = sample_index
        name, sequence, file, at, beside = self._readers[source]
        name = f"{name}[{index}]"
        sample: Sample = {}
        error = called = ""
        try:
            if file is not None and (called := file(index)):
                name = f"{name} ({called})"
                called = called if len(self._readers) == 1 else f"{self._sources[source]}: {called}"
            sample = sequence[index] if at is None else at(index, self.seed, epoch)
            if not isinstance(cast(object, sample), Mapping):
                error = f"found {type(sample).__name__}, expected a dictionary of columns"
        except (ValueError, OSError) as caught:
            error = str(caught) or type(caught).__name__
        finder = None if beside is None else partial(beside, index)
        return Item(
            sample, name, self.offsets[source] + index, epoch, self.train, error, finder, called
        )

    def items(self, limit: int | None = None) -> Iterator[Item]:
        """Yields the samples in the order of the sources; of each source the first `limit`."""
        for source, count in enumerate(self.counts):
            for index in range(min(count, limit or count)):
                yield self[SampleIndex(source, 0, index)]

    def position_of(self, name: str) -> tuple[int, int]:
        """Returns the number of the source, and of the sample in it, for the name of an Item.

        Raises:
            KeyError: no source has such a sample.
        """
        for source, (prefix, *_) in enumerate(self._readers):
            if name.startswith(f"{prefix}["):
                return source, int(name[len(prefix) + 1 :].partition("]")[0])
        raise KeyError(name)
