"""Where the first weights of a model come from."""

from functools import lru_cache
from typing import Any

from unitf import registry
from unitf.checkpoints.read import read_checkpoint
from unitf.core.lora_weights import merge_adapters


def read_source(source: str) -> dict[str, Any]:
    """The `configuration` and the `state_dict` of a trained model, without adapters.

    Args:
        source: a run's folder, a checkpoint file, an imported folder, or a published model
            (`timm:NAME`, `hf:NAME`).

    Raises:
        UserError: it is missing, damaged, not one of unitf, or unitf does not compute the same.
    """
    prefix, colon, name = source.partition(":")
    hubs: dict[str, Any] = {cls.prefix: cls for cls in registry.resolve_all("hubs").values()}  # type: ignore[attr-defined]
    if colon and prefix in hubs:
        return _published(hubs[prefix], name)
    checkpoint = read_checkpoint(source)
    return without_adapters(checkpoint["unitf"]["configuration"], checkpoint["state_dict"])


def without_adapters(configuration: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The same model with its adapters merged into the weights, if it has any."""
    plain = {key: value for key, value in configuration.items() if key != "lora"}
    if "lora" in configuration:
        lora = configuration["lora"]
        state = merge_adapters(state, lora["rank"], lora["alpha"])
    return {"configuration": plain, "state_dict": state}


@lru_cache(maxsize=1)  # a command line and the model that it makes ask for the same
def _published(hub: Any, name: str) -> dict[str, Any]:
    """What a hub's model is in unitf; a hub knows how, and stands on a higher floor."""
    checkpoint = hub().checkpoint(name)
    return {
        "configuration": checkpoint["unitf"]["configuration"],
        "state_dict": checkpoint["state_dict"],
    }
