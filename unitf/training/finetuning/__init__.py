"""Fine-tuning: where the first weights come from, what is frozen, adapters."""

from unitf.core.lora import LoRA
from unitf.training.finetuning.freeze import Freeze

__all__ = ["Freeze", "LoRA"]
