"""Whether a checkpoint is of a certain model."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from unitf.errors import UserError
from unitf.registry.configurable import differences


def check_same_model(
    checkpoint: Mapping[str, Any], configuration: dict[str, Any], state: Mapping[str, Any]
) -> None:
    """Says in what the model of a checkpoint is another one.

    Raises:
        UserError: its parameters are others, so that they cannot be taken over.
    """
    if "unitf" not in checkpoint:
        raise UserError("the checkpoint was not made by unitf: it holds no configuration")
    described = "; ".join(differences(checkpoint["unitf"]["configuration"], configuration))
    shapes, model_shapes = (
        {key: value.shape for key, value in each.items() if isinstance(value, Tensor)}
        for each in (checkpoint["state_dict"], state)
    )
    if shapes != model_shapes:
        raise UserError(f"the checkpoint is of another model: {described or 'other parameters'}")
    if described:
        warnings.warn(f"the checkpoint is of a model with {described}", stacklevel=2)
