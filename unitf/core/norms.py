"""Norms: of each token over its numbers, or of each number over all tokens."""

from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core import named
from unitf.core.config import TransformerConfig
from unitf.nn.batch_norm import BatchNorm


class Norm(nn.Module):
    """A normalisation of rows; the base class of all norms.

    A subclass implements `forward`, which maps (*N, width) to (*N, width). The core calls
    `cls(config, width, **init_args)`, where `width` is D, or the width of a head or of the
    feed-forward.
    """

    if TYPE_CHECKING:

        def __call__(self, input: Tensor) -> Tensor: ...

    over_tokens: ClassVar[bool] = False  # whether a token's result depends on the other tokens

    def forward(self, input: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """Returns the normalised rows."""
        raise NotImplementedError


class LayerNorm(nn.LayerNorm, Norm):
    """Layer normalisation (Ba et al., 2016)."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            width, eps=config.norm_eps, bias=config.norm_bias
        )


class RMSNorm(nn.RMSNorm, Norm):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Root mean square normalisation (Zhang and Sennrich, 2019)."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__(width, eps=config.norm_eps)  # pyright: ignore[reportUnknownMemberType]


class OffsetRMSNorm(Norm):
    """An RMSNorm whose scale is 1 + weight, so that a weight of 0 scales by 1 (Gemma)."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.weight: nn.Parameter = nn.Parameter(torch.zeros(width))
        self.eps: float = config.norm_eps

    def forward(self, input: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        # 1 + weight in half precision would lose most of the weight
        kind = torch.promote_types(input.dtype, torch.float32)
        scale = 1 + self.weight.to(kind)
        return F.rms_norm(input.to(kind), scale.shape, scale, self.eps).to(input.dtype)


class TokenBatchNorm(BatchNorm, Norm):
    """Batch normalisation over all real tokens of the batch: packed rows hold no padding."""

    over_tokens: ClassVar[bool] = True

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__(width, eps=config.norm_eps)


def make_norm(config: TransformerConfig, width: int | None = None) -> Norm:
    """Returns the norm that `config.norm` names, of `width` numbers; None: `config.dim`."""
    width = config.dim if width is None else width
    return named.make(Norm, "norm", config.norm, config, width)
