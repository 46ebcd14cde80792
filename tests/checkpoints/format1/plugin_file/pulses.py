"""A modality that is not packaged: pulses, two numbers to a token."""

import torch

import unitf


class Pulses(unitf.Tokenizer):
    """Numbers from a text with spaces between them."""

    num_features = 2

    def __init__(self, dim: int, scale: float = 1.0, **options):
        super().__init__(dim, **options)
        self.scale = scale

    def encode(self, value, train=False):
        numbers = torch.tensor([float(word) for word in str(value).split()]) * self.scale
        return unitf.Features(numbers[: len(numbers) // 2 * 2].reshape(-1, 2).mT)
