"""Feed-forward: what a block computes for each token by itself."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from unitf.core import named
from unitf.core.activations import Activation
from unitf.core.auxiliary import Auxiliary
from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import make_norm
from unitf.core.residual import mark_residual_output
from unitf.nn.projection import Projection


class FeedForward(nn.Module):
    """What a block computes for each token after attention; the base class of all feed-forwards.

    A subclass writes `forward`, which maps (N, D) to (N, D). N may be 0, and the result for a token
    must not depend on the other tokens. It is made as `cls(config, **init_args)`. A linear layer
    whose output is added to the columns goes through `mark_residual_output`.

    With `has_auxiliary`, `forward` may also return `(rows, {name: AuxiliaryLoss or Figure})` in
    training. It must not keep these values anywhere else: a block may be computed twice.
    """

    has_auxiliary: ClassVar[bool] = False

    def forward(
        self, rows: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"] | tuple[Float[Tensor, "N D"], Auxiliary]:
        raise NotImplementedError


class DenseFeedForward(FeedForward):
    """Two projections with an activation between them (Vaswani et al., 2017).

    The numbers that a gate multiplies (Shazeer, 2020) come from one fused projection.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation: Activation = named.make("activation", config.activation)
        self.dropout = config.activation_dropout
        width = self.activation.num_inputs * config.hidden_dim
        self.inner = Projection(config.dim, width, bias=config.bias)
        self.norm = make_norm(config, config.hidden_dim) if config.hidden_norm else None
        self.out = Projection(config.hidden_dim, config.dim, bias=config.bias)
        mark_residual_output(self.out)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        hidden = dropout(self.activation(self.inner(rows)), self.dropout, self.training)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return self.out(hidden)


def make_feedforward(config: TransformerConfig) -> FeedForward:
    """A feed-forward as `config.feedforward` says."""
    return named.make("feedforward", config.feedforward, config)
