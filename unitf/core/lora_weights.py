"""Adapters (LoRA) in the weights of a checkpoint: merging them, and saving them for peft."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from unitf.core.lora import DOWN, UP, LoRA, is_adapter, plain_name


def merge_adapters(state: Mapping[str, Tensor], rank: int, alpha: int) -> dict[str, Tensor]:
    """Returns the weights of a model without adapters that computes the same.

    The weight of an adapted layer becomes W + alpha / rank · B A.
    """
    merged = {plain_name(name): value for name, value in state.items() if not is_adapter(name)}
    for name in [name for name in state if name.endswith(DOWN)]:
        layer = name.removesuffix(DOWN)
        weight = merged[f"{layer}.weight"]
        change = state[layer + UP].float() @ state[name].float() * (alpha / rank)
        merged[f"{layer}.weight"] = (weight.float() + change).to(weight.dtype)
    return merged


def without_adapters(
    configuration: Mapping[str, Any], state: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Returns the configuration and the weights of a model, with its adapters merged.

    Args:
        configuration: that of the model, as plain data.
        state: the `state_dict` of the model.
    """
    plain = {key: value for key, value in configuration.items() if key != "lora"}
    if "lora" in configuration:
        lora = configuration["lora"]
        state = merge_adapters(state, lora["rank"], lora["alpha"])
    return {"configuration": plain, "state_dict": state}


def save_adapters(state: Mapping[str, Tensor], lora: LoRA, folder: Path) -> None:
    """Writes the adapters of a model's `state_dict` as peft does.

    `peft.PeftModel.from_pretrained(core, folder)` adds them to a core without adapters.
    """
    from peft import LoraConfig  # takes seconds
    from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

    folder.mkdir(parents=True, exist_ok=True)
    adapters: dict[str, Tensor] = {}
    for name, value in state.items():
        if is_adapter(name):
            name = name.removeprefix("core.").replace(".default.", ".")
            adapters[f"base_model.model.{name}"] = value.contiguous()
    save_file(adapters, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.layers),
    )
    config.save_pretrained(str(folder))  # pyright: ignore[reportUnknownMemberType]
