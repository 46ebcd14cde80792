"""ConvolutionalStem: convolutions over the whole image that make the tokens of its patches."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import Features, UserError
from unitf.tokenizer import BatchNorm


class ConvolutionalStem(nn.Module):
    """Convolutions of stride 2 (the second: stride 1), and a last one that projects to D.

    Early convolutions help a Transformer to learn from few images (Xiao et al., 2021,
    arXiv:2106.14881). As in that paper, batch norm follows each one. A token also depends on the
    neighbouring patches.

    Args:
        channels: the number of channels of the image.
        patch: rows and columns of a patch, in pixels; both even.
        dim: D, the width of a token.
    """

    def __init__(self, channels: int, patch: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.shape = (channels, *patch)
        common = math.gcd(*patch)
        depth = (common & -common).bit_length() - 1  # how often both sides can be halved
        if depth == 0:
            raise UserError(f"stem 'convolution' halves a patch: its sides must be even: {patch}")
        widths = [max(dim >> (depth - 1 - layer), 16) for layer in range(depth)]
        # a convolution that keeps the size follows the first halving
        stages = [(widths[0], 2), (widths[min(1, depth - 1)], 1), *((w, 2) for w in widths[1:])]
        layers: list[nn.Module] = []
        for width, stride in stages:
            layers += [
                nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
                BatchNorm(width),
                nn.GELU(),
            ]
            channels = width
        rest = (patch[0] >> depth, patch[1] >> depth)
        self.projection = nn.Conv2d(channels, dim, rest, stride=rest)
        nn.init.xavier_uniform_(self.projection.weight)
        self.layers = nn.Sequential(*layers, self.projection)

    def forward(self, features: Features) -> Float[Tensor, "N D"]:
        """Returns the tokens of images; the batch holds their patches row by row.

        Missing patches at the end of an image have the mean colour.
        """
        sequences = features.rows.split(features.lengths)
        shapes = list(zip(features.lengths, _grids(features), strict=True))
        owners, images = [], []  # images of one grid are processed together
        for length, grid in sorted(shape for shape in set(shapes) if shape[0]):
            owners.append(
                [number for number, shape in enumerate(shapes) if shape == (length, grid)]
            )
            patches = torch.stack([sequences[number] for number in owners[-1]])
            missing = math.prod(grid) - length
            images.append(self._fold(nn.functional.pad(patches, (0, 0, 0, missing)), grid))
        if not images:  # without images the layers still run, so that each parameter has a gradient
            nothing = features.rows.new_zeros(0, 1, features.rows.shape[1])
            return self._through([self._fold(nothing, (1, 1))])[0].flatten(1)
        tokens: dict[int, Tensor] = {}
        for numbers, outputs in zip(owners, self._through(images), strict=True):
            length = features.lengths[numbers[0]]
            tokens.update(zip(numbers, outputs.flatten(2).mT[:, :length], strict=True))
        return torch.cat([tokens[number] for number in sorted(tokens)])

    def _through(self, images: list[Tensor]) -> list[Tensor]:
        """Applies the layers to images (B, C, H, W) of several sizes; batch norm is over all."""
        for layer in self.layers:
            if isinstance(layer, BatchNorm):
                images = layer.normalise(images)
            else:
                images = [layer(image) for image in images]
        return images

    def _fold(
        self, patches: Float[Tensor, "B N F"], grid: tuple[int, int]
    ) -> Float[Tensor, "B C H W"]:
        """Puts patches together to images."""
        cells = patches.unflatten(2, self.shape).unflatten(1, grid)  # (B, R, K, C, h, w)
        return cells.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _grids(features: Features) -> list[tuple[int, int]]:
    """Returns rows and columns of patches of each image; its first row gives the columns."""
    rows, count = features.positions[0], features.num_tokens
    if not count:
        return [(0, 0)] * features.num_sequences
    lengths = torch.tensor(features.lengths, device=rows.device)
    first = rows[(lengths.cumsum(0) - lengths).clamp(max=count - 1)]
    owner = torch.arange(len(lengths), device=rows.device)
    owner = owner.repeat_interleave(lengths, output_size=count)
    in_first_row = (rows == first[owner]).long()
    columns = torch.zeros_like(lengths).index_add_(0, owner, in_first_row).tolist()
    return [
        (-(-length // max(width, 1)), width)
        for length, width in zip(features.lengths, columns, strict=True)
    ]
