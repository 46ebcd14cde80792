"""The Audio Spectrogram Transformer (Gong et al., 2021) of transformers in unitf."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig, UserError
from unitf.interop import (
    DummyInputs,
    Part,
    Picked,
    WeightMapping,
    label_task,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Embedding, Head
from unitf.tokenizer import Prefix
from unitf_audio.hf_audio import SOUND, AudioArchitecture
from unitf_audio.spectral import SpectralPatches
from unitf_audio.spectrogram import Spectrogram

NUM_PREFIX = 2  # a class token and a distillation token


class AudioSpectrogramTransformer(AudioArchitecture):
    """ASTModel and ASTForAudioClassification: overlapping patches of a spectrogram."""

    kinds = ("audio-spectrogram-transformer",)

    def unsupported(self) -> str | None:
        if not isinstance(self.config.patch_size, int):
            return f"patch_size is {self.config.patch_size}, not one number"
        return super().unsupported()

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            activation=self.activation,
            norm_eps=config.layer_norm_eps,
            qkv_bias=config.qkv_bias,
            dropout=config.hidden_dropout_prob,
            input_dropout=config.hidden_dropout_prob,
            activation_dropout=0.0,
            attention_dropout=config.attention_probs_dropout_prob,
        )

    @property
    def grid(self) -> tuple[int, int]:
        """The number of patches in time and in frequency."""
        config, size = self.config, self.config.patch_size
        return (
            (config.max_length - size) // config.time_stride + 1,
            (config.num_mel_bins - size) // config.frequency_stride + 1,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        return {"sound": self._patches()}

    def _patches(self) -> SpectralPatches:
        config, settings = self.config, self.preparation("ASTFeatureExtractor")
        frames, bands = self.grid
        for name in ("max_length", "num_mel_bins"):
            if settings.get(name, expected := getattr(config, name)) != expected:
                raise UserError(
                    f"{self.source}: its feature extractor has {name} {settings[name]}, "
                    f"its model {expected}"
                )
        normal = settings.get("do_normalize", True)
        spectrogram = Spectrogram(
            settings.get("sampling_rate", 16_000), num_mels=config.num_mel_bins, kind="fbank"
        )
        patches = SpectralPatches(
            config.hidden_size,
            spectrogram,
            config.patch_size,
            config.patch_size,
            config.time_stride,
            config.frequency_stride,
            normalise="global" if normal else "none",
            position_embedding="learned",
            max_tokens=frames * bands,
            num_frames=config.max_length,
            fill=0.0,  # transformers pads before it normalises
            prefix=Prefix(NUM_PREFIX),
        )
        if normal:
            mean, deviation = settings.get("mean", -4.2677393), settings.get("std", 4.5689974)
            patches.fitted = {
                "mean": torch.tensor([[mean]]),
                "std": torch.tensor([[2 * deviation]]),
            }
        return patches

    def tasks(self) -> dict[str, Task]:
        both: list[int | None] = [0, NUM_PREFIX]
        if not self.head:
            head = Head(columns=both)
            return {"embedding": Embedding(["sound"], "mean", normalise=False, head=head)}
        head = Head(columns=both, norm_eps=self.config.layer_norm_eps)
        return {"label": label_task(self.config, ["sound"], "mean", head)}

    def _order(self) -> Tensor:
        """Returns transformers' index of each patch of unitf; it has bands first, unitf time."""
        frames, bands = self.grid
        return torch.arange(frames * bands).reshape(bands, frames).mT.flatten()

    def weight_map(self) -> Sequence[WeightMapping]:
        config, embeddings = self.config, f"{self.prefix}embeddings"
        position_table = f"{embeddings}.position_embeddings"
        order = (self._order() + NUM_PREFIX).tolist()
        names = [f"attention.{name}_proj" for name in "qkv"]
        block = [
            map_weight("layernorm_before", "attention_residual.norm"),
            map_joined(names, "attention.qkv", [config.hidden_size] * 3),
            map_weight("attention.o_proj", "attention.out"),
            map_weight("layernorm_after", "feedforward_residual.norm"),
            map_weight("mlp.fc1", "feedforward.inner"),
            map_weight("mlp.fc2", "feedforward.out"),
        ]
        return [
            map_weight(f"{embeddings}.patch_embeddings.projection", f"{SOUND}.embedding"),
            map_joined(
                [f"{embeddings}.cls_token", f"{embeddings}.distillation_token"],
                f"{SOUND}.prefix.tokens",
                [1, 1],
            ),
            map_weight(position_table, f"{SOUND}.prefix.positions", Part(0, NUM_PREFIX)),
            map_weight(position_table, f"{SOUND}.position_embedding.table", Picked(order)),
            *map_blocks(
                config.num_hidden_layers,
                f"{self.prefix}layers.{{}}",
                "core.encoder.blocks.{}",
                block,
            ),
            map_weight(f"{self.prefix}layernorm", "core.encoder.final_norm"),
            map_weight("classifier.layernorm", "tasks.label.head.norm"),
            map_weight("classifier.dense", "tasks.label.head.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.layers)}

    def dummy_inputs(self) -> DummyInputs:
        """Returns spectrograms; here unitf gets the patches in transformers' order."""
        config = self.config
        numbers = torch.randn(2, config.max_length, config.num_mel_bins)
        order, patches = self._order().argsort(), self._patches()
        cut = [patches.cut(one.mT) for one in numbers]
        parts = [Features(one.values[:, order], one.positions[:, order]) for one in cut]
        return DummyInputs({"input_values": numbers}, {"sound": Features.pack(parts)})

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        return super().heads(output, dummy_inputs) or {"embedding": output.pooler_output}
