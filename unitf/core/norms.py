"""Norms: of each token over its numbers, or of each number over the real tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core.config import TransformerConfig
from unitf.nn.batch_norm import BatchNorm


class OffsetRMSNorm(nn.Module):
    """An RMSNorm whose scale is 1 + weight, so that no weight is no scale (Gemma)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, input: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        # 1 + weight in half precision would lose most of the weight
        kind = torch.promote_types(input.dtype, torch.float32)
        scale = 1 + self.weight.to(kind)
        return F.rms_norm(input.to(kind), scale.shape, scale, self.eps).to(input.dtype)


def _layer(config: TransformerConfig, width: int) -> nn.Module:
    return nn.LayerNorm(width, eps=config.norm_eps, bias=config.norm_bias)


def _rms(config: TransformerConfig, width: int) -> nn.Module:
    return nn.RMSNorm(width, eps=config.norm_eps)


def _rms_offset(config: TransformerConfig, width: int) -> nn.Module:
    return OffsetRMSNorm(width, eps=config.norm_eps)


def _batch(config: TransformerConfig, width: int) -> nn.Module:
    # over all real tokens of the batch: packed rows hold no padding
    return BatchNorm(width, eps=config.norm_eps)


_NORMS = {"layer": _layer, "rms": _rms, "rms_offset": _rms_offset, "batch": _batch}


def make_norm(config: TransformerConfig, width: int | None = None) -> nn.Module:
    """A norm as `config.norm` says; None: of a whole token."""
    return _NORMS[config.norm](config, config.dim if width is None else width)
