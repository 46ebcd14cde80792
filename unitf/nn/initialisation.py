"""How parameters begin, in one place."""

from torch import nn


def initialise(module: nn.Module, std: float = 0.02) -> None:
    """Truncated normal weights (±2 std), zero biases, unit scales; for every layer of `module`.

    std 0.02 is that of BERT, GPT-2 and ViT. Residual outputs are scaled by the core itself.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
