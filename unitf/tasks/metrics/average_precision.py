"""AveragePrecision: how well boxes were found, as figures of a task."""

from typing import Any

import torch
from torch import Tensor, distributed
from torchmetrics.detection import MeanAveragePrecision


class AveragePrecision(MeanAveragePrecision):
    """COCO's mean average precision over classes: over all overlaps, at 0.5 and at 0.75."""

    def __init__(self) -> None:
        super().__init__(box_format="xyxy", iou_type="bbox")

    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Gathers the images of all processes, of which some may have more than others."""
        group = process_group or self.process_group
        for name in self._reductions:
            parts: list[Any] = [None] * distributed.get_world_size(group)
            own = [one.cpu() for one in getattr(self, name)]
            distributed.all_gather_object(parts, own, group)
            setattr(self, name, [one.to(self.device) for part in parts for one in part])

    def compute(self) -> dict[str, Any]:
        """Undefined (NaN) where no sample shows an object."""
        found = super().compute()
        return {name: _defined(found[name]) for name in ("map", "map_50", "map_75")}


def _defined(value: Tensor) -> Tensor:
    return value if value >= 0 else torch.tensor(torch.nan)
