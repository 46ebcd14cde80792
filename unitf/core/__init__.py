"""The Transformer core: D×N to D×N, whatever the modality."""

from unitf.core.attention.cache import Cache
from unitf.core.config import TransformerConfig
from unitf.core.transformer import Transformer

__all__ = ["Cache", "Transformer", "TransformerConfig"]
