"""AveragePrecision: how well a model detects boxes."""

from typing import cast

import torch
from torch import Tensor, distributed
from torchmetrics.detection import MeanAveragePrecision


class AveragePrecision(MeanAveragePrecision):
    """COCO's mean average precision over classes, and that at an overlap of 0.5 and of 0.75."""

    def __init__(self) -> None:
        super().__init__(box_format="xyxy", iou_type="bbox", backend="faster_coco_eval")

    def _sync_dist(self, dist_sync_fn: object = None, process_group: object = None) -> None:
        """Gathers the images of all processes, which may have different numbers of them."""
        group = cast("distributed.ProcessGroup | None", process_group or self.process_group)
        for name in self._reductions:
            gathered: list[list[Tensor]] = [[] for _ in range(distributed.get_world_size(group))]
            local = [tensor.cpu() for tensor in getattr(self, name)]
            distributed.all_gather_object(gathered, local, group)
            tensors = [tensor.to(self.device) for part in gathered for tensor in part]
            setattr(self, name, tensors)

    def compute(self) -> dict[str, Tensor]:
        """Returns the precisions; they are NaN where no sample shows an object."""
        results = super().compute()
        return {name: _defined(results[name]) for name in ("map", "map_50", "map_75")}


def _defined(value: Tensor) -> Tensor:
    return value if value >= 0 else torch.tensor(torch.nan)
