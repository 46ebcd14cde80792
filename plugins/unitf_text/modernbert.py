"""ModernBERT of transformers: rotary positions, gates, windows."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from unitf import Tokenizer, TransformerConfig
from unitf.interop import ACTIVATIONS, GATES, WeightMapping, activation_of, map_blocks, map_weight
from unitf.tasks import Head
from unitf_text.encoders import TextEncoder

_BLOCK = [
    map_weight("attn_norm", "attention_residual.norm"),
    map_weight("attn.Wqkv", "attention.qkv"),
    map_weight("attn.Wo", "attention.out"),
    map_weight("mlp_norm", "feedforward_residual.norm"),
    map_weight("mlp.Wi", "feedforward.inner"),
    map_weight("mlp.Wo", "feedforward.out"),
]


class ModernBert(TextEncoder):
    """ModernBERT: global blocks and blocks with a window, each kind with its own rotary base."""

    kinds = ("modernbert",)
    masked_table = ("decoder.weight",)
    masked_bias = ("decoder.bias",)
    masked_hidden = ("head.dense", "head.norm")

    @property
    def activation(self) -> str:
        return self.config.hidden_activation

    @property
    def table_name(self) -> str:
        return f"{self.prefix}embeddings.tok_embeddings"

    @property
    def num_segments(self) -> int:
        return 0

    def unsupported(self) -> str | None:
        config = self.config
        gate = ACTIVATIONS.get(self.activation)
        if gate not in GATES or config.classifier_activation not in ACTIVATIONS:
            return f"its activations are {self.activation!r} and {config.classifier_activation!r}"
        kinds = {parameters["rope_type"] for parameters in config.rope_parameters.values()}
        if kinds != {"default"}:
            return f"its rotary positions are {' and '.join(sorted(kinds))}"
        return super().unsupported()

    def core(self) -> TransformerConfig:
        config = self.config
        base = {name: p["rope_theta"] for name, p in config.rope_parameters.items()}
        global_blocks = [n for n, kind in enumerate(config.layer_types) if kind == "full_attention"]
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            activation=activation_of(self.activation, gated=True),
            norm_eps=config.norm_eps,
            norm_bias=config.norm_bias,
            bias=config.mlp_bias,
            qkv_bias=config.attention_bias,
            attention_out_bias=config.attention_bias,
            input_norm=True,
            first_norm=False,
            relative_positions="rotary",
            rotary_base=base["sliding_attention"],
            global_rotary_base=base["full_attention"],
            window=config.sliding_window,
            global_blocks=global_blocks,
            input_dropout=config.embedding_dropout,
            activation_dropout=config.mlp_dropout,
            attention_dropout=config.attention_dropout,
        )

    @property
    def has_masked_bias(self) -> bool:
        return super().has_masked_bias and self.config.decoder_bias

    def table_settings(self) -> None:
        return None

    def tokenizers(self) -> dict[str, Tokenizer]:
        return {"text": self.text_tokenizer(position_embedding="none")}

    def token_head(self) -> Head:
        config = self.config
        return Head(
            hidden=ACTIVATIONS[config.classifier_activation],
            hidden_bias=config.classifier_bias,
            norm_eps=config.norm_eps,
            norm_bias=config.norm_bias,
        )

    def masked_head(self) -> Head:
        return self.token_head()

    def classifier_head(self) -> Head:
        return self.token_head()

    @property
    def classifier_pooling(self) -> Any:
        return "first" if self.config.classifier_pooling == "cls" else "mean"

    def embedding_mappings(self) -> list[WeightMapping]:
        norm = map_weight(f"{self.prefix}embeddings.norm", "core.encoder.input_norm")
        return [self.table_line(), norm]

    def block_mappings(self) -> list[WeightMapping]:
        depth = self.config.num_hidden_layers
        return [
            *map_blocks(depth, self.prefix + "layers.{}", "core.encoder.blocks.{}", _BLOCK),
            map_weight(f"{self.prefix}final_norm", "core.encoder.final_norm"),
        ]

    def head_mappings(self) -> list[WeightMapping]:
        if not self.head or self.head == "MaskedLM":
            return super().head_mappings() if self.head else []
        [task, *_] = self.tasks_named
        ours = f"tasks.{task}.head"
        return [
            map_weight("head.dense", f"{ours}.hidden"),
            map_weight("head.norm", f"{ours}.norm"),
            map_weight("classifier", f"{ours}.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.layers)}
