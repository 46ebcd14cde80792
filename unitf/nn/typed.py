"""Tensor functions whose types torch leaves partly unknown, with complete types."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def from_numpy(array: Shaped[np.ndarray, "*shape"], device: torch.device) -> Tensor:
    """Copies an array to a device, without waiting for the copy."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def split(values: Tensor, sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Returns views of the given sizes along one dimension: `Tensor.split`."""
    return values.split(sizes, dim=dim)


def unflatten(values: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """Expands one dimension into several: `Tensor.unflatten`."""
    return values.unflatten(dim, sizes)


def to_integers(values: Tensor) -> list[int]:
    """Returns the integers of a tensor (N,) as a list; waits for the device."""
    return values.tolist()


def orthogonal(matrices: Float[Tensor, "*S R C"]) -> Float[Tensor, "*S R K"]:
    """Returns the orthogonal factor of the QR decomposition of each matrix."""
    return torch.linalg.qr(matrices).Q
