"""wav2vec 2.0 (Baevski et al., 2020) and HuBERT (Hsu et al., 2021) of transformers in unitf."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig, UserError
from unitf.interop import DummyInputs, WeightMapping, label_task, map_blocks, map_joined, map_weight
from unitf.tasks import Embedding, Head, Transcription
from unitf_audio.convolution import ACTIVATIONS, HiddenSpans, SampleConvolutions
from unitf_audio.hf_audio import SOUND, AudioArchitecture
from unitf_audio.waveform_convolution import WaveformConvolution


class Wav2Vec2(AudioArchitecture):
    """The models without a head, ForCTC and ForSequenceClassification; base and large models.

    Base models normalise the first convolution over time. There transformers includes padding, so
    that a batch of sounds of different lengths gives other results than each sound alone. unitf
    computes the results of each sound alone.
    """

    kinds = ("wav2vec2", "hubert")

    def unsupported(self) -> str | None:
        config = self.config
        if config.feat_extract_activation not in ACTIVATIONS:
            return f"feat_extract_activation is {config.feat_extract_activation!r}"
        for name in ("conv_pos_batch_norm", "add_adapter", "adapter_attn_dim"):
            if getattr(config, name, None):
                return f"{name} is {getattr(config, name)}"
        if self.head not in ("", "CTC", "SequenceClassification"):
            return f"its head is For{self.head}"
        if self.head == "SequenceClassification" and config.use_weighted_layer_sum:
            return "its head reads the sum of all layers"
        return super().unsupported()

    @property
    def stable(self) -> bool:
        """Whether the norms precede the layers, as in large models."""
        return self.config.do_stable_layer_norm

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            activation=self.activation,
            norm_position="pre" if self.stable else "post",
            norm_eps=config.layer_norm_eps,
            input_norm=not self.stable,
            dropout=config.hidden_dropout,
            input_dropout=config.hidden_dropout,
            activation_dropout=config.activation_dropout,
            attention_dropout=config.attention_dropout,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        return {"sound": self._waveform()}

    def _waveform(self) -> WaveformConvolution:
        config, settings = self.config, self.preparation("Wav2Vec2FeatureExtractor")
        convolutions = SampleConvolutions(
            list(config.conv_dim),
            list(config.conv_kernel),
            list(config.conv_stride),
            config.feat_extract_norm,
            config.conv_bias,
            config.feat_extract_activation,
            getattr(config, "feat_proj_layer_norm", True),
            config.layer_norm_eps,
            config.num_conv_pos_embeddings,
            config.num_conv_pos_embedding_groups,
        )
        hide = None
        if config.mask_time_prob > 0 or config.mask_feature_prob > 0:
            mask_ratio = config.mask_time_prob if config.apply_spec_augment else 0.0
            hide = HiddenSpans(mask_ratio, config.mask_time_length, config.mask_time_min_masks)
        return WaveformConvolution(
            config.hidden_size,
            convolutions,
            settings.get("sampling_rate", 16_000),
            settings.get("do_normalize", True),
            hide=hide,
        )

    def tasks(self) -> dict[str, Task]:
        config = self.config
        if self.head == "CTC":
            symbols, blank = self._symbols()
            task = Transcription(["sound"], "text", symbols, blank, config.final_dropout)
            return {"transcription": task}
        if self.head == "SequenceClassification":
            head = Head(hidden="none", width=config.classifier_proj_size)
            return {"label": label_task(config, ["sound"], "mean", head)}
        return {"embedding": Embedding(["sound"], "mean", normalise=False)}

    def _symbols(self) -> tuple[list[str], int]:
        """Returns the symbol of each logit and the index of the blank, from the vocabulary."""
        config, size = self.config, self.config.vocab_size
        blank = config.pad_token_id
        if self.source is None or not _has_vocabulary(self.source):
            return ["" if n == blank else f"<{n}>" for n in range(size)], blank
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(self.source, trust_remote_code=False)
        pieces = tokenizer.get_vocab()
        if not pieces or max(pieces.values()) >= size:
            raise UserError(f"{self.source}: its vocabulary does not fit {size} logits")
        symbols = [""] * size
        for piece, number in pieces.items():
            if piece == tokenizer.word_delimiter_token:
                symbols[number] = " "
            elif number not in tokenizer.all_special_ids:
                symbols[number] = piece
        symbols[blank] = ""
        return symbols, blank

    def weight_map(self) -> Sequence[WeightMapping]:
        config, body, embedding = self.config, self.prefix, f"{SOUND}.embedding"
        depth = len(config.conv_dim)
        layers = f"{body}feature_extractor.conv_layers"
        position_convolution = f"{body}encoder.pos_conv_embed.conv"
        norm = "final_norm" if self.stable else "input_norm"
        blocks = f"{body}encoder.layers.{{}}"
        names = [f"attention.{name}_proj" for name in "qkv"]
        block = [
            map_joined(names, "attention.qkv", [config.hidden_size] * 3),
            map_weight("attention.out_proj", "attention.out"),
            map_weight("layer_norm", "attention_residual.norm"),
            map_weight("feed_forward.intermediate_dense", "feedforward.inner"),
            map_weight("feed_forward.output_dense", "feedforward.out"),
            map_weight("final_layer_norm", "feedforward_residual.norm"),
        ]
        return [
            *(
                map_weight(f"{layers}.{n}.conv", f"{embedding}.convolutions.{n}")
                for n in range(depth)
            ),
            *(
                map_weight(f"{layers}.{n}.layer_norm", f"{embedding}.norms.{n}")
                for n in range(depth)
            ),
            map_weight(f"{body}feature_projection.layer_norm", f"{embedding}.norm"),
            map_weight(f"{body}feature_projection.projection", f"{embedding}.projection"),
            map_weight(f"{body}masked_spec_embed", f"{embedding}.hidden"),
            map_weight(
                f"{position_convolution}.parametrizations.weight.original0",
                f"{embedding}.places.length",
            ),
            map_weight(
                f"{position_convolution}.parametrizations.weight.original1",
                f"{embedding}.places.direction",
            ),
            map_weight(f"{position_convolution}.bias", f"{embedding}.places.bias"),
            map_weight(f"{body}encoder.layer_norm", f"core.encoder.{norm}"),
            *map_blocks(config.num_hidden_layers, blocks, "core.encoder.blocks.{}", block),
            map_weight("lm_head", "tasks.transcription.head"),
            map_weight("projector", "tasks.label.head.hidden"),
            map_weight("classifier", "tasks.label.head.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.encoder.layers)}

    def dummy_inputs(self) -> DummyInputs:
        """Returns sounds of different lengths, or of one if transformers would include padding."""
        tokenizer = self._waveform()
        window, step = tokenizer.convolutions.window, tokenizer.convolutions.step
        even = self.config.feat_extract_norm == "group"
        counts = (12, 12) if even else (12, 17, 11)
        lengths = [window + step * (count - 1) + step // 2 for count in counts]
        sounds = [torch.randn(length) for length in lengths]
        inputs = {"input_values": nn.utils.rnn.pad_sequence(sounds, batch_first=True)}
        mask = None
        if not even:
            samples = [torch.ones(length, dtype=torch.long) for length in lengths]
            inputs["attention_mask"] = nn.utils.rnn.pad_sequence(samples, batch_first=True)
            mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
        features = Features.pack([tokenizer.cut(sound) for sound in sounds])
        return DummyInputs(inputs, {"sound": features}, mask)

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if self.head == "CTC":
            return {"transcription": dummy_inputs.packed(output.logits)}
        return super().heads(output, dummy_inputs)


def _has_vocabulary(source: str) -> bool:
    folder = Path(source).expanduser()
    return not folder.is_dir() or (folder / "vocab.json").is_file()
