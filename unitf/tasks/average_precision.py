"""AveragePrecision: how well boxes were found, as figures of a task."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision


class AveragePrecision(MeanAveragePrecision):
    """COCO's mean average precision over classes: over all overlaps, at 0.5 and at 0.75."""

    def __init__(self) -> None:
        super().__init__(box_format="xyxy", iou_type="bbox")

    def compute(self) -> dict[str, Any]:
        """Undefined (NaN) where no sample shows an object."""
        found = super().compute()
        return {name: _defined(found[name]) for name in ("map", "map_50", "map_75")}


def _defined(value: Tensor) -> Tensor:
    return value if value >= 0 else torch.tensor(torch.nan)
