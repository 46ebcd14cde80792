"""Fine-tuning: where the first weights come from, what is frozen, adapters."""

from unitf.finetuning.freeze import Freeze
from unitf.finetuning.lora import LoRA

__all__ = ["Freeze", "LoRA"]
