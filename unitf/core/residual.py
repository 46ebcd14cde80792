"""Residuals: where a norm stands, and what else lies between a layer and the columns."""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import make_norm

Sublayer = Callable[[Tensor], Tensor]
AnyLayer = TypeVar("AnyLayer", bound=nn.Module)


class PreNorm(nn.Module):
    """x + layer(norm(x)); dropout, layer scale and drop path on the way; base of the others.

    Args:
        normed: whether there is a norm at all.
    """

    def __init__(self, config: TransformerConfig, normed: bool = True) -> None:
        super().__init__()
        self.norm = make_norm(config) if normed else nn.Identity()
        self.dropout = config.dropout
        self.scale = None
        if config.layer_scale is not None:
            self.scale = nn.Parameter(torch.full((config.dim,), config.layer_scale))

    def forward(
        self, rows: Float[Tensor, "N D"], layer: Sublayer, keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return rows + self.added(layer(self.norm(rows)), keep)

    def added(
        self, rows: Float[Tensor, "N D"], keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        """What is left of a layer's output when it reaches the columns."""
        return self.scaled(self.dropped(rows), keep)

    def dropped(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return dropout(rows, self.dropout, self.training)

    def scaled(
        self, rows: Float[Tensor, "N D"], keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        if self.scale is not None:
            rows = rows * self.scale
        return rows if keep is None else rows * keep


class PostNorm(PreNorm):
    """norm(x + layer(x))"""

    def forward(
        self, rows: Float[Tensor, "N D"], layer: Sublayer, keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return self.norm(rows + self.added(layer(rows), keep))


class ResPostNorm(PreNorm):
    """x + norm(layer(x))"""

    def forward(
        self, rows: Float[Tensor, "N D"], layer: Sublayer, keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return rows + self.scaled(self.norm(self.dropped(layer(rows))), keep)


class SandwichNorm(PreNorm):
    """x + norm_after(layer(norm(x)))"""

    def __init__(self, config: TransformerConfig, normed: bool = True) -> None:
        super().__init__(config, normed)
        self.norm_after = make_norm(config)

    def added(
        self, rows: Float[Tensor, "N D"], keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return self.scaled(self.norm_after(self.dropped(rows)), keep)


_POSITIONS = {"pre": PreNorm, "post": PostNorm, "res_post": ResPostNorm, "sandwich": SandwichNorm}


def mark_residual_output(layer: AnyLayer) -> AnyLayer:
    """Marks a linear layer whose output is added to the columns, and returns it.

    The core scales the initial weights of these layers, as GPT-2 does, so that the columns do not
    grow with the number of blocks.
    """
    layer.is_residual_output = True  # type: ignore[assignment] (of any module)
    return layer


def is_residual_output(layer: nn.Module) -> bool:
    """Whether `mark_residual_output` was called with this layer."""
    return getattr(layer, "is_residual_output", False) is True


def make_residual(config: TransformerConfig, normed: bool = True) -> PreNorm:
    """A residual as `config.norm_position` says."""
    return _POSITIONS[config.norm_position](config, normed)
