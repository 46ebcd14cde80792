"""A peer as a Model of unitf, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.interop.architecture import Architecture
from unitf.interop.weight_map import WeightMap
from unitf.model import Model


def to_model(architecture: Architecture) -> Model:
    """The same model in unitf, with the peer's weights.

    Raises:
        UserError: a tensor is left over, left out or of another shape; it is named.
    """
    tokenizers = architecture.tokenizers()
    model = Model(
        architecture.core(),
        {name: lambda dim, made=made: made for name, made in tokenizers.items()},
        architecture.tasks(),
    )
    model.build_components()
    own = {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}
    made = WeightMap(architecture.weight_map(), architecture.published.state_dict()).to_unitf(own)
    model.load_state_dict({**model.state_dict(), **made})
    return model.eval()


def to_peer(architecture: Architecture, state: Mapping[str, Any]) -> nn.Module:
    """The architecture's peer, filled with the weights of a Model's `state`.

    Raises:
        UserError: a tensor is missing or of another shape; it is named.
    """
    published = architecture.published
    theirs = published.state_dict()
    table = WeightMap(architecture.weight_map(), theirs)
    made = table.from_unitf({k: v for k, v in state.items() if isinstance(v, Tensor)})
    kept = {name: theirs[name] for name in theirs if name not in made}
    if floating := [name for name in kept if _is_parameter(published, name)]:
        raise UserError(f"nothing in the model makes {', '.join(floating[:5])}")
    with torch.no_grad():
        published.load_state_dict({**kept, **made})
    return published.eval()


def _is_parameter(published: nn.Module, name: str) -> bool:
    return name in dict(published.named_parameters(remove_duplicate=False))
