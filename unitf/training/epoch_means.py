"""The means over an epoch that Lightning logs, for the checkpoint of a run within an epoch."""

from collections.abc import Sequence
from typing import cast

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.logger_connector.result import (
    _Metadata,
    _ResultCollection,
    _ResultMetric,
    _Sync,
)
from torch import Tensor

_SETTINGS = ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "add_dataloader_idx")


class _RestoredSettings:
    """The settings of a restored mean, until `log` is called for it and gives its own.

    With another number of processes they are others: one process has nothing to synchronise.
    """

    def __init__(self, settings: _Metadata) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> object:
        return getattr(self._settings, name)

    def __eq__(self, other: object) -> bool:
        """Takes over the settings of `log`, which compares them with these."""
        if not isinstance(other, _Metadata) or (other.fx, other.name) != (self.fx, self.name):
            return False
        self._settings = other
        return True


def epoch_means(results: _ResultCollection, trainer: Trainer) -> list[dict[str, object]]:
    """Returns the sums and weights of the means so far, of each process."""
    means: list[dict[str, object]] = []
    for metric in results.values():
        meta = metric.meta
        if metric.has_reset or not (metric.is_tensor and meta.on_epoch and meta.is_mean_reduction):
            continue
        sums = torch.zeros(trainer.world_size, 2, device=metric.value.device).double()
        sums[trainer.global_rank, 0] = metric.value
        sums[trainer.global_rank, 1] = metric.cumulated_batch_size
        if trainer.world_size > 1:
            sums = cast(Tensor, trainer.strategy.reduce(sums, reduce_op="sum"))
        settings = {name: getattr(meta, name) for name in _SETTINGS}
        means.append({**settings, "sync_dist": meta.sync.should, "sums": sums.tolist()})
    return means


def restore_epoch_means(
    results: _ResultCollection, means: Sequence[dict[str, object]], trainer: Trainer
) -> None:
    """Goes on with means that `epoch_means` returned.

    If the number of processes is another one, the first takes the sums of all.
    """
    for mean in means:
        meta = _Metadata(**{name: mean[name] for name in _SETTINGS})  # type: ignore[arg-type]
        synchronised = bool(mean["sync_dist"]) or len(cast(list[object], mean["sums"])) == 1
        synchronised = synchronised and trainer.world_size > 1
        meta.sync = _Sync(_should=synchronised, fn=trainer.strategy.reduce)
        metric = _ResultMetric(meta, is_tensor=True).to(trainer.strategy.root_device)
        sums = torch.tensor(cast("list[list[float]]", mean["sums"]), dtype=torch.float64)
        if len(sums) != trainer.world_size:
            total, sums = sums.sum(0), torch.zeros(trainer.world_size, 2).double()
            sums[0] = total
        value, weight = sums[trainer.global_rank].tolist()
        metric.value = cast(Tensor, metric.value) + value
        metric.cumulated_batch_size += int(weight)
        metric.meta = cast(_Metadata, _RestoredSettings(meta))
        metric._update_count = 1  # else its value would be said to be of no step
        results[f"{meta.fx}.{meta.name}"] = metric
    if means:  # else the first batch would reset them, as it does in a new epoch
        connector = trainer._logger_connector
        connector._first_loop_iter, connector._current_fx = False, cast(str, means[-1]["fx"])
