"""Stem: small convolutions that look at a patch's window before it becomes a token."""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class ConvolutionalStem(nn.Module):
    """Convolutions of stride 2 within each window, then one projection of what is left.

    Early convolutions let a Transformer learn from few images (Xiao et al., 2021). Unlike theirs,
    these see one window at a time, so that a token stays a function of its own F numbers.

    Args:
        channels: of the image.
        window: rows and columns of a window.
        dim: D.
    """

    def __init__(self, channels: int, window: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.shape = (channels, *window)
        depth = max(1, int(math.log2(min(window))) - 1)  # down to 2 to 3 places on the short side
        widths = [channels, *(max(dim >> (depth - 1 - layer), 16) for layer in range(depth))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, after),
                nn.GELU(),
            ]
        self.convolutions = nn.Sequential(*layers)
        rows, columns = (math.ceil(side / 2**depth) for side in window)
        self.projection = nn.Linear(widths[-1] * rows * columns, dim)

    def forward(self, rows: Float[Tensor, "N F"]) -> Float[Tensor, "N D"]:
        windows = rows.unflatten(1, self.shape)
        return self.projection(self.convolutions(windows).flatten(1))
