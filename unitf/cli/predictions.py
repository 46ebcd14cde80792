"""Gathers the predictions of a data module's samples from all processes."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from unitf.cli.as_json import as_json
from unitf.data.sample_dataset import SampleDataset
from unitf.errors import UserError

Prediction = dict[str, object]  # what a task says of a sample, by name


def write_predictions(trainer: Trainer, model: LightningModule, data: LightningDataModule) -> None:
    """Predicts, and writes a line of JSON for each sample and task to predictions.jsonl.

    Raises:
        UserError: the strategy gives no predictions back, or no batch was to be predicted.
    """
    results = cast(
        Sequence[object] | None, trainer.predict(model, datamodule=data, weights_only=True)
    )
    if results is None:
        raise UserError(
            f"predict: found no predictions with strategy {type(trainer.strategy).__name__} and "
            f"limit_predict_batches {trainer.limit_predict_batches}, expected a "
            "strategy that gives them back (ddp) and a batch or more"
        )
    predictions = of_all_processes(trainer, results)
    if not trainer.is_global_zero:
        return
    lines = [as_json(line) for line in predictions]
    file = Path(trainer.default_root_dir) / "predictions.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sys.stdout.write(f"{len(lines)} predictions: {file}\n")


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
