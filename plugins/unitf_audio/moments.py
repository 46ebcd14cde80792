"""Mean and deviation that tokenizers of sound learn before training."""

import math
import random
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from unitf import UserError

LOOKED_AT = 20_000  # the first so many training sounds are considered …
MEASURED = 500  # … and this many of them are decoded


def fit_moments(
    values: Iterable[object], measure: Callable[[object], Tensor], across: tuple[int, ...]
) -> dict[str, Tensor]:
    """Returns mean and standard deviation of the results of `measure` on some of the sounds.

    Args:
        values: the raw sounds; they may be sorted by class, so a random subset is used.
        measure: returns the matrix of a sound, or raises UserError; then another sound is used,
            and `encode` reports the error.
        across: the axes of the matrix over which the mean is computed.
    """
    generator = random.Random(0)  # the same data give the same mean
    chosen: list[Any] = []
    for index, value in enumerate(islice(values, LOOKED_AT)):
        if index < MEASURED:
            chosen.append(value)
        elif (replaced := generator.randrange(index + 1)) < MEASURED:
            chosen[replaced] = value
    count, total, squares, failure = 0, torch.zeros(()), torch.zeros(()), None
    for value in chosen:
        try:
            numbers = measure(value).double()
        except UserError as error:
            failure = error
            continue
        count += math.prod(numbers.shape[axis] for axis in across)
        total = total + numbers.sum(across, keepdim=True)
        squares = squares + numbers.square().sum(across, keepdim=True)
    if not count:
        raise UserError(f"no sound to learn from: {failure or 'there is none'}")
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    # a band that is always silent has no deviation to divide by
    deviation = deviation.where(deviation > 1e-5, 1.0)
    return {"mean": mean.float(), "std": deviation.float()}
