"""Norms: of each token over its D numbers, or of each number over the real tokens."""

from jaxtyping import Float
from torch import Tensor, nn

from unitf.core.config import TransformerConfig


class BatchNorm(nn.BatchNorm1d):
    """Each of the D numbers over all real tokens of the batch: packed rows hold no padding."""

    def forward(self, input: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        if self.training and input.shape[0] < 2:  # one token has no variance
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def _layer(config: TransformerConfig) -> nn.Module:
    return nn.LayerNorm(config.dim, eps=config.norm_eps, bias=config.bias)


def _rms(config: TransformerConfig) -> nn.Module:
    return nn.RMSNorm(config.dim, eps=config.norm_eps)


def _batch(config: TransformerConfig) -> nn.Module:
    return BatchNorm(config.dim, eps=config.norm_eps)


_NORMS = {"layer": _layer, "rms": _rms, "batch": _batch}


def make_norm(config: TransformerConfig) -> nn.Module:
    """A norm as `config.norm` says."""
    return _NORMS[config.norm](config)
