"""Adapters (LoRA) in the weights of a checkpoint: how they are named, and how they are merged."""

from collections.abc import Mapping
from typing import Any

BASE, DOWN, UP = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to an adapter."""
    return ".lora_" in name


def plain_name(name: str) -> str:
    """The name that a parameter has where there are no adapters."""
    return name.replace(BASE, ".")


def merge_adapters(state: Mapping[str, Any], rank: int, alpha: int) -> dict[str, Any]:
    """The weights of a model without adapters that computes the same: W + alpha / rank · B A."""
    merged = {plain_name(n): value for n, value in state.items() if not is_adapter(n)}
    for name in [name for name in state if name.endswith(DOWN)]:
        layer = name.removesuffix(DOWN)
        weight = merged[f"{layer}.weight"]
        change = state[layer + UP].float() @ state[name].float() * (alpha / rank)
        merged[f"{layer}.weight"] = (weight.float() + change).to(weight.dtype)
    return merged
