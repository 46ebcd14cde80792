"""PointHead: from the columns of a grid to a prediction at each point of a finer grid."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf.nn.initialisation import initialise

Grid = tuple[int, int]
"""The rows and columns of a grid."""

_RARE = 0.01  # the probability of a class at a point before training (Lin et al., 2017)


class PointHead(nn.Module):
    """Logits of the classes, and the distances to the four sides of a box, at each point.

    Each column becomes `fineness` × `fineness` points, as a transposed convolution makes them;
    then 3×3 convolutions over the points, as FCOS has them (Tian et al., 2019), with the layer
    norm of ViTDet (Li et al., 2022): one stack for the classes, one for the boxes.

    Args:
        dim: D, the width of a column.
        num_classes: C.
        fineness: how many points a column has along each axis.
        width: of the convolutions.
        depth: the number of convolutions in each stack.
    """

    def __init__(self, dim: int, num_classes: int, fineness: int, width: int, depth: int) -> None:
        super().__init__()
        self.fineness: int = fineness
        self.norm: nn.LayerNorm = nn.LayerNorm(dim)
        self.finer: nn.Linear = nn.Linear(dim, fineness**2 * width)
        self.class_layers: nn.Sequential = _stack(width, depth)
        self.box_layers: nn.Sequential = _stack(width, depth)
        self.classes: nn.Linear = nn.Linear(width, num_classes)
        self.sides: nn.Linear = nn.Linear(width, 4)
        initialise(self)
        nn.init.constant_(self.classes.bias, -math.log(1 / _RARE - 1))

    def forward(self, rows: Float[Tensor, "N D"], grids: Sequence[Grid]) -> Float[Tensor, "M C4"]:
        """Returns for each point the logits and the logarithms of its distances to four sides.

        Args:
            rows: the columns of all grids, row by row, one grid after the other.
            grids: the rows and columns of each.
        """
        points = self.finer(self.norm(rows))
        parts = points.split([height * width for height, width in grids])
        owners: dict[Grid, list[int]] = {}  # grids of one size are processed together
        for number, grid in enumerate(grids):
            owners.setdefault(grid, []).append(number)
        done: dict[int, Tensor] = {}
        for grid, numbers in owners.items():
            batch = torch.stack([parts[number] for number in numbers])
            done.update(zip(numbers, self._of_one_size(batch, grid), strict=True))
        if not done:  # so that each parameter has a gradient
            return self._of_one_size(points[None], (0, 0))[0]
        return torch.cat([done[number] for number in range(len(grids))])

    def _of_one_size(self, batch: Float[Tensor, "B n F"], grid: Grid) -> Float[Tensor, "B m C4"]:
        finer = batch.unflatten(2, (self.fineness, self.fineness, -1)).unflatten(1, grid)
        image = finer.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        if not image.numel():
            image = functional.pad(image, (0, 1, 0, 1))
        image = image.contiguous(memory_format=torch.channels_last)
        classes, sides = (
            last(layers(image).permute(0, 2, 3, 1))
            for layers, last in ((self.class_layers, self.classes), (self.box_layers, self.sides))
        )
        found = torch.cat([classes, sides], dim=-1).flatten(1, 2)
        return found if batch.shape[1] else found[:, :0] + 0 * found.sum()


class PlaceNorm(nn.LayerNorm):
    """Layer norm over the channels of each place of an image (B, C, H, W)."""

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalises each place."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _stack(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), PlaceNorm(width), nn.GELU()]
    return nn.Sequential(*layers)
