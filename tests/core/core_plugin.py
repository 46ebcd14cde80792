"""A plugin of one file: a norm, an activation, a feed-forward and a position scheme."""

import torch
from torch import nn

from unitf.core import (
    Activation,
    AuxiliaryLoss,
    FeedForward,
    Figure,
    Norm,
    RelativePositions,
    mark_residual_output,
)
from unitf.errors import UserError


class DynamicTanh(Norm):
    """A norm that computes no statistics (Zhu et al., 2025)."""

    def __init__(self, config, width, alpha=0.5):
        super().__init__()
        if alpha <= 0:
            raise UserError(f"alpha must be above 0, found {alpha}")
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, input):
        return torch.tanh(self.alpha * input) * self.weight


class SquaredRelu(Activation):
    """ReLU, squared (So et al., 2021)."""

    def forward(self, inner):
        return torch.relu(inner).square()


class LowRank(FeedForward):
    """Two linear layers through few numbers; it wants small outputs."""

    has_auxiliary = True

    def __init__(self, config, rank, penalty=0.1):
        super().__init__()
        self.inner = nn.Linear(config.dim, rank)
        self.last = mark_residual_output(nn.Linear(rank, config.dim))
        self.penalty = penalty

    def forward(self, rows):
        out = self.last(torch.relu(self.inner(rows)))
        if not self.training:
            return out
        size = out.square().sum() / max(out.numel(), 1)
        return out, {
            "output_size": AuxiliaryLoss(size, self.penalty),
            "output_mean": Figure(out.detach().sum() / max(out.numel(), 1)),
        }


class NearerIsBetter(RelativePositions):
    """Each head learns how much the distance of two tokens lowers their score."""

    biased = True

    def __init__(self, config, causal, power=1.0):
        super().__init__()
        self.slopes = nn.Parameter(torch.full((config.num_heads, 1, 1), 0.1))
        self.power = power

    def forward(self, queries, keys):
        distance = (queries[..., 0, :, None] - keys[..., 0, None, :]).abs() ** self.power
        return -self.slopes * distance[..., None, :, :]
