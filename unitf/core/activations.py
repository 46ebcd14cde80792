"""Activations of a feed-forward, with and without a gate."""

from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Activation(nn.Module):
    """The function inside a feed-forward; the base class of all activations.

    A subclass implements `forward`, which maps (N, num_inputs · hidden) to (N, hidden). It may have
    settings and parameters. The core calls `cls(**init_args)`.
    """

    num_inputs: ClassVar[int] = 1  # it reads so many times `hidden` numbers: 2 for a gate

    if TYPE_CHECKING:

        def __call__(self, inner: Tensor) -> Tensor: ...

    def forward(self, inner: Float[Tensor, "*N inner"]) -> Float[Tensor, "*N hidden"]:
        """Returns the activated numbers."""
        raise NotImplementedError


class Gelu(Activation):
    """GELU (Hendrycks and Gimpel, 2016)."""

    def forward(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.gelu(inner)


class GeluTanh(Activation):
    """GELU by its approximation with tanh (GPT-2)."""

    def forward(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.gelu(inner, approximate="tanh")


class QuickGelu(Activation):
    """GELU by its approximation with a sigmoid (CLIP)."""

    def forward(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return inner * torch.sigmoid(1.702 * inner)


class Relu(Activation):
    """ReLU."""

    def forward(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.relu(inner)


class Silu(Activation):
    """SiLU, also called Swish."""

    def forward(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.silu(inner)


class GatedActivation(Activation):
    """Activates the first half of the numbers and multiplies it by the other (Shazeer, 2020).

    A subclass implements `gate`.
    """

    num_inputs: ClassVar[int] = 2

    def gate(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        """Returns the activation of the first half."""
        raise NotImplementedError

    def forward(self, inner: Float[Tensor, "*N inner"]) -> Float[Tensor, "*N hidden"]:
        gate, value = inner.chunk(2, dim=-1)
        return self.gate(gate) * value


class GeGLU(GatedActivation):
    """A gate with GELU."""

    def gate(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.gelu(inner)


class GeGLUTanh(GatedActivation):
    """A gate with GELU by its approximation with tanh."""

    def gate(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.gelu(inner, approximate="tanh")


class ReGLU(GatedActivation):
    """A gate with ReLU."""

    def gate(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.relu(inner)


class SwiGLU(GatedActivation):
    """A gate with SiLU."""

    def gate(self, inner: Float[Tensor, "*N hidden"]) -> Float[Tensor, "*N hidden"]:
        return F.silu(inner)
