"""Gathers the predictions of a data module's samples from all processes."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

import torch
from lightning.pytorch import Trainer


Prediction = dict[str, object]  # what a task says of a sample, by name
Number = TypeVar("Number")


class _Dataset(Protocol):
    def position_of(self, sample: object) -> tuple[int, ...]: ...


class _Loader(Protocol):
    dataset: _Dataset


def of_all_processes(trainer: Trainer, results: Sequence[object]) -> list[Prediction]:
    """Returns all predictions in the order of the samples, each once.

    Only the first process gets them.

    Args:
        results: what `trainer.predict` returned in this process.
    """
    loaders = cast(Sequence[_Loader], trainer.predict_dataloaders)
    by_loader = cast(
        Sequence[Sequence[Sequence[Prediction]]], results if len(loaders) > 1 else [results]
    )
    local = [
        ((number, *loader.dataset.position_of(line["sample"])), line)
        for number, (loader, batches) in enumerate(zip(loaders, by_loader, strict=True))
        for batch in batches
        for line in batch
    ]
    gathered = [local]
    if trainer.world_size > 1:
        received = [[] for _ in range(trainer.world_size)] if trainer.is_global_zero else None
        torch.distributed.gather_object(local, received)
        gathered = received or []
    lines = {(position, line["task"]): line for part in gathered for position, line in part}
    return [lines[key] for key in sorted(lines, key=lambda key: key[0])]
