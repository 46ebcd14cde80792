"""The predictions of a data module's samples, which several processes shared among them."""

from typing import Any

import torch
from lightning.pytorch import Trainer


def of_all_processes(trainer: Trainer, found: list[Any]) -> list[dict[str, Any]]:
    """All predictions, in the order of the samples and each once; in the first process only.

    Args:
        found: what `trainer.predict` gave this process.
    """
    loaders: Any = trainer.predict_dataloaders
    by_loader = found if len(loaders) > 1 else [found]
    mine = [
        ((number, *loader.dataset.position_of(line["sample"])), line)
        for number, (loader, batches) in enumerate(zip(loaders, by_loader, strict=True))
        for batch in batches
        for line in batch
    ]
    gathered = [mine]
    if trainer.world_size > 1:
        received: Any = [None] * trainer.world_size if trainer.is_global_zero else None
        torch.distributed.gather_object(mine, received)
        gathered = received or []
    lines = {(position, line["task"]): line for part in gathered for position, line in part}
    return [lines[key] for key in sorted(lines, key=lambda key: key[0])]
