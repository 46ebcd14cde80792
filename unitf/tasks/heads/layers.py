"""Linear layers one after the other."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf.nn.initialisation import initialise


class Layers(nn.Module):
    """Linear layers with ReLU between them; the last has `size` outputs."""

    def __init__(self, dim: int, size: int, depth: int = 3) -> None:
        super().__init__()
        widths = [dim] * depth + [size]
        self.layers: nn.ModuleList = nn.ModuleList(
            nn.Linear(before, after) for before, after in pairwise(widths)
        )
        initialise(self)

    def forward(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "N size"]:
        """Applies the layers to each row."""
        *inner, last = self.layers
        for layer in inner:
            rows = functional.relu(layer(rows))
        return last(rows)
