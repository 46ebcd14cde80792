"""Llama and its relatives (Mistral, Qwen 2, Qwen 3, Gemma): their mappings to unitf."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from unitf import TransformerConfig
from unitf.interop import WeightMapping, activation_of, map_joined, map_weight
from unitf.tokenizer import EmbeddingTable
from unitf_text.decoders import TextDecoder
from unitf_text.published import rotary_of, rotary_unsupported


class LlamaLine(TextDecoder):
    """Llama and later models with RMS norms, rotary positions and gates.

    Which layers have biases, norms of queries and keys, or a window, is read from the blocks.
    """

    kinds = ("llama", "mistral", "qwen2", "qwen3")
    norm: ClassVar[Literal["rms", "rms_offset"]] = "rms"

    def unsupported(self) -> str | None:
        if getattr(self.config, "use_bidirectional_attention", False):
            return "use_bidirectional_attention makes an encoder of it"
        if len({window for window in self.windows if window is not None}) > 1:
            return "its blocks have windows of different sizes"
        return rotary_unsupported(self.config) or super().unsupported()

    @property
    def windows(self) -> list[int | None]:
        """For each block, how many tokens a token attends to, itself included; None: all."""
        everywhere = getattr(self.config, "sliding_window", None)
        return [getattr(layer.self_attn, "sliding_window", everywhere) for layer in self.layers]

    def core(self) -> TransformerConfig:
        config, layer = self.config, self.layers[0]
        attention, mlp = layer.self_attn, layer.mlp
        angles, factor = self.rotary()
        scale = attention.scaling * factor**2  # queries and keys are both multiplied by the factor
        return TransformerConfig(
            kind="decoder",
            dim=config.hidden_size,
            depth=len(self.layers),
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=attention.head_dim,
            hidden_dim=config.intermediate_size,
            activation=activation_of(self.activation, gated=True),
            norm=self.norm,
            norm_eps=self.norm_eps,
            norm_position="sandwich" if self.four_norms else "pre",
            qk_norm=hasattr(attention, "q_norm"),
            bias=mlp.down_proj.bias is not None,
            qkv_bias=attention.q_proj.bias is not None,
            attention_out_bias=attention.o_proj.bias is not None,
            attention_scale=None if scale == attention.head_dim**-0.5 else scale,
            attention_softcap=self.softcap,
            attention_dropout=config.attention_dropout,
            relative_positions="rotary",
            **angles,
            **self.reach(),
        )

    @property
    def activation(self) -> str:
        """The name of the activation in transformers."""
        return self.config.hidden_act

    @property
    def norm_eps(self) -> float:
        """The epsilon of every norm."""
        return self.config.rms_norm_eps

    @property
    def softcap(self) -> float | None:
        """The bound of the attention scores; None: they are not bounded."""
        return None

    @property
    def four_norms(self) -> bool:
        """Whether a block also normalises the outputs of its layers."""
        return hasattr(self.layers[0], "pre_feedforward_layernorm")

    def reach(self) -> dict[str, Any]:
        """Attention windows as arguments of TransformerConfig."""
        sizes = [window for window in self.windows if window is not None]
        if not sizes:
            return {}
        everything = [number for number, window in enumerate(self.windows) if window is None]
        return {"window": sizes[0] - 1, "global_blocks": everything or None}

    def rotary(self) -> tuple[dict[str, Any], float]:
        """Rotary angles as arguments of TransformerConfig, and the factor on rotated numbers."""
        return rotary_of(self.config)

    def block(self) -> Sequence[WeightMapping]:
        attention = self.layers[0].self_attn
        parts = [f"self_attn.{name}_proj" for name in "qkv"]
        sizes = [getattr(attention, f"{name}_proj").out_features for name in "qkv"]
        hidden = [self.config.intermediate_size] * 2
        after = "post_attention_layernorm"
        return [
            map_weight("input_layernorm", "attention_residual.norm"),
            map_joined(parts, "attention.qkv", sizes),
            map_weight("self_attn.q_norm", "attention.head_norms.query"),
            map_weight("self_attn.k_norm", "attention.head_norms.key"),
            map_weight("self_attn.o_proj", "attention.out"),
            map_weight(after, f"{'attention_residual.norm_after' if self.four_norms else NEXT}"),
            map_weight("pre_feedforward_layernorm", NEXT),
            map_joined(["mlp.gate_proj", "mlp.up_proj"], "feedforward.inner", hidden),
            map_weight("mlp.down_proj", "feedforward.out"),
            map_weight("post_feedforward_layernorm", "feedforward_residual.norm_after"),
        ]


NEXT = "feedforward_residual.norm"


class Gemma(LlamaLine):
    """Gemma and the text part of Gemma 3: scales of 1 + weight, a table multiplied by √D."""

    kinds = ("gemma", "gemma3_text")
    norm = "rms_offset"

    @property
    def activation(self) -> str:
        return getattr(self.config, "hidden_activation", None) or self.config.hidden_act

    def text_options(self) -> dict[str, Any]:
        return super().text_options() | {
            "table": EmbeddingTable(scale=self.config.hidden_size**0.5)
        }

    def rotary(self) -> tuple[dict[str, Any], float]:
        """In Gemma 3 the blocks without a window have angles of their own."""
        if "rope_type" in self.config.rope_parameters:
            return super().rotary()
        types = self.config.layer_types
        if len(set(types)) == 1:
            return rotary_of(self.config, types[0])
        angles, factor = rotary_of(self.config, "sliding_attention")
        further, _ = rotary_of(self.config, "full_attention")
        return angles | {f"global_{name}": value for name, value in further.items()}, factor


class Gemma2(Gemma):
    """Gemma 2 (Riviere et al., 2024): the scores of attention are bounded."""

    kinds = ("gemma2",)

    @property
    def softcap(self) -> float | None:
        return self.config.attn_logit_softcapping
