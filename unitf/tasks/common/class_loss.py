"""The loss of classes that are rare: weights of classes, and focal loss."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from unitf.errors import UserError, did_you_mean

ClassWeights: TypeAlias = Literal["balanced"] | dict[str, float]
OUT_OF_SCOPE: int = -1  # the target of a sample of a test whose class is unknown


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Returns the logarithms of probabilities; that of 0 is finite."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Returns a weight for each class, inverse to its number of training samples.

    The mean weight of a training sample is 1. A class without samples weighs as one with one.
    """
    total, size = sum(counts), len(counts)
    return [total / (size * max(count, 1)) for count in counts]


def named_weights(weights: Mapping[str, float], classes: Iterable[object]) -> list[float]:
    """Returns the weight of each class; one that is not named weighs 1.

    Raises:
        UserError: a name is no class, a weight is below 0 or not finite, or all are 0.
    """
    names = [str(name) for name in classes]
    for name, weight in weights.items():
        if name not in names:
            raise UserError(f"class_weights: unknown class {name!r}" + did_you_mean(name, names))
        if not 0 <= weight < math.inf:
            raise UserError(f"class_weights.{name}: expected 0 or more, found {weight}")
    found = [float(weights.get(name, 1.0)) for name in names]
    if not any(found):
        raise UserError("class_weights: all classes weigh 0, expected one that weighs more")
    return found


def class_losses(
    logits: Float[Tensor, "S C"],
    target: Shaped[Tensor, "S *C"],
    label_smoothing: float = 0.0,
    focal: float = 0.0,
) -> Float[Tensor, " S"]:
    """Returns the cross-entropy of each sample, or its focal loss; 0 if it is out of scope.

    Args:
        logits: of all classes.
        target: the classes, or a row of probabilities for each sample.
        label_smoothing: the part of the target that is spread over all classes.
        focal: γ of Lin et al. (2017, arXiv:1708.02002); 0: cross-entropy.
    """
    # torch refuses an ignored index beside probabilities, unless it is its own default
    ignored = OUT_OF_SCOPE if target.ndim == 1 else -100
    losses = functional.cross_entropy(
        logits,
        target,
        reduction="none",
        label_smoothing=label_smoothing,
        ignore_index=ignored,
    )
    if not focal:
        return losses
    return (1 - true_probabilities(logits, target)).pow(focal) * losses


def true_probabilities(
    logits: Float[Tensor, "S C"], target: Shaped[Tensor, "S *C"]
) -> Float[Tensor, " S"]:
    """Returns the probability of each sample's class, or of its classes by their parts."""
    probabilities = logits.softmax(1)
    if target.ndim == 2:
        return (probabilities * target).sum(1)
    return probabilities.gather(1, target.clamp(min=0)[:, None])[:, 0]


def sample_weights(
    target: Shaped[Tensor, "S *C"], weights: Float[Tensor, " C"] | None
) -> Float[Tensor, " S"]:
    """Returns the weight of each sample by its class; 0 if it is out of scope.

    Args:
        target: the classes, or a row of probabilities for each sample.
        weights: of the classes; None: each weighs 1.
    """
    if target.ndim == 2:
        return torch.ones_like(target[:, 0]) if weights is None else target @ weights
    in_scope = (target >= 0).float()
    return in_scope if weights is None else weights[target.clamp(min=0)] * in_scope
