"""DataModule: batches of the samples of all sources, for training, validation and test."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from lightning.pytorch import LightningDataModule, Trainer
from torch import nn

from unitf.batch import Sample
from unitf.data.balance import Balance, BalancedSampler
from unitf.data.encoder import Encoder, Item, OnError
from unitf.data.epoch_sampler import EpochSampler, EpochStart, SampleIndex
from unitf.data.fold import Fold
from unitf.data.loader import Loader
from unitf.data.mixing import BatchMixing, Mixing
from unitf.data.sample_dataset import SampleDataset
from unitf.data.source import Source
from unitf.data.source_samples import SourceSamples
from unitf.data.step_counts import StepCounter
from unitf.data.stream import StreamSampler, StreamShards, StreamSource
from unitf.errors import SampleError, UserError, did_you_mean
from unitf.recognition.sizes import batch_tokens
from unitf.spelling import expanded
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.training.exact_loops import ExactFitLoop, use_exact_loops
from unitf.training.parallel.host_sum import HostSum, have_joined
from unitf.training.parallel.step_length import batches_of_step, longest_step
from unitf.training.token_counts import token_counts

_log: logging.Logger = logging.getLogger(__name__)
_Samples: TypeAlias = Sequence[Sample]


class DataModule(LightningDataModule):
    """The samples of all sources, mixed, packed into batches and encoded by data workers.

    Args:
        sources: the sources of samples, by name.
        root: the folder to which the sources' paths are relative.
        batch_size: the number of samples in a batch of each process.
        tokens_per_batch: instead of `batch_size`, the largest number of tokens in a batch of each
            process; tokens are counted once, without augmentation. With neither, it is chosen by
            the number of samples and their tokens.
        num_workers: the number of processes that read and encode samples; with 0 the main process
            does so.
        weights: how often each source is drawn in a training epoch, relative to the others; by
            default an epoch has every sample once.
        on_error: "raise" an error on a sample that cannot be read or encoded, or "skip" it and
            report it at the end.
        seed: the seed of the order and of augmentation.
        steps_per_epoch: the number of steps of an epoch; needed if a source is a stream, which
            has no length.
        mix: how samples of a training batch are blended (mixup, cutmix).
        held_out: the fraction of the training samples that is drawn for validation, and the same
            for a test, if no source has either; if one has a test, only validation is drawn. It is
            drawn by a hash of each sample, within each class. None: 0.1, which a line says.
        balance: draws training samples so that rare classes come more often.
        fold: holds out a part of the training samples for validation, in a cross-validation
            (`unitf fit --folds 5`); then nothing else is drawn. Tokenizers and tasks learn before
            the training (a vocabulary, names of classes) from the samples of all parts.
        modality_dropout: for each input, the probability that a training sample is read without
            it; a sample keeps at least one input of each task.
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
        held_out: float | None = None,
        balance: Balance | None = None,
        modality_dropout: dict[str, float] | None = None,
        fold: Fold | None = None,
    ) -> None:
        super().__init__()
        sizes = [size for size in (batch_size, tokens_per_batch) if size is not None]
        if len(sizes) > 1 or min(sizes, default=1) < 1:
            raise UserError(
                "data: give either batch_size or tokens_per_batch, at least 1; found "
                f"batch_size {batch_size} and tokens_per_batch {tokens_per_batch}"
            )
        if not sources:
            raise UserError("data: there is no source")
        if num_workers < 0:
            raise UserError(f"data.num_workers: expected 0 or more processes, found {num_workers}")
        for name, weight in (weights or {}).items():
            if not 0 <= weight < math.inf:
                raise UserError(f"data.weights.{name}: expected 0 or more, found {weight}")
        self.sources: dict[str, Source] = sources
        self.root: str = expanded(root)
        self.batch_size: int | None = batch_size
        self.tokens_per_batch: int | None = tokens_per_batch
        self.num_workers: int = num_workers
        self.weights: dict[str, float] | None = weights
        self.on_error: OnError = on_error
        self.seed: int = seed
        self.steps_per_epoch: int | None = steps_per_epoch
        self.mix: Mixing | None = mix
        self.balance: Balance | None = balance
        self.modality_dropout: dict[str, float] | None = modality_dropout
        self.fold: Fold | None = fold
        self.skipped: Counter[str] = Counter()  # error message → how often
        self._read: SourceSamples = SourceSamples(sources, Path(self.root), held_out, fold)
        self._lengths: dict[str, list[np.ndarray]] = {}
        self._connected: tuple[Mapping[str, Tokenizer], Mapping[str, Task]] | None = None
        for name in weights or {}:
            if name not in sources:
                raise UserError(
                    f"data: weights name the source {name!r}" + did_you_mean(name, sources)
                )

    # ---- samples -----------------------------------------------------------------------

    def samples(self, split: str) -> dict[str, Sequence[Sample]]:
        """Returns the samples of a split, by the names of the sources that have some."""
        read = {name: self._samples(split, name) for name in self.sources}
        return {name: samples for name, samples in read.items() if len(samples)}

    def _samples(self, split: str, name: str) -> Sequence[Sample]:
        return self._read.of(split, name)

    def set_targets(self, tasks: Mapping[str, Task]) -> None:
        """Sets the tasks by whose classes samples are drawn for the splits that a source lacks."""
        self._read.targets = [task.target for task in tasks.values() if task.target is not None]

    def held_out_by(self, fold: Fold) -> SampleDataset:
        """Returns the samples of all sources that a fold holds out.

        Raises:
            UserError: the samples of a source cannot be parted so.
        """
        read = SourceSamples(self.sources, Path(self.root), None, fold)
        read.targets = self._read.targets
        samples = {name: read.of("validation", name) for name in self.sources}
        return SampleDataset("validation", {n: each for n, each in samples.items() if len(each)})

    def lasting_samples(self, split: str) -> dict[str, Sequence[Sample]]:
        """Returns the samples of a split without those of streams, which are read only once."""
        return {
            name: samples
            for name, source in self.sources.items()
            if not isinstance(source, StreamSource) and len(samples := self._samples(split, name))
        }

    def training_items(self) -> Iterator[Item]:
        """Yields all raw training samples with their names, in the order of the sources.

        A stream yields its first 100,000 samples. If the samples of a source are cut from
        something longer and it has `all_windows`, those are yielded instead.

        With `on_error: skip`, samples that cannot be read are left out.

        In a cross-validation, samples that are held out for validation are among them.

        Raises:
            SampleError: a sample cannot be read.
        """
        for name, source in self._training().items():
            if isinstance(source, StreamSource):
                stream = source.stream("train", Path(self.root), 0, 1)
                for index, sample in enumerate(islice(stream, 100_000)):
                    finder = getattr(source, "beside", None)
                    yield Item(sample, f"{name}/train[{index}]", index, beside=finder)
                continue
            everything = self._read.of_all_folds(name)
            sequence: _Samples = getattr(everything, "all_windows", everything)
            samples = SampleDataset("train", {name: sequence})
            for index in range(len(sequence)):
                item = samples[SampleIndex(0, 0, index)]
                if not item.error:
                    yield item
                elif self.on_error == "raise":
                    raise SampleError(f"{item.label}: {item.error}")

    @property
    def test_splits(self) -> list[str]:
        """The names of the test splits that have samples, in the order of `test_dataloader`."""
        names = self._read.splits()
        return [name for name in names if name.startswith("test") and self.samples(name)]

    def _training(self) -> dict[str, _Samples | StreamSource]:
        read: dict[str, _Samples | StreamSource] = {
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
        """Sets the fitted tokenizers and tasks, by name, that encode the samples."""
        self._connected = (
            cast(dict[str, Tokenizer], dict(tokenizers.items())),
            cast(dict[str, Task], dict(tasks.items())),
        )
        self._lengths = {}

    def train_dataloader(self) -> Loader:
        """Returns the loader of the training samples; it starts where the trainer stands."""
        samples = self._training()
        if any(isinstance(source, StreamSource) for source in samples.values()):
            return self._stream_loader(samples)
        return self._loader("train", cast(dict[str, _Samples], samples))

    def val_dataloader(self) -> list[Loader]:
        """Returns the loader of the validation samples, if there are any."""
        samples = self.samples("validation")
        return [self._loader("validation", samples)] if samples else []

    def test_dataloader(self) -> list[Loader]:
        """Returns a loader for each of `test_splits`."""
        return [self._loader(split, self.samples(split)) for split in self.test_splits]

    def predict_dataloader(self) -> list[Loader]:
        """Returns the loaders of the test splits, or else that of the validation split."""
        loaders = self.test_dataloader() or self.val_dataloader()
        if not loaders:
            raise UserError(
                f"data: found no test or validation samples in {', '.join(self.sources)}, "
                "expected some to predict"
            )
        return loaders

    def setup(self, stage: str) -> None:
        """Lets a fit that resumes go on exactly; see `exact_loops`."""
        if stage == "fit" and self.trainer is not None:
            use_exact_loops(self.trainer)

    def teardown(self, stage: str) -> None:
        """Reports the samples that were skipped."""
        self.report_skipped()

    def report_skipped(self) -> None:
        """Logs a warning that lists the samples skipped since the last report."""
        if self.skipped:
            lines = [f"  {message}" for message in list(self.skipped)[:20]]
            if more := len(self.skipped) - len(lines):
                lines.append(f"  … and {more} more")
            reason = "on_error: skip" if self.on_error == "skip" else "targets of a test"
            text = "%d samples were left out (%s), %d times in all:\n%s"
            _log.warning(text, len(self.skipped), reason, self.skipped.total(), "\n".join(lines))
            self.skipped.clear()

    def _choose_size(self) -> None:
        """Chooses the number of tokens of a batch by the training samples, and says it."""
        samples = self.samples("train")
        counts = np.concatenate(self._token_counts("train", samples) or [np.ones(1)])
        self.tokens_per_batch = batch_tokens(len(counts), float(counts.mean()), int(counts.max()))
        _log.warning(
            "a batch has at most %s tokens (data.tokens_per_batch, or data.batch_size)",
            f"{self.tokens_per_batch:,}",
        )

    def _loader(self, split: str, samples: dict[str, _Samples]) -> Loader:
        train = split == "train"
        if self.batch_size is None and self.tokens_per_batch is None:
            self._choose_size()
        dataset = SampleDataset(split, samples, self.seed, train)
        make = partial(EpochSampler, dataset.counts)
        if train and self.balance is not None:
            make = partial(BalancedSampler, self.balance, samples)
        order = make(
            size=self.batch_size or self.tokens_per_batch or 1,
            lengths=self._token_counts(split, samples) if self.tokens_per_batch else None,
            weights=self._probabilities(samples) if train else None,
            seed=self.seed if train else None,
            rank=self._rank,
            world=self._world,
        )
        order.set_token_counts(lambda: self._token_counts(split, samples))
        return self._make_loader(order, dataset, train)

    def _stream_loader(self, samples: Mapping[str, _Samples | StreamSource]) -> Loader:
        if self.balance is not None:
            raise UserError("data.balance: found a streamed source, expected sources with a length")
        if self.steps_per_epoch is None:
            raise UserError("data: a streamed source has no length, give steps_per_epoch")
        if self.batch_size is None and self.tokens_per_batch is None:
            raise UserError("data: a streamed source has no length, give batch_size")
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
        return self._make_loader(StreamSampler(self.steps_per_epoch, lanes), dataset, train=True)

    def _make_loader(
        self,
        order: EpochSampler | StreamSampler,
        dataset: SampleDataset | StreamShards,
        train: bool,
    ) -> Loader:
        return Loader(
            order,
            dataset,
            self._encoder(self.on_error, skip_targets=self._is_test(dataset)),
            mixing=self._mixing() if train else None,
            num_workers=self.num_workers,
            position=self._position if train else EpochStart,
            left_out=self.skipped.update,
            steps=self._step_counter(train),
            ahead=longest_step(self.trainer) if train and isinstance(self.trainer, Trainer) else 1,
        )

    def _step_counter(self, train: bool) -> StepCounter:
        """Returns what counts the samples of an optimizer step; in evaluation a batch is one."""
        counter = StepCounter()
        if isinstance(trainer := self.trainer, Trainer) and train:
            counter = replace(counter, num_batches=lambda: batches_of_step(trainer))
        if have_joined() and self._world > 1:
            counter = replace(counter, over_processes=HostSum(), rank=self._rank, world=self._world)
        return counter

    @staticmethod
    def _is_test(dataset: SampleDataset | StreamShards) -> bool:
        return isinstance(dataset, SampleDataset) and dataset.split.startswith("test")

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _mixing(self) -> BatchMixing | None:
        assert self._connected is not None
        return None if self.mix is None else BatchMixing(self.mix, self._connected[1], self.seed)

    def _encoder(self, on_error: OnError, skip_targets: bool = False) -> Encoder:
        assert self._connected is not None, "connect() must be called before the loaders"
        tokenizers, tasks = self._connected
        dropout = self.modality_dropout
        return Encoder(tokenizers, tasks, True, on_error, self.seed, skip_targets, dropout)

    def _probabilities(self, samples: Mapping[str, object]) -> list[float] | None:
        if self.weights is None:
            return None
        if missing := [name for name in samples if name not in self.weights]:
            raise UserError(f"data: weights lack the source {', '.join(missing)}")
        probabilities = [self.weights[name] for name in samples]
        if not sum(probabilities):
            raise UserError("data: no source has a weight above 0")
        return probabilities

    def _token_counts(self, split: str, samples: dict[str, _Samples]) -> list[np.ndarray]:
        """Returns the number of tokens of every sample, for each source; they are counted once."""
        if split not in self._lengths:
            dataset = SampleDataset(split, samples, self.seed, train=split == "train")
            encoder = self._encoder("raise")
            self._lengths[split] = token_counts(dataset, encoder, map(len, samples.values()))
        return self._lengths[split]

    def _position(self) -> EpochStart:
        """Returns where the training batches of the epoch that begins begin.

        With `overfit_batches` every epoch is the first one, as Lightning has it for a loader that
        has a sampler.
        """
        loop = getattr(self.trainer, "fit_loop", None)
        if not isinstance(loop, ExactFitLoop):
            return EpochStart()
        start = loop.begin_epoch()
        return start._replace(epoch=0) if getattr(self.trainer, "overfit_batches", 0) else start
