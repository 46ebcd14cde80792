"""T5 (Raffel et al., 2020): version 1.0, and version 1.1 with gates (Flan-T5, for example)."""

from collections.abc import Sequence

from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig
from unitf.interop import (
    DummyInputs,
    WeightMapping,
    activation_of,
    map_blocks,
    map_joined,
    map_weight,
    random_texts,
)
from unitf.tasks import Embedding
from unitf.tokenizer import Unembedding
from unitf_text.encoder_decoders import TextToText
from unitf_text.published import make_text

TEXT = "tokenizers.text"


class T5(TextToText):
    """T5Model, T5ForConditionalGeneration, and the encoder alone (T5EncoderModel)."""

    kinds = ("t5",)

    @property
    def encoder_alone(self) -> bool:
        """Whether the model has no decoder."""
        return type(self.published).__name__ == "T5EncoderModel"

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            kind="encoder" if self.encoder_alone else "encoder-decoder",
            dim=config.d_model,
            depth=config.num_layers,
            decoder_depth=config.num_decoder_layers,
            num_heads=config.num_heads,
            head_dim=config.d_kv,
            hidden_dim=config.d_ff,
            activation=activation_of(config.dense_act_fn, config.is_gated_act),
            norm="rms",
            norm_eps=config.layer_norm_epsilon,
            bias=False,
            attention_scale=1.0,
            relative_positions="t5",
            num_buckets=config.relative_attention_num_buckets,
            max_distance=config.relative_attention_max_distance,
            dropout=config.dropout_rate,
            input_dropout=config.dropout_rate,
            attention_dropout=config.dropout_rate,
        )

    @property
    def tied(self) -> bool:
        """Whether the model computes logits with the token table."""
        return not self.generates or self.published.lm_head.weight is self.published.shared.weight

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.config
        scaled = self.generates and config.scale_decoder_outputs
        unembedding = Unembedding(tied=self.tied, scale=config.d_model**-0.5 if scaled else None)
        text = make_text(
            config.d_model, self.source, config, position_embedding="none", unembedding=unembedding
        )
        return {"text": text}

    def tasks(self) -> dict[str, Task]:
        if self.encoder_alone:
            return {"embedding": Embedding({"source": "text"}, normalise=False)}
        return super().tasks()

    def layers(self, stack: str) -> Sequence[nn.Module]:
        return list(getattr(self.body, stack).block)

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": self.layers("encoder")} if self.encoder_alone else super().blocks()

    def weight_map(self) -> Sequence[WeightMapping]:
        tables = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        if self.encoder_alone:
            tables = tables[:2]
        lines = []
        if self.generates and self.tied:
            tables.append("lm_head.weight")
        elif self.generates:
            lines.append(map_weight("lm_head", f"{TEXT}.unembedding"))
        encoder, decoder = self._stack("encoder"), []
        if not self.encoder_alone:
            decoder = self._stack("decoder")
        return [
            map_weight(tables, f"{TEXT}.embedding.weight"),
            *lines,
            *self.stacks(encoder, decoder),
        ]

    def _stack(self, stack: str) -> list[WeightMapping]:
        inner = self.config.num_heads * self.config.d_kv
        attention, cross, hidden = "layer.0.SelfAttention", "layer.1.EncDecAttention", "layer.1"
        block = [
            map_weight("layer.0.layer_norm", "attention_residual.norm"),
            map_joined([f"{attention}.{name}" for name in "qkv"], "attention.qkv", [inner] * 3),
            map_weight(f"{attention}.o", "attention.out"),
        ]
        if stack == "decoder":
            hidden = "layer.2"
            block += [
                map_weight("layer.1.layer_norm", "cross_residual.norm"),
                map_weight(f"{cross}.q", "cross.query"),
                map_joined([f"{cross}.k", f"{cross}.v"], "cross.kv", [inner] * 2),
                map_weight(f"{cross}.o", "cross.out"),
            ]
        dense, size = f"{hidden}.DenseReluDense", self.config.d_ff
        block.append(map_weight(f"{hidden}.layer_norm", "feedforward_residual.norm"))
        block.append(map_weight(f"{dense}.wo", "feedforward.out"))
        if self.config.is_gated_act:
            gates = [f"{dense}.wi_0", f"{dense}.wi_1"]
            block.append(map_joined(gates, "feedforward.inner", [size] * 2))
        else:
            block.append(map_weight(f"{dense}.wi", "feedforward.inner"))
        buckets = f"block.0.{attention}.relative_attention_bias"
        return [
            map_weight(buckets, "positions.table"),
            *map_blocks(len(self.layers(stack)), "block.{}", "blocks.{}", block),
            map_weight("final_layer_norm", "final_norm"),
        ]

    def dummy_inputs(self) -> DummyInputs:
        if not self.encoder_alone:
            return super().dummy_inputs()
        ids, mask, lengths = random_texts(self.config.vocab_size, 64, (7, 40, 3))
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        return DummyInputs(inputs, {"text": Features(ids[mask], lengths=lengths)}, mask)

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if not self.encoder_alone:
            return super().outputs(dummy_inputs)
        return {
            "columns": dummy_inputs.packed(self.published(**dummy_inputs.inputs).last_hidden_state)
        }
