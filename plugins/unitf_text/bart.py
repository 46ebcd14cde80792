"""BART (Lewis et al., 2020) and Marian (Junczys-Dowmunt et al., 2018), the translators of OPUS."""

from collections.abc import Sequence
from typing import Any

from unitf import Tokenizer, TransformerConfig
from unitf.interop import WeightMapping, activation_of, map_blocks, map_joined, map_weight
from unitf.tasks import TargetPositions
from unitf.tokenizer import EmbeddingTable, Unembedding
from unitf_text.encoder_decoders import TASK, TextToText
from unitf_text.published import make_text
from unitf_text.token_ids import TokenIds


class Bart(TextToText):
    """BartModel and BartForConditionalGeneration."""

    kinds = ("bart",)
    embedding_norm = True

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            kind="encoder-decoder",
            dim=config.d_model,
            depth=config.encoder_layers,
            decoder_depth=config.decoder_layers,
            num_heads=config.encoder_attention_heads,
            hidden_dim=config.encoder_ffn_dim,
            activation=activation_of(config.activation_function),
            norm_position="post",
            input_norm=self.embedding_norm,
            dropout=config.dropout,
            input_dropout=config.dropout,
            activation_dropout=config.activation_dropout,
            attention_dropout=config.attention_dropout,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.config
        text = make_text(config.d_model, self.source, config, **self.text_options())
        return {"text": text}

    def text_options(self) -> dict[str, Any]:
        """Returns the options of the tokenizers, without the vocabulary."""
        config = self.config
        return {
            "position_embedding": "learned",
            "max_tokens": config.max_position_embeddings,
            "position_offset": 2,
            "table": EmbeddingTable(scale=config.d_model**0.5 if config.scale_embedding else 1.0),
            "unembedding": Unembedding(bias=self.generates),
        }

    def target_positions(self) -> TargetPositions | None:
        return TargetPositions(self.config.max_position_embeddings, offset=2)

    def weight_map(self) -> Sequence[WeightMapping]:
        return [
            *self.tables(),
            *self.positions(),
            map_weight(
                "final_logits_bias", f"tokenizers.{self.tokenizer_names[1]}.unembedding.bias"
            ),
            *self.stacks(self.stack("encoder"), self.stack("decoder")),
        ]

    def tables(self) -> list[WeightMapping]:
        """Returns the mapping of the token table, which inputs and outputs share."""
        names = ["shared", "encoder.embed_tokens", "decoder.embed_tokens"]
        names = [f"{self.prefix}{name}.weight" for name in names]
        names += ["lm_head.weight"] if self.generates else []
        return [map_weight(names, "tokenizers.text.embedding.weight")]

    def positions(self) -> list[WeightMapping]:
        """Returns the mappings of the position tables of source and target."""
        tables = ("tokenizers.text.position_embedding.table", f"tasks.{TASK}.positions.table")
        return [
            map_weight(f"{self.prefix}{stack}.embed_positions.weight", ours)
            for stack, ours in zip(("encoder", "decoder"), tables, strict=True)
        ]

    def stack(self, stack: str) -> list[WeightMapping]:
        """Returns the mappings of the encoder or the decoder: its first norm and its blocks."""
        dim = self.config.d_model
        block = [
            map_joined([f"self_attn.{name}_proj" for name in "qkv"], "attention.qkv", [dim] * 3),
            map_weight("self_attn.out_proj", "attention.out"),
            map_weight("self_attn_layer_norm", "attention_residual.norm"),
            map_weight("fc1", "feedforward.inner"),
            map_weight("fc2", "feedforward.out"),
            map_weight("final_layer_norm", "feedforward_residual.norm"),
        ]
        if stack == "decoder":
            block += [
                map_weight("encoder_attn.q_proj", "cross.query"),
                map_joined([f"encoder_attn.{name}_proj" for name in "kv"], "cross.kv", [dim] * 2),
                map_weight("encoder_attn.out_proj", "cross.out"),
                map_weight("encoder_attn_layer_norm", "cross_residual.norm"),
            ]
        return [
            map_weight("layernorm_embedding", "input_norm"),
            *map_blocks(len(self.layers(stack)), "layers.{}", "blocks.{}", block),
        ]


class Marian(Bart):
    """MarianModel and MarianMTModel: sinusoidal positions; one table, or two vocabularies.

    Its tokenizer consists of two SentencePiece files, which unitf does not open; a text is a list
    of ids.
    """

    kinds = ("marian",)
    embedding_norm = False
    heads_known = ("", "MTModel")

    @property
    def head(self) -> str:
        return "MTModel" if type(self.published).__name__ == "MarianMTModel" else super().head

    @property
    def generates(self) -> bool:
        return self.head == "MTModel"

    @property
    def shared(self) -> bool:
        """Whether source and target share one vocabulary."""
        return self.config.share_encoder_decoder_embeddings

    def unsupported(self) -> str | None:
        if self.config.d_model % 2:
            return f"its width {self.config.d_model} is odd"
        return super().unsupported()

    @property
    def tokenizer_names(self) -> tuple[str, str]:
        return ("text", "text") if self.shared else ("source", "target")

    def text_options(self) -> dict[str, Any]:
        return super().text_options() | {"position_embedding": "fixed", "position_offset": 0}

    def tokenizers(self) -> dict[str, Tokenizer]:
        config, tokenizers = self.config, {}
        sizes = config.vocab_size, config.decoder_vocab_size
        for name, size in zip(self.tokenizer_names, sizes, strict=True):
            tokenizers[name] = TokenIds(
                config.d_model, size, end_id=config.eos_token_id, **self.text_options()
            )
        return tokenizers

    def target_positions(self) -> TargetPositions | None:
        return None

    def tables(self) -> list[WeightMapping]:
        if self.shared:
            return super().tables()
        names = [f"{self.prefix}decoder.embed_tokens.weight"]
        names += ["lm_head.weight"] if self.generates else []
        source = f"{self.prefix}encoder.embed_tokens.weight"
        return [
            map_weight(source, "tokenizers.source.embedding.weight"),
            map_weight(names, "tokenizers.target.embedding.weight"),
        ]

    def positions(self) -> list[WeightMapping]:
        names = [f"{self.prefix}{stack}.embed_positions.weight" for stack in ("encoder", "decoder")]
        if self.shared:
            return [map_weight(names, "tokenizers.text.position_embedding.table")]
        return [
            map_weight(name, f"tokenizers.{ours}.position_embedding.table")
            for name, ours in zip(names, self.tokenizer_names, strict=True)
        ]
