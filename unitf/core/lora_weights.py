"""Adapters (LoRA) in the weights of a checkpoint: merged into them, or as a folder of peft."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from unitf.core.lora import DOWN, UP, LoRA, is_adapter, plain_name


def merge_adapters(state: Mapping[str, Any], rank: int, alpha: int) -> dict[str, Any]:
    """The weights of a model without adapters that computes the same: W + alpha / rank · B A."""
    merged = {plain_name(n): value for n, value in state.items() if not is_adapter(n)}
    for name in [name for name in state if name.endswith(DOWN)]:
        layer = name.removesuffix(DOWN)
        weight = merged[f"{layer}.weight"]
        change = state[layer + UP].float() @ state[name].float() * (alpha / rank)
        merged[f"{layer}.weight"] = (weight.float() + change).to(weight.dtype)
    return merged


def without_adapters(configuration: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The same model with its adapters merged into the weights, if it has any."""
    plain = {key: value for key, value in configuration.items() if key != "lora"}
    if "lora" in configuration:
        lora = configuration["lora"]
        state = merge_adapters(state, lora["rank"], lora["alpha"])
    return {"configuration": plain, "state_dict": state}


def save_adapters(state: Mapping[str, Any], lora: LoRA, folder: Path) -> None:
    """Writes the adapters of a model's `state_dict` as peft does.

    `peft.PeftModel.from_pretrained(core, folder)` puts them on a plain core again.
    """
    from peft import LoraConfig  # takes seconds
    from safetensors.torch import save_file

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
    config.save_pretrained(str(folder))
