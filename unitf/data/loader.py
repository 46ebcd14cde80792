"""Loader: batches from data workers, from any step of any epoch on."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from unitf.batch import Batch, Sample
from unitf.data.encoder import Encoder, Item
from unitf.data.order import Draw, Order
from unitf.errors import SampleError


@dataclass(frozen=True)
class _Failure:
    """An error on its way from a worker, as one line instead of a worker's traceback."""

    message: str


class Samples(Dataset):
    """The samples of one split of several sources, as Items.

    A sequence of samples may have `name(index)`, what a person calls a sample (a file), and
    `at(index, seed, epoch)`, where a training sample is another one in each epoch.
    """

    def __init__(
        self, split: str, sources: dict[str, Sequence[Sample]], seed: int = 0, train: bool = False
    ) -> None:
        self.split = split
        self.train = train
        self.seed = seed
        self.names = list(sources)
        self.sequences = list(sources.values())
        self.counts = [len(sequence) for sequence in self.sequences]
        self.offsets = [sum(self.counts[:i]) for i in range(len(self.counts))]

    def __getitems__(self, draws: Sequence[Draw]) -> list[Item]:
        return [self[draw] for draw in draws]

    def __getitem__(self, draw: Draw) -> Item:
        source, epoch, index = draw
        sequence = self.sequences[source]
        name = f"{self.names[source]}/{self.split}[{index}]"
        sample: Sample = {}
        error = ""
        try:
            if file := _file(sequence, index):
                name = f"{name} ({file})"
            if self.train and hasattr(sequence, "at"):
                sample = sequence.at(index, self.seed, epoch)  # type: ignore[attr-defined]
            else:
                sample = sequence[index]
        except (ValueError, OSError) as caught:
            error = str(caught) or type(caught).__name__
        return Item(sample, name, self.offsets[source] + index, epoch, self.train, error)


def _file(sequence: Sequence[Sample], index: int) -> str:
    name = getattr(sequence, "name", None)
    return name(index) if callable(name) else ""


class _Collate:
    """Items as a Batch, or what was wrong with them."""

    def __init__(self, encoder: Encoder, mixing: Callable | None = None) -> None:
        self.encoder = encoder
        self.mixing = mixing

    def __call__(self, items: list[Item]) -> Batch | _Failure:
        try:
            batch = self.encoder(items)
            return batch if self.mixing is None else self.mixing(batch, items)
        except SampleError as error:
            return _Failure(str(error))


class Loader:
    """The batches of one split for one process; an iteration is the rest of one epoch.

    The order is a pure function, so all there is to resume is the epoch and the step, which
    `position` gives when the first batch is asked for.
    """

    def __init__(
        self,
        order: Order,
        dataset: Samples,
        encoder: Encoder,
        mixing: Callable | None = None,
        num_workers: int = 0,
        position: Callable[[], tuple[int, int]] = lambda: (0, 0),
        left_out: Callable[[Sequence[str]], None] = lambda messages: None,
    ) -> None:
        self.order = order
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
            if isinstance(batch, _Failure):
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
