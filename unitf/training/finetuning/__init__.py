"""Fine-tuning: first weights from a trained model, frozen parts, and adapters."""

from unitf.core.lora import LoRA
from unitf.training.finetuning.freeze import Freeze

__all__ = ["Freeze", "LoRA"]
