"""The Transformer core: D×N to D×N, whatever the modality."""

from unitf.core.activations import Activation, GatedActivation
from unitf.core.attention.cache import Cache
from unitf.core.auxiliary import AuxiliaryLoss, CoreOutputs, Figure
from unitf.core.config import TransformerConfig
from unitf.core.feedforward import FeedForward
from unitf.core.norms import Norm
from unitf.core.relative_positions import RelativePositions
from unitf.core.residual import mark_residual_output
from unitf.core.transformer import Transformer

__all__ = [
    "Activation",
    "AuxiliaryLoss",
    "Cache",
    "CoreOutputs",
    "FeedForward",
    "Figure",
    "GatedActivation",
    "Norm",
    "RelativePositions",
    "Transformer",
    "TransformerConfig",
    "mark_residual_output",
]
