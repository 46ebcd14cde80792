"""BERT of transformers and its relatives (RoBERTa, XLM-R, CamemBERT, ELECTRA, …) in unitf."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from unitf import Task, Tokenizer, TransformerConfig
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    WeightMapping,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Head, TokenClassification
from unitf.tokenizer import EmbeddingTable
from unitf_text.encoders import TEXT, TextEncoder


class Bert(TextEncoder):
    """BERT, and sentence encoders with the same body (MiniLM, E5, BGE, GTE)."""

    kinds = ("bert",)
    masked_table = ("cls.predictions.decoder.weight",)
    masked_bias = ("cls.predictions.bias", "cls.predictions.decoder.bias")
    masked_hidden = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm")
    classifier = ("bert.pooler.dense", "classifier")

    @property
    def activation(self) -> str:
        return self.config.hidden_act

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            activation=ACTIVATIONS[self.activation],
            norm_position="post",
            norm_eps=self.eps,
            dropout=config.hidden_dropout_prob,
            input_dropout=config.hidden_dropout_prob,
            activation_dropout=0.0,
            attention_dropout=config.attention_probs_dropout_prob,
        )

    def masked_head(self) -> Head:
        return Head(hidden=ACTIVATIONS[self.activation], norm_eps=self.eps)

    def classifier_head(self) -> Head:
        return Head(hidden="tanh")

    def embedding_mappings(self) -> list[WeightMapping]:
        ours, theirs = f"{TEXT}.position_embedding.tables", f"{self.prefix}embeddings"
        return [
            self.table_line(),
            map_weight(f"{theirs}.position_embeddings.weight", f"{ours}.0"),
            map_weight(f"{theirs}.token_type_embeddings.weight", f"{ours}.1"),
            map_weight(f"{theirs}.LayerNorm", f"{TEXT}.embedding_norm"),
        ]

    def block_mappings(self) -> list[WeightMapping]:
        config = self.config
        lines = [
            map_joined(
                [f"attention.self.{name}" for name in ("query", "key", "value")],
                "attention.qkv",
                [config.hidden_size] * 3,
            ),
            map_weight("attention.output.dense", "attention.out"),
            map_weight("attention.output.LayerNorm", "attention_residual.norm"),
            map_weight("intermediate.dense", "feedforward.inner"),
            map_weight("output.dense", "feedforward.out"),
            map_weight("output.LayerNorm", "feedforward_residual.norm"),
        ]
        theirs = self.prefix + "encoder.layer.{}"
        return map_blocks(config.num_hidden_layers, theirs, "core.encoder.blocks.{}", lines)


class Roberta(Bert):
    """RoBERTa, XLM-R and CamemBERT: two unused positions, one segment, another head."""

    kinds = ("roberta", "xlm-roberta", "camembert")
    masked_table = ("lm_head.decoder.weight",)
    masked_bias = ("lm_head.bias", "lm_head.decoder.bias")
    masked_hidden = ("lm_head.dense", "lm_head.layer_norm")
    classifier = ("classifier.dense", "classifier.out_proj")

    @property
    def offset(self) -> int:
        """The number of unused positions before the first used one."""
        return self.config.pad_token_id + 1

    @property
    def num_positions(self) -> int:
        return self.config.max_position_embeddings - self.offset

    def tokenizers(self) -> dict[str, Tokenizer]:
        return {
            "text": self.text_tokenizer(position_embedding="additive", position_offset=self.offset)
        }

    def masked_head(self) -> Head:
        return Head(hidden="gelu", norm_eps=self.eps)


class Electra(Bert):
    """ELECTRA: a narrower table, and a discriminator of replaced tokens."""

    kinds = ("electra",)
    heads_known = (*TextEncoder.heads_known, "PreTraining")
    masked_table = ("generator_lm_head.weight",)
    masked_bias = ("generator_lm_head.bias",)
    masked_hidden = ("generator_predictions.dense", "generator_predictions.LayerNorm")
    classifier = ("classifier.dense", "classifier.out_proj")

    def table_settings(self) -> EmbeddingTable:
        width = self.config.embedding_size
        return EmbeddingTable(
            width=None if width == self.config.hidden_size else width,
            norm_eps=self.eps,
        )

    def embedding_mappings(self) -> list[WeightMapping]:
        projection = map_weight(f"{self.prefix}embeddings_project", f"{TEXT}.embedding_projection")
        return [*super().embedding_mappings(), projection]

    def masked_head(self) -> Head:
        return Head(hidden="gelu", width=self.config.embedding_size, norm_eps=self.eps)

    def classifier_head(self) -> Head:
        return Head(hidden="gelu")

    def tasks(self) -> dict[str, Task]:
        if self.head != "PreTraining":
            return super().tasks()
        head = Head(hidden=ACTIVATIONS[self.activation])
        classes: list = [False, True]
        return {
            "replaced": TokenClassification(
                ["text"], "replaced", classes, single_logit=True, head=head
            )
        }

    def head_mappings(self) -> list[WeightMapping]:
        if self.head != "PreTraining":
            return super().head_mappings()
        theirs, ours = "discriminator_predictions", "tasks.replaced.head"
        return [
            map_weight(f"{theirs}.dense", f"{ours}.hidden"),
            map_weight(f"{theirs}.dense_prediction", f"{ours}.linear"),
        ]

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        logits_by_task = super().heads(output, dummy_inputs)
        if self.head == "PreTraining":  # one number for each token, without an axis of classes
            logits_by_task = {name: logits[:, None] for name, logits in logits_by_task.items()}
        return logits_by_task


class DistilBert(TextEncoder):
    """DistilBERT: BERT without segments and pooler."""

    kinds = ("distilbert",)
    masked_table = ("vocab_projector.weight",)
    masked_bias = ("vocab_projector.bias",)
    masked_hidden = ("vocab_transform", "vocab_layer_norm")
    classifier = ("pre_classifier", "classifier")

    @property
    def activation(self) -> str:
        return self.config.activation

    @property
    def eps(self) -> float:
        return 1e-12

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.dim,
            depth=config.n_layers,
            num_heads=config.n_heads,
            hidden_dim=config.hidden_dim,
            activation=ACTIVATIONS[self.activation],
            norm_position="post",
            norm_eps=self.eps,
            dropout=config.dropout,
            input_dropout=config.dropout,
            activation_dropout=0.0,
            attention_dropout=config.attention_dropout,
        )

    def masked_head(self) -> Head:
        return Head(hidden=ACTIVATIONS[self.activation], norm_eps=self.eps)

    def classifier_head(self) -> Head:
        return Head(hidden="relu")

    def embedding_mappings(self) -> list[WeightMapping]:
        theirs = f"{self.prefix}embeddings"
        return [
            self.table_line(),
            map_weight(f"{theirs}.position_embeddings.weight", f"{TEXT}.position_embedding.table"),
            map_weight(f"{theirs}.LayerNorm", f"{TEXT}.embedding_norm"),
        ]

    def block_mappings(self) -> list[WeightMapping]:
        config = self.config
        lines = [
            map_joined(
                [f"attention.{name}_lin" for name in "qkv"], "attention.qkv", [config.dim] * 3
            ),
            map_weight("attention.out_lin", "attention.out"),
            map_weight("sa_layer_norm", "attention_residual.norm"),
            map_weight("ffn.lin1", "feedforward.inner"),
            map_weight("ffn.lin2", "feedforward.out"),
            map_weight("output_layer_norm", "feedforward_residual.norm"),
        ]
        theirs = self.prefix + "transformer.layer.{}"
        return map_blocks(config.n_layers, theirs, "core.encoder.blocks.{}", lines)

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.transformer.layer)}


class Albert(Bert):
    """ALBERT: one block that is applied repeatedly, and a narrower table."""

    kinds = ("albert",)
    masked_table = ("predictions.decoder.weight",)
    masked_bias = ("predictions.bias", "predictions.decoder.bias")
    masked_hidden = ("predictions.dense", "predictions.LayerNorm")
    classifier = ("albert.pooler", "classifier")

    def unsupported(self) -> str | None:
        config = self.config
        if config.num_hidden_groups != 1 or config.inner_group_num != 1:
            return f"it has {config.num_hidden_groups * config.inner_group_num} different blocks"
        if config.embedding_size == config.hidden_size:
            return "its table is as wide as its blocks, and still has a projection"
        return super().unsupported()

    def core(self) -> TransformerConfig:
        return replace(super().core(), share_blocks=True)

    def table_settings(self) -> EmbeddingTable:
        return EmbeddingTable(
            width=self.config.embedding_size,
            norm_eps=self.eps,
        )

    def masked_head(self) -> Head:
        return Head(
            hidden=ACTIVATIONS[self.activation],
            width=self.config.embedding_size,
            norm_eps=self.eps,
        )

    def embedding_mappings(self) -> list[WeightMapping]:
        theirs = f"{self.prefix}encoder.embedding_hidden_mapping_in"
        return [*super().embedding_mappings(), map_weight(theirs, f"{TEXT}.embedding_projection")]

    def block_mappings(self) -> list[WeightMapping]:
        lines = [
            map_joined(
                [f"attention.{name}" for name in ("query", "key", "value")],
                "attention.qkv",
                [self.config.hidden_size] * 3,
            ),
            map_weight("attention.dense", "attention.out"),
            map_weight("attention.LayerNorm", "attention_residual.norm"),
            map_weight("ffn", "feedforward.inner"),
            map_weight("ffn_output", "feedforward.out"),
            map_weight("full_layer_layer_norm", "feedforward_residual.norm"),
        ]
        theirs = self.prefix + "encoder.albert_layer_groups.0.albert_layers.{}"
        return map_blocks(1, theirs, "core.encoder.blocks.{}", lines)

    def head_mappings(self) -> list[WeightMapping]:
        if not self.head:
            return [map_weight("pooler", "tasks.pooler.head.hidden")]
        return super().head_mappings()

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.encoder.albert_layer_groups[0].albert_layers)}
