"""Gathers the predictions of a data module's samples from all processes."""

from collections.abc import Sequence
from typing import cast

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from unitf.data.sample_dataset import SampleDataset

Prediction = dict[str, object]  # what a task says of a sample, by name


def of_all_processes(trainer: Trainer, results: Sequence[object]) -> list[Prediction]:
    """Returns all predictions in the order of the samples, each once.

    Only the first process gets them.

    Args:
        results: what `trainer.predict` returned in this process.
    """
    loaders = cast(Sequence[DataLoader[object]], trainer.predict_dataloaders)
    by_loader = cast(
        Sequence[Sequence[Sequence[Prediction]]], results if len(loaders) > 1 else [results]
    )
    local = [
        ((number, *cast(SampleDataset, loader.dataset).position_of(str(line["sample"]))), line)
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
