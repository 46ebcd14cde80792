"""Checks whether a checkpoint belongs to a certain model."""

import warnings
from collections.abc import Iterator, Mapping

from torch import Tensor

from unitf.checkpoints.folder import Checkpoint
from unitf.checkpoints.update import updated
from unitf.errors import UserError
from unitf.registry.class_names import PlainData
from unitf.registry.configurable import comparable, differences, is_object


def check_same_model(
    checkpoint: Checkpoint, configuration: dict[str, PlainData], state: Mapping[str, object]
) -> None:
    """Warns of differences between a model and the model of a checkpoint.

    Args:
        checkpoint: what `read_checkpoint` returns.
        configuration: the configuration of the model.
        state: the state_dict of the model.

    Raises:
        UserError: the names or shapes of the parameters differ, so they cannot be loaded.
    """
    if "unitf" not in checkpoint:
        raise UserError("the checkpoint was not made by unitf: it holds no configuration")
    saved = updated(checkpoint["unitf"])["configuration"]
    described = "; ".join(differences(comparable(saved), comparable(configuration)))
    shapes, model_shapes = (
        {key: value.shape for key, value in each.items() if isinstance(value, Tensor)}
        for each in (checkpoint["state_dict"], state)
    )
    if shapes != model_shapes:
        raise UserError(f"the checkpoint is of another model: {described or 'other parameters'}")
    for line in dict.fromkeys(_changed_files(saved, configuration)):
        warnings.warn(line, stacklevel=2)
    if described:
        warnings.warn(f"the checkpoint is of a model with {described}", stacklevel=2)


def _changed_files(saved: PlainData, current: PlainData) -> Iterator[str]:
    """Yields a line for each plugin file that has changed since the checkpoint was written."""
    if isinstance(saved, dict) and isinstance(current, dict):
        hashes = [each.get("sha256") for each in (saved, current) if is_object(each)]
        same = all(saved.get(key) == current.get(key) for key in ("file", "class"))
        if same and len(hashes) == 2 and all(hashes) and hashes[0] != hashes[1]:
            yield f"{current['file'] or current['class']} has changed since the model was saved"
        for key in saved.keys() & current.keys():
            yield from _changed_files(saved[key], current[key])
    elif isinstance(saved, list) and isinstance(current, list):
        for one, other in zip(saved, current, strict=False):
            yield from _changed_files(one, other)
