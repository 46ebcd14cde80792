"""Residuals: how the output of a layer is added to the columns, and where the norm stands."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import Norm, make_norm

Sublayer = Callable[[Tensor], Tensor]
AnyLayer = TypeVar("AnyLayer", bound=nn.Module)

_MARK = "is_residual_output"


class PreNorm(nn.Module):
    """x + layer(norm(x)), with dropout, layer scale and drop path; the base of all residuals.

    Args:
        normed: whether there is a norm.
    """

    if TYPE_CHECKING:

        def __call__(self, rows: Tensor, layer: Sublayer, keep: Tensor | None) -> Tensor: ...

    def __init__(self, config: TransformerConfig, normed: bool = True) -> None:
        super().__init__()
        self.norm: Norm | nn.Identity = make_norm(config) if normed else nn.Identity()
        self.dropout: float = config.dropout
        self.scale: nn.Parameter | None = None
        if config.layer_scale is not None:
            self.scale = nn.Parameter(torch.full((config.dim,), config.layer_scale))

    def forward(
        self, rows: Float[Tensor, "N D"], layer: Sublayer, keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        """Returns the columns after the layer.

        Args:
            keep: the factor of the output of each token (drop path); None: 1.
        """
        return rows + self.added(layer(self.norm(rows)), keep)

    def added(
        self, rows: Float[Tensor, "N D"], keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        """Returns what is added to the columns for the output `rows` of a layer."""
        return self.scaled(self.dropped(rows), keep)

    def dropped(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Returns the rows after dropout."""
        return dropout(rows, self.dropout, self.training)

    def scaled(
        self, rows: Float[Tensor, "N D"], keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        """Returns the rows after layer scale and drop path."""
        if self.scale is not None:
            rows = rows * self.scale
        return rows if keep is None else rows * keep


class PostNorm(PreNorm):
    """norm(x + layer(x)), as in the first Transformer (Vaswani et al., 2017)."""

    def forward(
        self, rows: Float[Tensor, "N D"], layer: Sublayer, keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return self.norm(rows + self.added(layer(rows), keep))


class ResPostNorm(PreNorm):
    """x + norm(layer(x)), as in EVA-giant and Swin v2."""

    def forward(
        self, rows: Float[Tensor, "N D"], layer: Sublayer, keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return rows + self.scaled(self.norm(self.dropped(layer(rows))), keep)


class SandwichNorm(PreNorm):
    """x + norm_after(layer(norm(x))), as in Gemma 2."""

    def __init__(self, config: TransformerConfig, normed: bool = True) -> None:
        super().__init__(config, normed)
        self.norm_after: Norm = make_norm(config)

    def added(
        self, rows: Float[Tensor, "N D"], keep: Float[Tensor, "N 1"] | None
    ) -> Float[Tensor, "N D"]:
        return self.scaled(self.norm_after(self.dropped(rows)), keep)


_RESIDUALS: dict[str, type[PreNorm]] = {
    "pre": PreNorm,
    "post": PostNorm,
    "res_post": ResPostNorm,
    "sandwich": SandwichNorm,
}


def mark_residual_output(layer: AnyLayer) -> AnyLayer:
    """Marks a linear layer whose output is added to the columns, and returns it.

    The core scales the initial weights of these layers, as GPT-2 does, so that the columns do not
    grow with the number of blocks.
    """
    setattr(layer, _MARK, True)
    return layer


def is_residual_output(layer: nn.Module) -> bool:
    """Whether `mark_residual_output` was called with this layer."""
    return getattr(layer, _MARK, False) is True


def make_residual(config: TransformerConfig, normed: bool = True) -> PreNorm:
    """Returns the residual that `config.norm_position` names."""
    return _RESIDUALS[config.norm_position](config, normed)
