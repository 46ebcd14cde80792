"""LoRA: small trained adapters beside the frozen linear layers of the core (Hu et al., 2022)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf.errors import UserError

# these are the names of the library peft, which also reads and writes these weights
ADAPTER = "default"
BASE: str = ".base_layer."
DOWN: str = f".lora_A.{ADAPTER}.weight"
UP: str = f".lora_B.{ADAPTER}.weight"


@dataclass(frozen=True)
class LoRA:
    """Adapters of the core, whose other parameters are frozen.

    Args:
        rank: the width of an adapter.
        alpha: the output of an adapter is multiplied by alpha / rank.
        dropout: the dropout probability of an adapter's input.
        layers: the adapted linear layers of each block: attention.qkv, attention.out,
            feedforward.inner, feedforward.out (in a decoder that reads a memory also cross.query,
            cross.kv, cross.out).
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
    weights from the same random numbers. `B` is zero at first, so that the output is that
    of the layer.

    Args:
        layer: the linear layer; its parameters are frozen.
        lora: the rank, alpha and dropout of the adapter.
    """

    def __init__(self, layer: nn.Linear, lora: LoRA) -> None:
        super().__init__()
        self.base_layer: nn.Linear = layer.requires_grad_(False)
        self.scaling: float = lora.alpha / lora.rank
        dropout = nn.Dropout(lora.dropout) if lora.dropout > 0 else nn.Identity()
        down = nn.Linear(layer.in_features, lora.rank, bias=False)
        up = nn.Linear(lora.rank, layer.out_features, bias=False)
        down.reset_parameters()  # a second time, as peft does
        nn.init.zeros_(up.weight)
        self.lora_dropout: nn.ModuleDict = nn.ModuleDict({ADAPTER: dropout})
        self.lora_A: nn.ModuleDict = nn.ModuleDict({ADAPTER: down})
        self.lora_B: nn.ModuleDict = nn.ModuleDict({ADAPTER: up})
        # not in half precision: the small steps of an adapter would be rounded away
        dtype = torch.promote_types(layer.weight.dtype, torch.float32)
        for adapter in (down, up):
            adapter.to(layer.weight.device, dtype)

    @property
    def down(self) -> nn.Linear:
        """A, the adapter's first layer."""
        down = self.lora_A[ADAPTER]
        assert isinstance(down, nn.Linear)
        return down

    @property
    def up(self) -> nn.Linear:
        """B, the adapter's second layer."""
        up = self.lora_B[ADAPTER]
        assert isinstance(up, nn.Linear)
        return up

    def forward(self, rows: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Returns the output of the layer plus that of its adapter."""
        base = self.base_layer(rows)
        down, up = self.down, self.up
        rows = self.lora_dropout[ADAPTER](rows.to(down.weight.dtype))
        return (base + up(down(rows)) * self.scaling).to(base.dtype)


def add_adapters(core: nn.Module, lora: LoRA) -> None:
    """Adds adapters to a core, in place, and freezes all its other parameters.

    Raises:
        UserError: `lora.layers` names a layer that no block has.
    """
    modules = cast(Iterable[tuple[str, nn.Module]], core.named_modules())
    layers = {name: layer for name, layer in modules if isinstance(layer, nn.Linear)}
    for layer in lora.layers:
        if not any(name.endswith(f".{layer}") for name in layers):
            known = dict.fromkeys(name.partition(".blocks.0.")[2] for name in layers)
            names = ", ".join(name for name in known if name)
            raise UserError(f"model.lora.layers: there is no layer {layer!r}; known are {names}")
    core.requires_grad_(False)
    for name, linear in layers.items():
        if name.endswith(tuple(f".{layer}" for layer in lora.layers)):
            parent, _, attribute = name.rpartition(".")
            setattr(core.get_submodule(parent), attribute, AdaptedLinear(linear, lora))


def is_adapter(name: str) -> bool:
    """Whether the parameter of this name belongs to an adapter."""
    return ".lora_" in name


def plain_name(name: str) -> str:
    """Returns the name that a parameter has in a model without adapters."""
    return name.replace(BASE, ".")
