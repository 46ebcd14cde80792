"""What a masked model guesses, as a person reads it."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from unitf.features import Features
from unitf.tasks.task import Prediction
from unitf.tokenizer.tokenizer import Tokenizer

TOP: int = 5  # the number of tokens that a prediction names for each mask


@dataclass(frozen=True, eq=False)
class Guess:
    """What is predicted of the hidden tokens of one input."""

    sequences: Shaped[Tensor, " M"]  # for each hidden token the index of its sequence
    indices: Shaped[Tensor, " M"]  # for each hidden token its index among the input's tokens
    predicted: Float[Tensor, "_ M"]  # V×M logits of ids, or F×M numbers
    losses: Float[Tensor, " M"]


def filled(
    tokenizer: Tokenizer,
    features: Features,
    indices: Shaped[Tensor, " M"],
    logits: Float[Tensor, "V M"],
) -> Prediction:
    """Returns the value with the best tokens at the masks, and the best tokens of each mask."""
    probabilities, ids = logits.float().softmax(0).topk(min(TOP, len(logits)), dim=0)
    values = features.values.clone()
    values[indices] = ids[0].cpu().to(values.dtype)
    masks = []
    for index, *best in zip(
        indices.tolist(), ids.mT.tolist(), probabilities.mT.tolist(), strict=True
    ):
        tokens = [
            {"token": spelled(tokenizer, number), "probability": p}
            for number, p in zip(*best, strict=True)
        ]
        masks.append({"position": index, "tokens": tokens})
    filled = replace(features, values=values)
    return {"filled": value_of(tokenizer, filled), "masks": masks}


def value_of(tokenizer: Tokenizer, features: Features) -> object:
    """Decodes tokens to plain data."""
    value = tokenizer.decode(features)
    return value.tolist() if isinstance(value, np.ndarray | Tensor) else value


def spelled(tokenizer: Tokenizer, number: int) -> str:
    """Returns the text of one id, or its number where the text is empty."""
    value = tokenizer.decode(Features(torch.tensor([number])))
    return str(value) or f"[{number}]"
