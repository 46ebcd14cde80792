"""How a signal becomes tokens."""

from os import PathLike

import numpy as np
import torch
import unitf
from einops import rearrange


class $Name(unitf.Tokenizer):
    """A signal of several channels: one token for each window of time.

    Args:
        channels: of the signal.
        window: time steps in a token.
    """

    def __init__(self, dim: int, channels: int = 2, window: int = 10) -> None:
        super().__init__(dim)
        self.channels: int = channels
        self.window: int = window
        self.num_features: int | None = channels * window

    def encode(self, value: object, train: bool = False) -> unitf.Features:
        signal = torch.as_tensor(read(value), dtype=torch.float32)
        if signal.ndim != 2 or signal.shape[0] != self.channels:
            raise unitf.UserError(
                f"expected a signal of shape ({self.channels}, time), found {tuple(signal.shape)}"
            )
        if not signal.isfinite().all():
            raise unitf.UserError("expected finite numbers, found NaN or infinity")
        signal = signal[:, : signal.shape[1] // self.window * self.window]
        return unitf.Features(rearrange(signal, "c (n t) -> (c t) n", t=self.window))

    def decode(self, features: unitf.Features) -> torch.Tensor:
        return rearrange(features.values, "(c t) n -> c (n t)", t=self.window)

    @staticmethod
    def examples() -> list[torch.Tensor]:
        """Raw values for `unitf plugins check $Name`."""
        return [torch.sin(torch.arange(2.0 * n)).reshape(2, n) for n in (10, 57, 200)]


def read(value: object) -> object:
    """Returns a signal that is an array, or reads it from a `.npy` file."""
    if not isinstance(value, str | PathLike):
        return value
    try:
        return np.load(value)
    except (OSError, ValueError, EOFError) as error:
        raise unitf.UserError(f"expected a .npy file, found {value}: {error}") from error
