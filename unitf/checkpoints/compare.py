"""Whether a checkpoint is of a certain model."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from unitf.checkpoints.update import updated
from unitf.errors import UserError
from unitf.registry.configurable import comparable, differences, is_object


def check_same_model(
    checkpoint: Mapping[str, Any], configuration: dict[str, Any], state: Mapping[str, Any]
) -> None:
    """Says in what the model of a checkpoint is another one.

    Raises:
        UserError: its parameters are others, so that they cannot be taken over.
    """
    if "unitf" not in checkpoint:
        raise UserError("the checkpoint was not made by unitf: it holds no configuration")
    theirs = updated(checkpoint["unitf"])["configuration"]
    described = "; ".join(differences(comparable(theirs), comparable(configuration)))
    shapes, model_shapes = (
        {key: value.shape for key, value in each.items() if isinstance(value, Tensor)}
        for each in (checkpoint["state_dict"], state)
    )
    if shapes != model_shapes:
        raise UserError(f"the checkpoint is of another model: {described or 'other parameters'}")
    for line in dict.fromkeys(_changed_files(theirs, configuration)):
        warnings.warn(line, stacklevel=2)
    if described:
        warnings.warn(f"the checkpoint is of a model with {described}", stacklevel=2)


def _changed_files(theirs: Any, ours: Any) -> Iterator[str]:
    """The plugin files that held something else when the checkpoint was written."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        hashes = [each.get("sha256") for each in (theirs, ours) if is_object(each)]
        same = all(theirs.get(key) == ours.get(key) for key in ("file", "class"))
        if same and len(hashes) == 2 and all(hashes) and hashes[0] != hashes[1]:
            yield f"{ours['file'] or ours['class']} has changed since the model was saved"
        for key in theirs.keys() & ours.keys():
            yield from _changed_files(theirs[key], ours[key])
    elif isinstance(theirs, list) and isinstance(ours, list):
        for one, other in zip(theirs, ours, strict=False):
            yield from _changed_files(one, other)
