"""Whether a checkpoint is of a certain model."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from unitf.configurable import differences
from unitf.errors import UserError


def check_same_model(
    checkpoint: Mapping[str, Any], configuration: dict[str, Any], state: Mapping[str, Any]
) -> None:
    """Says in what the model of a checkpoint is another one.

    Raises:
        UserError: its parameters are others, so that they cannot be taken over.
    """
    if "unitf" not in checkpoint:
        raise UserError("the checkpoint was not made by unitf: it holds no configuration")
    told = "; ".join(differences(checkpoint["unitf"]["configuration"], configuration))
    shapes, own = (
        {key: value.shape for key, value in each.items() if isinstance(value, Tensor)}
        for each in (checkpoint["state_dict"], state)
    )
    if shapes != own:
        raise UserError(f"the checkpoint is of another model: {told or 'other parameters'}")
    if told:
        warnings.warn(f"the checkpoint is of a model with {told}", stacklevel=2)
