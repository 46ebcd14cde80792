"""Streams: samples that can only be read in their order."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from unitf.batch import Sample
from unitf.data.encoder import Encoder, Failure, Item
from unitf.data.epoch_sampler import EpochStart, SampleIndex, Stretch
from unitf.data.sample_dataset import SampleDataset
from unitf.data.seeding import mix
from unitf.data.source import Source
from unitf.errors import UserError


class StreamSource(Source):
    """Samples in a fixed order; training samples are shuffled in a buffer.

    Args:
        limit: how many samples to read of a split that is not for training; by default all.
    """

    buffer: int = 1000  # a training sample is drawn from this many

    def __init__(self, limit: int | None = None) -> None:
        self.limit: int | None = limit

    @abstractmethod
    def stream(self, split: str, root: Path, shard: int, num_shards: int) -> Iterator[Sample]:
        """Yields the samples of one shard of a split; none if there is no such split.

        Each sample belongs to exactly one shard, and the order is always the same.

        Args:
            split: "train", "validation", "test", …
            root: the folder to which relative paths in the configuration refer.
            shard: the number of the shard.
            num_shards: the number of shards.
        """

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        """Returns all samples in memory: validation and test need each sample exactly once."""
        return list(islice(self.stream(split, root, 0, 1), self.limit))


class StreamSampler:
    """Chooses the batch of each step as (lane, batch); a worker reads one lane of the stream.

    Batches are numbered over all epochs, and the lanes take turns. A worker that is asked for the
    next batch of its lane continues to read. Otherwise it begins again and skips earlier batches.

    Args:
        num_steps: the number of batches of an epoch.
        num_lanes: the number of lanes of this process.
    """

    def __init__(self, num_steps: int, num_lanes: int) -> None:
        self.num_steps: int = num_steps
        self.num_lanes: int = num_lanes
        self.start: EpochStart = EpochStart()

    def __len__(self) -> int:
        return self.num_steps

    @property
    def identity(self) -> tuple[int, ...]:
        """The numbers that the order of the batches depends on."""
        return self.num_steps, self.num_lanes

    def num_steps_left(self, epoch: int, earlier: Sequence[Stretch]) -> int:
        """Returns the number of steps of an epoch; a stream has no earlier stretches."""
        return self.num_steps

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, first, _ = EpochStart(*self.start)
        for step in range(first, self.num_steps):
            number = epoch * self.num_steps + step
            yield number % self.num_lanes, number // self.num_lanes


class StreamShards(Dataset[list[Item]]):
    """Batches of streamed samples: batch n of a lane is a pure function of the seed.

    Args:
        sources: streams, and sequences, which are read as endless streams.
        root: the folder to which relative paths of the sources refer.
        weights: how often each source is drawn from, relative to the others.
        batch_size: the number of samples of a batch; None if `tokens_per_batch` limits it.
        tokens_per_batch: the largest number of tokens of a batch; None if `batch_size` limits it.
        encoder: counts the tokens.
        first: the number of the first lane of this process.
        total: the number of lanes of all processes.
    """

    def __init__(
        self,
        sources: Mapping[str, Source | Sequence[Sample]],
        root: Path,
        weights: Sequence[float],
        batch_size: int | None,
        tokens_per_batch: int | None,
        encoder: Encoder,
        first: int = 0,
        total: int = 1,
    ) -> None:
        self.sources: Mapping[str, Source | Sequence[Sample]] = sources
        self.root: Path = root
        self.weights: np.ndarray = np.array(weights) / sum(weights)
        self.batch_size: int | None = batch_size
        self.tokens_per_batch: int | None = tokens_per_batch
        self.encoder: Encoder = encoder
        self.first: int = first
        self.total: int = total
        self._at: tuple[int, int] | None = None  # the open lane and its next batch
        self._batches: Iterator[list[Item]] = iter(())

    def __getitems__(self, shard_and_number: tuple[int, int]) -> list[Item] | Failure:
        lane, number = shard_and_number
        try:
            if self._at is None or self._at[0] != lane or self._at[1] > number:
                self._at = (lane, 0)
                self._batches = self._pack(self._mixed(self.first + lane))
            for _ in range(number - self._at[1]):
                next(self._batches)
            self._at = (lane, number + 1)
            return next(self._batches)
        except UserError as error:
            return Failure(str(error))

    def _pack(self, items: Iterator[Item]) -> Iterator[list[Item]]:
        if self.batch_size is not None:
            while True:
                yield list(islice(items, self.batch_size))
        assert self.tokens_per_batch is not None
        batch: list[Item] = []
        tokens = 0
        for item in items:
            try:
                length = self.encoder.num_tokens(item._replace(train=False))
            except ValueError:  # the error is reported when the batch is encoded
                length = 1
            if length > self.tokens_per_batch:
                raise UserError(
                    f"{item.label}: {length} tokens, but tokens_per_batch is "
                    f"{self.tokens_per_batch}"
                )
            if tokens + length > self.tokens_per_batch:
                yield batch
                batch, tokens = [], 0
            batch.append(item)
            tokens += length

    def _mixed(self, lane: int) -> Iterator[Item]:
        streams = [self._endless(number, name, lane) for number, name in enumerate(self.sources)]
        generator = np.random.default_rng(mix(self.encoder.seed, lane))
        while True:
            yield next(streams[int(generator.choice(len(streams), p=self.weights))])

    def _endless(self, number: int, name: str, lane: int) -> Iterator[Item]:
        """Yields the samples of a lane of a source endlessly, in another order in each pass."""
        for turn in count():
            key = mix(self.encoder.seed, number, lane, turn)
            generator = np.random.default_rng(key)
            empty = True
            buffer = getattr(self.sources[name], "buffer", StreamSource.buffer)
            for item in _shuffled(self._lane_items(name, lane, turn), generator, buffer):
                empty = False
                yield item._replace(index=mix(number, item.index) >> 1)
            if empty:
                raise UserError(
                    f"source {name}: no training samples in share {lane + 1} of {self.total} "
                    "(processes × num_workers)"
                )

    def _lane_items(self, name: str, lane: int, turn: int) -> Iterator[Item]:
        """Yields the samples of a lane of a source once, in the order of the source."""
        source = self.sources[name]
        if isinstance(source, StreamSource):
            samples = source.stream("train", self.root, lane, self.total)
            for index, sample in zip(count(lane, self.total), samples):
                finder = getattr(source, "beside", None)
                name_of_sample = f"{name}/train[{index}]"
                yield Item(sample, name_of_sample, index, turn, train=True, beside=finder)
            return
        assert isinstance(source, Sequence)
        dataset = SampleDataset("train", {name: source}, self.encoder.seed, train=True)
        for index in range(lane, len(source), self.total):
            yield dataset[SampleIndex(0, turn, index)]


def _shuffled(items: Iterator[Item], generator: np.random.Generator, buffer: int) -> Iterator[Item]:
    held = list(islice(items, buffer))
    for item in items:
        index = int(generator.integers(len(held)))
        yield held[index]
        held[index] = item
    for index in generator.permutation(len(held)):
        yield held[index]
