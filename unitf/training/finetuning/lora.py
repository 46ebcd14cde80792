"""LoRA: small adapters beside the frozen linear layers of the core (Hu et al., 2022)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from unitf.core.lora_weights import is_adapter
from unitf.errors import UserError

if TYPE_CHECKING:
    from peft import LoraConfig


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

    def peft(self) -> "LoraConfig":
        """The same in peft's words."""
        from peft import LoraConfig  # takes seconds

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(self.layers),
        )


def add_adapters(core: nn.Module, lora: LoRA) -> None:
    """Puts adapters into a core, in place, and freezes everything else in it."""
    names = [name for name, layer in core.named_modules() if isinstance(layer, nn.Linear)]
    for layer in lora.layers:
        if not any(name.endswith(f".{layer}") for name in names):
            known = dict.fromkeys(name.partition(".blocks.0.")[2] for name in names)
            told = ", ".join(name for name in known if name)
            raise UserError(f"model.lora.layers: there is no layer {layer!r}; known are {told}")
    from peft import inject_adapter_in_model

    inject_adapter_in_model(lora.peft(), core)


def save_adapters(state: Mapping[str, Any], lora: LoRA, folder: Path) -> None:
    """Writes the adapters of a Learner's `state_dict` as peft does.

    `peft.PeftModel.from_pretrained(core, folder)` puts them on a plain core again.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    adapters: dict[str, Tensor] = {}
    for name, value in state.items():
        if is_adapter(name):
            name = name.removeprefix("core.").replace(".default.", ".")
            adapters[f"base_model.model.{name}"] = value.contiguous()
    save_file(adapters, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    lora.peft().save_pretrained(str(folder))
