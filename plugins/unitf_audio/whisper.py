"""Whisper (Radford et al., 2023) of transformers in unitf: sounds to texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unitf import Features, Task, Tokenizer, TransformerConfig, UserError, find
from unitf.interop import (
    DummyInputs,
    EncoderDecoderArchitecture,
    WeightMapping,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import SequenceToSequence
from unitf_audio.log_mel import LogMelFrames

SOUND, TEXT = "tokenizers.sound", "tokenizers.text"


class Whisper(EncoderDecoderArchitecture):
    """WhisperModel and WhisperForConditionalGeneration.

    Texts use the model's own tokenizer if the source has one; otherwise they are ids. The tokens of
    language and task after Whisper's start token are part of the target text, if they are wanted;
    for generation they are part of `begin`.
    """

    kinds = ("whisper",)

    def unsupported(self) -> str | None:
        if self.config.activation_function not in ("gelu", "relu"):
            return f"its activation is {self.config.activation_function!r}"
        return super().unsupported()

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            kind="encoder-decoder",
            dim=config.d_model,
            depth=config.encoder_layers,
            decoder_depth=config.decoder_layers,
            num_heads=config.encoder_attention_heads,
            hidden_dim=config.encoder_ffn_dim,
            activation=config.activation_function,
            dropout=config.dropout,
            input_dropout=config.dropout,
            activation_dropout=config.activation_dropout,
            attention_dropout=config.attention_dropout,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.config
        sound = LogMelFrames(
            config.d_model,
            num_mels=config.num_mel_bins,
            max_tokens=config.max_source_positions,
            **self._hearing(),
        )
        return {"sound": sound, "text": self._text()}

    def _hearing(self) -> dict[str, Any]:
        """Returns the frame settings of the source's feature extractor; empty if it has none."""
        if not self._has("preprocessor_config.json", "processor_config.json"):
            return {}
        from transformers import WhisperFeatureExtractor

        extractor: Any = WhisperFeatureExtractor.from_pretrained(str(self.source))
        settings: dict[str, Any] = {
            "sample_rate": extractor.sampling_rate,
            "window": extractor.n_fft,
            "hop": extractor.hop_length,
        }
        frames = extractor.n_samples // extractor.hop_length
        if frames != 2 * self.config.max_source_positions:
            raise UserError(
                f"{self.source}: its feature extractor makes {frames} frames, "
                f"its model reads {2 * self.config.max_source_positions}"
            )
        return settings

    def _text(self) -> Tokenizer:
        """Returns the tokenizer of targets, by name: it is part of the text plugin."""
        config = self.config
        options = {"position_embedding": "learned", "max_tokens": config.max_target_positions}
        if not self._has("tokenizer.json", "vocab.json"):
            make: Any = find("tokenizers", "TokenIds")
            return make(config.d_model, config.vocab_size, end_id=config.eos_token_id, **options)
        make = find("tokenizers", "Subwords")
        text = make(config.d_model, pretrained=self.source, read_special=True, **options)
        text.fit([])
        if text.vocabulary_size > config.vocab_size:
            raise UserError(
                f"{self.source}: its tokenizer has {text.vocabulary_size} pieces, "
                f"its model {config.vocab_size} vectors"
            )
        text.fitted["size"] = config.vocab_size
        return text

    def _has(self, *names: str) -> bool:
        """Whether the source has one of these files; a name on the hub counts as having all."""
        if self.source is None:
            return False
        folder = Path(self.source).expanduser()
        return not folder.is_dir() or any((folder / name).exists() for name in names)

    def tasks(self) -> dict[str, Task]:
        start = self.config.decoder_start_token_id
        return {"transcription": SequenceToSequence(["sound"], "text", start=start)}

    def weight_map(self) -> Sequence[WeightMapping]:
        encoder, decoder = f"{self.prefix}encoder", f"{self.prefix}decoder"
        tables = [f"{decoder}.embed_tokens.weight"]
        tables += ["proj_out.weight"] if self.generates else []
        return [
            map_weight(f"{encoder}.conv1", f"{SOUND}.embedding.first"),
            map_weight(f"{encoder}.conv2", f"{SOUND}.embedding.second"),
            map_weight(f"{encoder}.embed_positions.weight", f"{SOUND}.position_embedding.table"),
            map_weight(tables, f"{TEXT}.embedding.weight"),
            map_weight(f"{decoder}.embed_positions.weight", f"{TEXT}.position_embedding.table"),
            *map_blocks(
                self.config.encoder_layers,
                f"{encoder}.layers.{{}}",
                "core.encoder.blocks.{}",
                self._block(),
            ),
            *map_blocks(
                self.config.decoder_layers,
                f"{decoder}.layers.{{}}",
                "core.decoder.blocks.{}",
                [*self._block(), *self._cross()],
            ),
            map_weight(f"{encoder}.layer_norm", "core.encoder.final_norm"),
            map_weight(f"{decoder}.layer_norm", "core.decoder.final_norm"),
        ]

    def _block(self) -> list[WeightMapping]:
        # keys have no bias: it would add the same number to all scores of a query
        names = [f"self_attn.{name}_proj" for name in "qkv"]
        return [
            map_weight("self_attn_layer_norm", "attention_residual.norm"),
            map_joined(names, "attention.qkv", [self.config.d_model] * 3),
            map_weight("self_attn.out_proj", "attention.out"),
            map_weight("final_layer_norm", "feedforward_residual.norm"),
            map_weight("fc1", "feedforward.inner"),
            map_weight("fc2", "feedforward.out"),
        ]

    def _cross(self) -> list[WeightMapping]:
        names = [f"encoder_attn.{name}_proj" for name in "kv"]
        return [
            map_weight("encoder_attn_layer_norm", "cross_residual.norm"),
            map_weight("encoder_attn.q_proj", "cross.query"),
            map_joined(names, "cross.kv", [self.config.d_model] * 2),
            map_weight("encoder_attn.out_proj", "cross.out"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {
            "encoder": list(self.body.encoder.layers),
            "decoder": list(self.body.decoder.layers),
        }

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        longest, padding = config.max_target_positions, config.pad_token_id
        inputs, target, mask = self.trial_target(config.vocab_size, longest, (5, 2, 9), padding)
        num_positions = config.max_source_positions
        mels = torch.randn(len(mask), config.num_mel_bins, 2 * num_positions)
        rows = mels.unflatten(2, (num_positions, 2)).permute(3, 1, 0, 2)  # (2, M, S, N)
        sounds = Features(rows.flatten(2).flatten(0, 1), lengths=(num_positions,) * len(mask))
        inputs |= {"input_features": mels, "use_cache": False}
        return DummyInputs(inputs, {"sound": sounds}, mask, target)
