"""Loader: batches from data workers, from any step of any epoch on."""

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from unitf.batch import Batch
from unitf.data.encoder import Encoder, Failure, Item
from unitf.data.epoch_sampler import EpochSampler
from unitf.data.sample_dataset import SampleDataset
from unitf.data.stream import StreamSampler, StreamShards
from unitf.errors import SampleError


class _Collate:
    """Items as a Batch, or what was wrong with them."""

    def __init__(self, encoder: Encoder, mixing: Callable | None = None) -> None:
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

    The order is a pure function, so all there is to resume is the epoch and the step, which
    `position` gives when the first batch is asked for.
    """

    def __init__(
        self,
        order: EpochSampler | StreamSampler,
        dataset: SampleDataset | StreamShards,
        encoder: Encoder,
        mixing: Callable | None = None,
        num_workers: int = 0,
        position: Callable[[], tuple[int, int]] = lambda: (0, 0),
        left_out: Callable[[Sequence[str]], None] = lambda messages: None,
    ) -> None:
        self.order = order
        self.dataset = dataset
        self.position = position
        self.left_out = left_out
        self._loader = DataLoader(
            dataset,
            batch_sampler=order,  # type: ignore[arg-type]
            collate_fn=_Collate(encoder, mixing),
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            worker_init_fn=_prepare_worker,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else every iteration draws from the global one
        )

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        # A generator, so that nothing happens before the first batch is asked for: Lightning
        # makes the iterator of the first epoch before it knows where the run goes on.
        self.order.start = self.position()
        for batch in self._loader:
            if isinstance(batch, Failure):
                raise SampleError(batch.message)
            if batch.skipped:
                self.left_out(batch.skipped)
            yield batch

    # Lightning takes a loader with these two for one that resumes, and warns of others.

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: the position is that of the trainer, which its checkpoint holds."""


def _prepare_worker(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process to handle
