"""What a tokenizer of sound learns before training: mean and deviation of its numbers."""

import math
import random
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from unitf import UserError

LOOKED_AT = 20_000  # training sounds of which …
MEASURED = 500  # … so many are decoded


def fit_moments(
    values: Iterable[Any], measure: Callable[[Any], Tensor], across: tuple[int, ...]
) -> dict[str, Tensor]:
    """Mean and standard deviation of what `measure` makes of some of the sounds.

    Args:
        values: the raw sounds; they may be sorted by class, so some are drawn from all over.
        measure: gives a matrix of a sound, or a UserError: then another one has to do, and
            whoever encodes it reports it.
        across: the axes of the matrix over which the mean is taken.
    """
    generator = random.Random(0)  # the same data, the same mean
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
    # in a band in which nothing ever sounds, there is no deviation to divide by
    deviation = deviation.where(deviation > 1e-5, 1.0)
    return {"mean": mean.float(), "std": deviation.float()}
