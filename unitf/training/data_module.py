"""DataModule: the samples of all sources, as batches for training, validation and test."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule
from torch import nn

from unitf.batch import Sample
from unitf.data.encoder import Encoder, Item, OnError
from unitf.data.epoch_sampler import EpochSampler, SampleIndex
from unitf.data.loader import Loader
from unitf.data.mixing import BatchMixing, Mixing
from unitf.data.sample_dataset import SampleDataset
from unitf.data.source import Source
from unitf.data.stream import StreamSampler, StreamShards, StreamSource
from unitf.errors import SampleError, UserError, did_you_mean
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.training.random_state import batches_done

log = logging.getLogger(__name__)


class DataModule(LightningDataModule):
    """The samples of all sources, mixed, packed into batches and encoded by data workers.

    Args:
        sources: where samples come from, by name.
        root: the folder to which the sources' paths are relative.
        batch_size: of each process: how many samples, …
        tokens_per_batch: … or at most how many tokens (counted without augmentation, once).
        num_workers: processes that read and encode; 0: the main process does.
        weights: each source's share of the samples of a training epoch (any unit); by default an
            epoch has every sample once.
        on_error: "raise" on a sample that cannot be read or learned from, or "skip" it and report
            at the end.
        seed: of the order and of augmentation.
        steps_per_epoch: how long an epoch is where a source is streamed, which has no length.
        mix: blends the samples of a training batch (mixup, cutmix).
    """

    def __init__(
        self,
        sources: dict[str, Source],
        root: str = ".",
        batch_size: int | None = None,
        tokens_per_batch: int | None = None,
        num_workers: int = 1,
        weights: dict[str, float] | None = None,
        on_error: OnError = "raise",
        seed: int = 0,
        steps_per_epoch: int | None = None,
        mix: Mixing | None = None,
    ) -> None:
        super().__init__()
        sizes = [size for size in (batch_size, tokens_per_batch) if size is not None]
        if len(sizes) != 1 or sizes[0] < 1:
            raise UserError(
                "data: give either batch_size or tokens_per_batch, at least 1; found "
                f"batch_size {batch_size} and tokens_per_batch {tokens_per_batch}"
            )
        if not sources:
            raise UserError("data: there is no source")
        self.sources = sources
        self.root = root
        self.batch_size = batch_size
        self.tokens_per_batch = tokens_per_batch
        self.num_workers = num_workers
        self.weights = weights
        self.on_error: OnError = on_error
        self.seed = seed
        self.steps_per_epoch = steps_per_epoch
        self.mix = mix
        self.skipped: Counter[str] = Counter()  # message → how often
        self._read: dict[tuple[str, str], Sequence[Sample]] = {}
        self._lengths: dict[str, list[np.ndarray]] = {}
        self._connected: tuple[Mapping, Mapping] | None = None
        for name in weights or {}:
            if name not in sources:
                raise UserError(
                    f"data: weights name the source {name!r}" + did_you_mean(name, sources)
                )

    # ---- samples -----------------------------------------------------------------------

    def samples(self, split: str) -> dict[str, Sequence[Sample]]:
        """The samples of a split, of every source that has some."""
        read = {name: self._samples(split, name) for name in self.sources}
        return {name: samples for name, samples in read.items() if len(samples)}

    def _samples(self, split: str, name: str) -> Sequence[Sample]:
        if (split, name) not in self._read:
            self._read[split, name] = self.sources[name].read(split, Path(self.root))
        return self._read[split, name]

    def training_items(self) -> Iterator[Item]:
        """All raw training samples with their names, in plain order; of a stream 100,000.

        Of a sequence that has `whole`, a sequence of all that its samples are cut from, those.

        With `on_error: skip` they are those that can be read.

        Raises:
            SampleError: one cannot be read.
        """
        for name, source in self._training().items():
            if isinstance(source, StreamSource):
                stream = source.stream("train", Path(self.root), 0, 1)
                for index, sample in enumerate(islice(stream, 100_000)):
                    yield Item(sample, f"{name}/train[{index}]", index)
                continue
            source = getattr(source, "whole", source)
            samples = SampleDataset("train", {name: source})
            for index in range(len(source)):
                item = samples[SampleIndex(0, 0, index)]
                if not item.error:
                    yield item
                elif self.on_error == "raise":
                    raise SampleError(f"{item.name}: {item.error}")

    @property
    def test_splits(self) -> list[str]:
        """The splits to test on, as `test_dataloader` gives them."""
        names = dict.fromkeys(n for source in self.sources.values() for n in source.splits())
        return [name for name in names if name.startswith("test") and self.samples(name)]

    def _training(self) -> dict[str, Sequence[Sample] | StreamSource]:
        read = {
            name: source if isinstance(source, StreamSource) else self._samples("train", name)
            for name, source in self.sources.items()
        }
        samples = {n: s for n, s in read.items() if isinstance(s, StreamSource) or len(s)}
        if not samples:
            raise UserError(f"data: no training samples in {', '.join(self.sources)}")
        for name, weight in (self.weights or {}).items():
            if weight < 0 or (weight > 0 and name not in samples):
                raise UserError(f"data: source {name} has weight {weight}, but no training samples")
        return samples

    # ---- batches -----------------------------------------------------------------------

    def connect(
        self,
        tokenizers: Mapping[str, Tokenizer] | nn.ModuleDict,
        tasks: Mapping[str, Task] | nn.ModuleDict,
    ) -> None:
        """Says what encodes the samples: tokenizers and tasks by name, both fitted."""
        self._connected = (dict(tokenizers.items()), dict(tasks.items()))
        self._lengths = {}

    def train_dataloader(self) -> Loader:
        samples = self._training()
        if any(isinstance(source, StreamSource) for source in samples.values()):
            return self._stream_loader(samples)
        return self._loader("train", samples)  # type: ignore[arg-type]

    def val_dataloader(self) -> list[Loader]:
        samples = self.samples("validation")
        return [self._loader("validation", samples)] if samples else []

    def test_dataloader(self) -> list[Loader]:
        return [self._loader(split, self.samples(split)) for split in self.test_splits]

    def predict_dataloader(self) -> list[Loader]:
        loaders = self.test_dataloader() or self.val_dataloader()
        if not loaders:
            raise UserError(
                f"data: found no test or validation samples in {', '.join(self.sources)}, "
                "expected some to predict"
            )
        return loaders

    def teardown(self, stage: str) -> None:
        self.report_skipped()

    def report_skipped(self) -> None:
        """Says which samples were left out since the last report."""
        if self.skipped:
            shown = [f"  {message}" for message in list(self.skipped)[:20]]
            more = len(self.skipped) - len(shown)
            log.warning(
                "%d samples were left out (on_error: skip), %d times in all:\n%s",
                len(self.skipped),
                self.skipped.total(),
                "\n".join([*shown, *([f"  … and {more} more"] if more else [])]),
            )
            self.skipped.clear()

    def _loader(self, split: str, samples: dict[str, Sequence[Sample]]) -> Loader:
        train = split == "train"
        dataset = SampleDataset(split, samples, self.seed, train)
        order = EpochSampler(
            dataset.counts,
            size=self.batch_size or self.tokens_per_batch or 1,
            lengths=self._measure(split, samples) if self.tokens_per_batch else None,
            weights=self._probabilities(samples) if train else None,
            seed=self.seed if train else None,
            rank=self._rank,
            world=self._world,
        )
        return self._make(order, dataset, train)

    def _stream_loader(self, samples: dict[str, Any]) -> Loader:
        if self.steps_per_epoch is None:
            raise UserError("data: a streamed source has no length, give steps_per_epoch")
        weights = self._probabilities(samples) or [1.0]
        if len(weights) != len(samples):
            raise UserError(
                "data: a streamed source has no length, give the weights of all sources"
            )
        lanes = max(1, self.num_workers)
        if self.steps_per_epoch % lanes:  # else workers change lanes, and read them from the start
            raise UserError(
                f"data: steps_per_epoch {self.steps_per_epoch}, expected a multiple of num_workers "
                f"{lanes}"
            )
        dataset = StreamShards(
            samples,
            Path(self.root),
            weights,
            self.batch_size,
            self.tokens_per_batch,
            self._encoder("raise"),
            first=self._rank * lanes,
            total=self._world * lanes,
        )
        return self._make(StreamSampler(self.steps_per_epoch, lanes), dataset, train=True)

    def _make(self, order: Any, dataset: Any, train: bool) -> Loader:
        return Loader(
            order,
            dataset,
            self._encoder(self.on_error),
            mixing=self._mixing() if train else None,
            num_workers=self.num_workers,
            position=self._position if train else lambda: (0, 0),
            left_out=self.skipped.update,
        )

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _mixing(self) -> BatchMixing | None:
        assert self._connected is not None
        return None if self.mix is None else BatchMixing(self.mix, self._connected[1], self.seed)

    def _encoder(self, on_error: OnError) -> Encoder:
        assert self._connected is not None, "connect() comes before the loaders"
        return Encoder(*self._connected, on_error=on_error, seed=self.seed)

    def _probabilities(self, samples: Mapping[str, Any]) -> list[float] | None:
        if self.weights is None:
            return None
        if missing := [name for name in samples if name not in self.weights]:
            raise UserError(f"data: weights lack the source {', '.join(missing)}")
        probabilities = [self.weights[name] for name in samples]
        if not sum(probabilities):
            raise UserError("data: no source has a weight above 0")
        return probabilities

    def _measure(self, split: str, samples: dict[str, Sequence[Sample]]) -> list[np.ndarray]:
        """The tokens of every sample, measured once by encoding it without augmentation."""
        if split not in self._lengths:
            # a training sample that is another one in each epoch is measured as in the first one
            dataset = SampleDataset(split, samples, self.seed, train=split == "train")
            encoder = self._encoder("raise")
            self._lengths[split] = []
            for source, sequence in enumerate(samples.values()):
                lengths = np.zeros(len(sequence), int)
                for index in range(len(sequence)):
                    item = dataset[SampleIndex(source, 0, index)]._replace(train=False)
                    try:
                        lengths[index] = encoder.num_tokens(item)
                    except ValueError:  # the loader says it when the sample's turn comes
                        lengths[index] = 1
                self._lengths[split].append(lengths)
        return self._lengths[split]

    def _position(self) -> tuple[int, int]:
        """The epoch, and how many of its steps are done: the trainer knows, and it resumes.

        With `overfit_batches` every epoch is the first one: Lightning sees to it where a loader
        has a sampler.
        """
        trainer: Any = self.trainer
        if trainer is None:
            return 0, 0
        epoch, step = divmod(batches_done(trainer), int(trainer.num_training_batches))
        return 0 if trainer.overfit_batches else epoch, step
