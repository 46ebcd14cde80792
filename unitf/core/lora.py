"""LoRA: small trained adapters beside the frozen linear layers of the core (Hu et al., 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.errors import UserError

# The names are those of the library peft, which reads and writes these weights as well.
ADAPTER = "default"
BASE, DOWN, UP = ".base_layer.", f".lora_A.{ADAPTER}.weight", f".lora_B.{ADAPTER}.weight"


@dataclass(frozen=True)
class LoRA:
    """Adapters of the core, which is itself frozen.

    Args:
        rank: width of an adapter.
        alpha: an adapter's output counts alpha / rank times.
        dropout: of an adapter's input.
        layers: the linear layers of each block: attention.qkv, attention.out, feedforward.inner,
            feedforward.out (in a decoder that reads a memory also cross.query, cross.kv,
            cross.out).
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    layers: Sequence[str] = ("attention.qkv", "attention.out")

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"model.lora.rank: expected 1 or more, found {self.rank}")


class AdaptedLinear(nn.Module):
    """A frozen linear layer plus its adapter: W x + alpha / rank · B A x.

    It computes what `peft.tuners.lora.Linear` computes, bit for bit, and draws the same first
    weights from the same random numbers. `B` is zero at first, so that nothing changes.

    Args:
        layer: the linear layer; its parameters get no gradients from here on.
        lora: how wide the adapter is.
    """

    def __init__(self, layer: nn.Linear, lora: LoRA) -> None:
        super().__init__()
        self.base_layer = layer.requires_grad_(False)
        self.scaling = lora.alpha / lora.rank
        dropout = nn.Dropout(lora.dropout) if lora.dropout > 0 else nn.Identity()
        down = nn.Linear(layer.in_features, lora.rank, bias=False)
        up = nn.Linear(lora.rank, layer.out_features, bias=False)
        down.reset_parameters()  # a second time, as peft does
        nn.init.zeros_(up.weight)
        # typed as what they hold: a ModuleDict's items are bare modules to a type checker
        self.lora_dropout: Any = nn.ModuleDict({ADAPTER: dropout})
        self.lora_A: Any = nn.ModuleDict({ADAPTER: down})
        self.lora_B: Any = nn.ModuleDict({ADAPTER: up})
        # never half precision: an adapter's steps would vanish in it
        dtype = torch.promote_types(layer.weight.dtype, torch.float32)
        for adapter in (down, up):
            adapter.to(layer.weight.device, dtype)

    def forward(self, rows: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        base = self.base_layer(rows)
        down, up = self.lora_A[ADAPTER], self.lora_B[ADAPTER]
        rows = self.lora_dropout[ADAPTER](rows.to(down.weight.dtype))
        return (base + up(down(rows)) * self.scaling).to(base.dtype)


def add_adapters(core: nn.Module, lora: LoRA) -> None:
    """Puts adapters into a core, in place, and freezes everything else in it.

    Raises:
        UserError: no block has a linear layer of one of the names.
    """
    layers = {name: layer for name, layer in core.named_modules() if isinstance(layer, nn.Linear)}
    for layer in lora.layers:
        if not any(name.endswith(f".{layer}") for name in layers):
            known = dict.fromkeys(name.partition(".blocks.0.")[2] for name in layers)
            told = ", ".join(name for name in known if name)
            raise UserError(f"model.lora.layers: there is no layer {layer!r}; known are {told}")
    core.requires_grad_(False)
    for name, linear in layers.items():
        if name.endswith(tuple(f".{layer}" for layer in lora.layers)):
            parent, _, own = name.rpartition(".")
            setattr(core.get_submodule(parent), own, AdaptedLinear(linear, lora))


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to an adapter."""
    return ".lora_" in name


def plain_name(name: str) -> str:
    """The name that a parameter has where there are no adapters."""
    return name.replace(BASE, ".")
