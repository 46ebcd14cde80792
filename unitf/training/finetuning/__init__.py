"""Fine-tuning: where the first weights come from, what is frozen, adapters."""

from unitf.training.finetuning.freeze import Freeze
from unitf.training.finetuning.lora import LoRA

__all__ = ["Freeze", "LoRA"]
