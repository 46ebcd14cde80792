"""Where the first weights of a model come from."""

from typing import Any

from unitf.checkpoints.adapters import merge_adapters
from unitf.checkpoints.read import read_checkpoint
from unitf.errors import UserError

_PUBLISHED = ("timm:", "hf:")


def read_source(source: str) -> dict[str, Any]:
    """The `configuration` and the `state_dict` of a trained model, without adapters.

    Args:
        source: a run's folder, or a checkpoint file.

    Raises:
        UserError: it is missing, damaged, or not one of unitf.
    """
    if source.startswith(_PUBLISHED):
        raise UserError(
            f"{source}: published weights cannot be taken yet; expected a run's folder or a "
            "checkpoint that unitf saved"
        )
    checkpoint = read_checkpoint(source)
    return without_adapters(checkpoint["unitf"]["configuration"], checkpoint["state_dict"])


def without_adapters(configuration: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The same model with its adapters merged into the weights, if it has any."""
    plain = {key: value for key, value in configuration.items() if key != "lora"}
    if "lora" in configuration:
        lora = configuration["lora"]
        state = merge_adapters(state, lora["rank"], lora["alpha"])
    return {"configuration": plain, "state_dict": state}
