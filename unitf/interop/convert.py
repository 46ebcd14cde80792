"""Converts a published model to a Model of unitf, and back."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unitf.errors import UserError
from unitf.interop.architecture import Architecture
from unitf.interop.weight_map import WeightMap
from unitf.model import Model


def to_model(architecture: Architecture) -> Model:
    """Returns the published model as a Model, with the same weights.

    Raises:
        UserError: a tensor is unused, missing or of another shape; the message names it.
    """
    tokenizers = architecture.tokenizers()
    model = Model(
        architecture.core(),
        {name: lambda dim, fitted=fitted: fitted for name, fitted in tokenizers.items()},
        architecture.tasks(),
    )
    model.build_components()
    wanted = {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}
    weight_map = WeightMap(architecture.weight_map(), architecture.published.state_dict())
    model.load_state_dict({**model.state_dict(), **weight_map.to_unitf(wanted)})
    return model.eval()


def to_peer(architecture: Architecture, state: Mapping[str, object]) -> nn.Module:
    """Returns the published model of an architecture with the weights of a Model.

    Args:
        architecture: has the published model, whose weights are replaced.
        state: the state_dict of the Model.

    Raises:
        UserError: a tensor is missing or of another shape; the message names it.
    """
    published = architecture.published
    theirs = published.state_dict()
    weight_map = WeightMap(architecture.weight_map(), theirs)
    converted = weight_map.from_unitf({k: v for k, v in state.items() if isinstance(v, Tensor)})
    kept = {name: theirs[name] for name in theirs if name not in converted}
    if floating := [name for name in kept if _is_parameter(published, name)]:
        raise UserError(f"nothing in the model makes {', '.join(floating[:5])}")
    with torch.no_grad():
        published.load_state_dict({**kept, **converted})
    return published.eval()


def _is_parameter(published: nn.Module, name: str) -> bool:
    return name in dict(published.named_parameters(remove_duplicate=False))
