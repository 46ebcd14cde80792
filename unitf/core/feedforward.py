"""Feed-forward: what a block computes for each token by itself."""

from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from unitf.core import named
from unitf.core.activations import Activation
from unitf.core.auxiliary import Auxiliary
from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.norms import Norm, make_norm
from unitf.core.residual import mark_residual_output
from unitf.nn.projection import Projection


class FeedForward(nn.Module):
    """What a block computes for each token after attention; the base class of all feed-forwards.

    A subclass implements `forward`, which maps (N, D) to (N, D). N may be 0, and the result of a
    token must not depend on the other tokens. The core calls `cls(config, **init_args)`. The
    subclass calls `mark_residual_output` with the linear layer whose output is added to the
    columns.

    With `has_auxiliary`, `forward` may also return `(rows, {name: AuxiliaryLoss or Figure})` in
    training. It must not store these values anywhere else: a block may be computed twice.
    """

    if TYPE_CHECKING:

        def __call__(self, rows: Tensor) -> Tensor | tuple[Tensor, Auxiliary]: ...

    has_auxiliary: ClassVar[bool] = False

    def forward(
        self, rows: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"] | tuple[Float[Tensor, "N D"], Auxiliary]:
        """Returns the rows (N, D) that the block adds to the columns."""
        raise NotImplementedError


class DenseFeedForward(FeedForward):
    """Two projections with an activation between them (Vaswani et al., 2017).

    One fused projection computes both inputs of a gate (Shazeer, 2020).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation: Activation = named.make(Activation, "activation", config.activation)
        self.dropout: float = config.activation_dropout
        width = self.activation.num_inputs * config.hidden_dim
        self.inner: Projection = Projection(config.dim, width, bias=config.bias)
        self.norm: Norm | None = None
        if config.hidden_norm:
            self.norm = make_norm(config, config.hidden_dim)
        self.out: Projection = Projection(config.hidden_dim, config.dim, bias=config.bias)
        mark_residual_output(self.out)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Returns the rows that the block adds to the columns."""
        hidden = dropout(self.activation(self.inner(rows)), self.dropout, self.training)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return self.out(hidden)


def make_feedforward(config: TransformerConfig) -> FeedForward:
    """Returns the feed-forward that `config.feedforward` names."""
    return named.make(FeedForward, "feedforward", config.feedforward, config)
