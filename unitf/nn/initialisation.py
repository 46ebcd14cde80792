"""How parameters begin, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import nn

_draws: ContextVar[bool] = ContextVar("draws", default=True)


def initialise(module: nn.Module, std: float = 0.02) -> None:
    """Truncated normal weights (±2 std), zero biases, unit scales; for every layer of `module`.

    std 0.02 is that of BERT, GPT-2 and ViT. Residual outputs are scaled by the core itself.
    """
    if not _draws.get():
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


@contextmanager
def without_initialisation() -> Iterator[None]:
    """While it lasts, `initialise` leaves weights as torch made them: they are loaded next.

    To draw truncated normal numbers takes longer than to read them from a file.
    """
    token = _draws.set(False)
    try:
        yield
    finally:
        _draws.reset(token)
