"""Gradient clipping, also for optimizers that are fused."""

from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities.enums import GradClipAlgorithmType
from torch.optim import Optimizer

from unitf.errors import UserError


def clip_gradients(
    module: LightningModule, optimizer: Optimizer, value: float | None, algorithm: str | None
) -> None:
    """Clips the gradients as the trainer's settings say.

    Lightning refuses every fused optimizer under mixed precision, because an optimizer that
    unscales the gradients itself would do so after clipping. Only float16 scales gradients, so
    with bfloat16 they can be clipped.

    Args:
        value: the limit, `trainer.gradient_clip_val`.
        algorithm: "norm" or "value", `trainer.gradient_clip_algorithm`; None means "norm".

    Raises:
        UserError: the optimizer is fused and the gradients are scaled.
    """
    precision = module.trainer.precision_plugin
    fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    if not (value and fused and isinstance(precision, MixedPrecision)):
        module.clip_gradients(optimizer, value, algorithm)
    elif precision.scaler is None:
        kind = GradClipAlgorithmType(algorithm or GradClipAlgorithmType.NORM)
        Precision.clip_gradients(precision, optimizer, value, kind)
    else:
        raise UserError(
            f"trainer.precision {precision.precision} scales gradients, which a fused "
            f"{type(optimizer).__name__} cannot clip: take precision bf16-mixed, "
            "an optimizer with fused: false, or trainer.gradient_clip_val 0"
        )
