"""GPT-2, GPT-NeoX, OPT and Phi: their mappings to unitf."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unitf import Task, TransformerConfig
from unitf.interop import (
    DummyInputs,
    Rows,
    Transposed,
    WeightMapping,
    activation_of,
    map_joined,
    map_weight,
)
from unitf.tasks import Embedding, Head
from unitf.tokenizer import EmbeddingTable, Unembedding
from unitf_text.decoders import TEXT, TextDecoder
from unitf_text.published import rotary_of, rotary_unsupported


class GPT2(TextDecoder):
    """GPT-2 (Radford et al., 2019): learned positions; its linear layers are stored transposed."""

    kinds = ("gpt2",)
    table_name, layers_name, norm_name = "wte", "h", "ln_f"

    def unsupported(self) -> str | None:
        if self.config.scale_attn_by_inverse_layer_idx:
            return "scale_attn_by_inverse_layer_idx gives every block another scale"
        if self.config.add_cross_attention:
            return "add_cross_attention lets its decoder read a memory"
        return super().unsupported()

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            kind="decoder",
            dim=config.hidden_size,
            depth=len(self.layers),
            num_heads=config.num_attention_heads,
            hidden_dim=config.n_inner,
            activation=activation_of(config.activation_function),
            norm_eps=config.layer_norm_epsilon,
            attention_scale=None if config.scale_attn_weights else 1.0,
            dropout=config.resid_pdrop,
            input_dropout=config.embd_pdrop,
            activation_dropout=0.0,
            attention_dropout=config.attn_pdrop,
        )

    def text_options(self) -> dict[str, Any]:
        return {"position_embedding": "learned", "max_tokens": self.config.max_position_embeddings}

    def around(self) -> list[WeightMapping]:
        position_table = f"{TEXT}.position_embedding.table"
        return [*super().around(), map_weight(f"{self.prefix}wpe.weight", position_table)]

    def block(self) -> Sequence[WeightMapping]:
        return [
            map_weight("ln_1", "attention_residual.norm"),
            map_weight("attn.c_attn", "attention.qkv", Transposed()),
            map_weight("attn.c_proj", "attention.out", Transposed()),
            map_weight("ln_2", "feedforward_residual.norm"),
            map_weight("mlp.c_fc", "feedforward.inner", Transposed()),
            map_weight("mlp.c_proj", "feedforward.out", Transposed()),
        ]


class GPTNeoX(TextDecoder):
    """GPT-NeoX and Pythia (Black et al., 2022): parallel layers, partly rotary heads."""

    kinds = ("gpt_neox",)
    table_name, norm_name = "embed_in", "final_layer_norm"

    def unsupported(self) -> str | None:
        return rotary_unsupported(self.config, partial=True) or super().unsupported()

    def core(self) -> TransformerConfig:
        config, attention = self.config, self.layers[0].attention
        angles, _ = rotary_of(config)
        return TransformerConfig(
            kind="decoder",
            dim=config.hidden_size,
            depth=len(self.layers),
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            activation=activation_of(config.hidden_act),
            residual="parallel" if config.use_parallel_residual else "sequential",
            norm_eps=config.layer_norm_eps,
            qkv_bias=config.attention_bias,
            attention_out_bias=config.attention_bias,
            relative_positions="rotary",
            rotary_dim=attention.rotary_ndims,
            dropout=config.hidden_dropout,
            input_dropout=config.hidden_dropout,
            activation_dropout=0.0,
            attention_dropout=config.attention_dropout,
            **angles,
        )

    def block(self) -> Sequence[WeightMapping]:
        heads, width = self.config.num_attention_heads, self.layers[0].attention.head_size
        # GPT-NeoX interleaves query, key and value of each head; unitf has all queries first
        order = torch.arange(3 * heads * width).view(heads, 3, width).transpose(0, 1).flatten()
        return [
            map_weight("input_layernorm", "attention_residual.norm"),
            map_weight("attention.query_key_value", "attention.qkv", Rows(order)),
            map_weight("attention.dense", "attention.out"),
            map_weight("post_attention_layernorm", "feedforward_residual.norm"),
            map_weight("mlp.dense_h_to_4h", "feedforward.inner"),
            map_weight("mlp.dense_4h_to_h", "feedforward.out"),
        ]


class OPT(TextDecoder):
    """OPT (Zhang et al., 2022): learned positions from the third row on, a ReLU.

    The model of 350 million parameters normalises after the sums, and has a narrower table.
    """

    kinds = ("opt",)
    norm_name = "final_layer_norm"

    @property
    def body(self) -> Any:
        return super().body.decoder

    @property
    def prefix(self) -> str:
        return "decoder." if hasattr(self.published, "decoder") else "model.decoder."

    @property
    def narrow(self) -> bool:
        """Whether the table is narrower or wider than the columns."""
        return self.body.project_in is not None

    def unsupported(self) -> str | None:
        if not self.config.layer_norm_elementwise_affine:
            return "its norms have no weights"
        if self.narrow and self.head == "SequenceClassification":
            return "its classifier reads columns that are projected to the table's width"
        if self.narrow and self.head == "CausalLM" and not self.tied:
            return "its columns are projected to the table's width, but it has another matrix"
        return super().unsupported()

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            kind="decoder",
            dim=config.hidden_size,
            depth=len(self.layers),
            num_heads=config.num_attention_heads,
            hidden_dim=config.ffn_dim,
            activation=activation_of(config.activation_function),
            norm_position="pre" if config.do_layer_norm_before else "post",
            final_norm=self.body.final_layer_norm is not None,
            bias=config.enable_bias,
            norm_bias=True,
            dropout=config.dropout,
            activation_dropout=0.0,
            attention_dropout=config.attention_dropout,
        )

    def text_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "position_embedding": "learned",
            "max_tokens": self.config.max_position_embeddings,
            "position_offset": self.body.embed_positions.offset,
        }
        if self.narrow:
            width = self.config.word_embed_proj_dim
            options["table"] = EmbeddingTable(width, projection_bias=False, projected_first=True)
        return options

    def unembedding(self) -> Unembedding | None:
        settings = super().unembedding()
        return replace(settings, projection=True) if settings and self.narrow else settings

    def tasks(self) -> dict[str, Task]:
        if not self.narrow or self.head != "":
            return super().tasks()
        size, head = self.config.word_embed_proj_dim, Head(bias=False)
        return {"embedding": Embedding(["text"], "last", size, normalise=False, head=head)}

    def around(self) -> list[WeightMapping]:
        out = "tasks.embedding.head.linear" if self.head == "" else f"{TEXT}.unembedding.projection"
        return [
            *super().around(),
            map_weight(f"{self.prefix}embed_positions.weight", f"{TEXT}.position_embedding.table"),
            map_weight(f"{self.prefix}project_in", f"{TEXT}.embedding_projection"),
            map_weight(f"{self.prefix}project_out", out),
        ]

    def block(self) -> Sequence[WeightMapping]:
        parts = [f"self_attn.{name}_proj" for name in "qkv"]
        return [
            map_weight("self_attn_layer_norm", "attention_residual.norm"),
            map_joined(parts, "attention.qkv", [self.config.hidden_size] * 3),
            map_weight("self_attn.out_proj", "attention.out"),
            map_weight("final_layer_norm", "feedforward_residual.norm"),
            map_weight("fc1", "feedforward.inner"),
            map_weight("fc2", "feedforward.out"),
        ]

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        outputs = super().outputs(dummy_inputs)
        if self.narrow:  # the published columns are projected already
            columns = outputs.pop("columns")
            if self.head == "":
                ends = torch.tensor(dummy_inputs.features["text"].lengths).cumsum(0) - 1
                outputs["embedding"] = columns[ends]
        return outputs


class Phi(TextDecoder):
    """Phi-1, 1.5 and 2 (Gunasekar et al., 2023): parallel layers after one norm."""

    kinds = ("phi",)
    norm_name = "final_layernorm"

    def unsupported(self) -> str | None:
        return rotary_unsupported(self.config, partial=True) or super().unsupported()

    def core(self) -> TransformerConfig:
        config, attention = self.config, self.layers[0].self_attn
        angles, _ = rotary_of(config)
        return TransformerConfig(
            kind="decoder",
            dim=config.hidden_size,
            depth=len(self.layers),
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=attention.head_dim,
            hidden_dim=config.intermediate_size,
            activation=activation_of(config.hidden_act),
            residual="parallel_shared",
            norm_eps=config.layer_norm_eps,
            qk_norm=config.qk_layernorm,
            relative_positions="rotary",
            rotary_dim=attention.rotary_ndims,
            dropout=config.resid_pdrop,
            input_dropout=config.embd_pdrop,
            activation_dropout=0.0,
            attention_dropout=config.attention_dropout,
            **angles,
        )

    def block(self) -> Sequence[WeightMapping]:
        attention = self.layers[0].self_attn
        parts = [f"self_attn.{name}_proj" for name in "qkv"]
        sizes = [getattr(attention, f"{name}_proj").out_features for name in "qkv"]
        return [
            map_weight("input_layernorm", "attention_residual.norm"),
            map_joined(parts, "attention.qkv", sizes),
            map_weight("self_attn.q_layernorm", "attention.head_norms.query"),
            map_weight("self_attn.k_layernorm", "attention.head_norms.key"),
            map_weight("self_attn.dense", "attention.out"),
            map_weight("mlp.fc1", "feedforward.inner"),
            map_weight("mlp.fc2", "feedforward.out"),
        ]
