"""TokenMetrics: perplexity and other means over the losses of tokens."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class TokenMetrics(Metric):
    """Means over tokens: nats, perplexity and bits per byte of ids, squared error of numbers."""

    full_state_update: bool | None = False
    nats: Tensor
    num_ids: Tensor
    text_nats: Tensor
    num_bytes: Tensor
    errors: Tensor
    num_vectors: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("nats", "num_ids", "text_nats", "num_bytes", "errors", "num_vectors"):
            # float64: an epoch has more tokens than float32 can count
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, sums: Tensor, num_tokens: int, num_bytes: Tensor, is_ids: bool) -> None:
        """Adds the losses of some samples.

        Args:
            sums: for each sample the sum of the losses of its tokens.
            num_tokens: the number of tokens of all these samples.
            num_bytes: for each sample the number of bytes of its text; 0: it is no text.
            is_ids: whether the tokens are ids.
        """
        sums = sums.double()
        if is_ids:
            self.nats += sums.sum()
            self.num_ids += num_tokens
            self.text_nats += (sums * (num_bytes > 0)).sum()
            self.num_bytes += num_bytes.sum()
        else:
            self.errors += sums.sum()
            self.num_vectors += num_tokens

    def compute(self) -> dict[str, Tensor]:
        """Returns the means; those over no token are NaN."""
        return {  # 0 / 0 is NaN, which TaskMetrics leaves out
            "loss": (self.nats + self.errors) / (self.num_ids + self.num_vectors),
            "nats_per_token": self.nats / self.num_ids,
            "perplexity": (self.nats / self.num_ids).exp(),
            "bits_per_byte": self.text_nats / math.log(2) / self.num_bytes,
            "mse": self.errors / self.num_vectors,
        }
