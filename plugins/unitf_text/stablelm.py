"""StableLM: like Llama, but with layer norms and partly rotary heads."""

from dataclasses import replace
from typing import Any

from unitf import TransformerConfig
from unitf_text.llama_line import LlamaLine
from unitf_text.published import rotary_unsupported


class StableLM(LlamaLine):
    """StableLM (Bellagente et al., 2024), also with parallel attention and feed-forward."""

    kinds = ("stablelm",)

    def unsupported(self) -> str | None:
        if self.config.qk_layernorm:
            return "qk_layernorm has a norm of its own for each head"
        return rotary_unsupported(self.config, partial=True) or super().unsupported()

    @property
    def norm_eps(self) -> float:
        return self.config.layer_norm_eps

    def core(self) -> TransformerConfig:
        residual = "parallel_shared" if self.config.use_parallel_residual else "sequential"
        return replace(super().core(), norm="layer", norm_bias=True, residual=residual)

    def rotary(self) -> tuple[dict[str, Any], float]:
        attention = self.layers[0].self_attn
        angles, factor = super().rotary()
        turned = attention.rotary_ndims
        return angles | {"rotary_dim": None if turned == attention.head_dim else turned}, factor
