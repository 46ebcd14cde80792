"""Loader: batches from data workers, beginning at any step of any epoch."""

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

import torch
from torch.utils.data import DataLoader, Sampler

from unitf.batch import Batch
from unitf.data.encoder import Encoder, Failure, Item
from unitf.data.epoch_sampler import EpochSampler, EpochStart
from unitf.data.sample_dataset import SampleDataset
from unitf.data.step_counts import StepCounter
from unitf.data.stream import StreamSampler, StreamShards
from unitf.errors import SampleError

MixFunction: TypeAlias = Callable[[Batch, Sequence[Item]], Batch]
"""Blends the samples of a training batch, as `unitf.data.mixing.BatchMixing` does."""


class _Collate:
    """Turns Items into a Batch, or into a Failure."""

    def __init__(self, encoder: Encoder, mixing: MixFunction | None = None) -> None:
        self.encoder = encoder
        self.mixing = mixing

    def __call__(self, items: list[Item] | Failure) -> Batch | Failure:
        if isinstance(items, Failure):
            return items
        try:
            batch = self.encoder(items)
            return batch if self.mixing is None else self.mixing(batch, items)
        except SampleError as error:
            return Failure(str(error))


class Loader:
    """The batches of one split for one process; an iteration is the rest of one epoch.

    The order is a pure function, so only the epoch and the step are needed to resume.

    Args:
        order: the samples of each batch.
        dataset: reads the samples.
        encoder: turns them into batches.
        mixing: blends the samples of a batch, or None.
        num_workers: how many processes read and encode; 0: the main process does.
        position: returns where an iteration begins; it is called when the first batch is requested.
        left_out: is called with the messages of samples that the encoder skipped.
        steps: tells the batches what their optimizer step has; it reads the batches of a step
            before it passes on the first.
        ahead: the largest number of batches of a step, which the workers keep ready.
    """

    def __init__(
        self,
        order: EpochSampler | StreamSampler,
        dataset: SampleDataset | StreamShards,
        encoder: Encoder,
        mixing: MixFunction | None = None,
        num_workers: int = 0,
        position: Callable[[], EpochStart] = EpochStart,
        left_out: Callable[[Sequence[str]], None] = lambda messages: None,
        steps: StepCounter | None = None,
        ahead: int = 1,
    ) -> None:
        self.order: EpochSampler | StreamSampler = order
        self.dataset: SampleDataset | StreamShards = dataset
        self.position: Callable[[], EpochStart] = position
        self.left_out: Callable[[Sequence[str]], None] = left_out
        self.steps: StepCounter = steps or StepCounter()
        self._loader = DataLoader(
            dataset,
            batch_sampler=cast(Sampler[list[int]], order),  # torch passes on whatever it yields
            collate_fn=_Collate(encoder, mixing),
            num_workers=num_workers,
            prefetch_factor=max(2, 1 + -(-ahead // num_workers)) if num_workers else None,
            persistent_workers=num_workers > 0,
            worker_init_fn=_prepare_worker,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # otherwise every iteration draws from the global one
        )

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        # A generator, so that nothing happens before the first batch is requested: Lightning
        # makes the iterator of the first epoch before it knows where to resume.
        self.order.start = self.position()
        yield from self.steps(self._batches())

    def _batches(self) -> Iterator[Batch]:
        for batch in self._loader:
            if isinstance(batch, Failure):
                raise SampleError(batch.message)
            if batch.skipped:
                self.left_out(batch.skipped)
            yield batch

    # Lightning expects these two methods of a loader that can resume, and warns without them.

    def state_dict(self) -> dict[str, object]:
        """Returns nothing: the checkpoint of the trainer holds the position."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Does nothing: the position is that of the trainer."""


def _prepare_worker(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C
