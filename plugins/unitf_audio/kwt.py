"""The Keyword Transformer (KWT-1, -2, -3): its mapping to unitf."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig
from unitf.interop import (
    Architecture,
    DummyInputs,
    Part,
    WeightMapping,
    ignore_weights,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Classification
from unitf.tokenizer import Prefix
from unitf_audio.kwt_model import spectrogram_of
from unitf_audio.spectral import SpectrogramFrames

FRONT_END = ("window", "dft_0.weight", "dft_1.weight", "mel.weight", "dct.weight")


class KeywordTransformerArchitecture(Architecture):
    """A class token and 98 MFCC frames, processed by post-norm blocks."""

    hub = "kwt"
    kinds = ("KeywordTransformer",)

    def core(self) -> TransformerConfig:
        config = self.published.config
        return TransformerConfig(
            dim=config["d_model"],
            depth=config["layers"],
            num_heads=config["heads"],
            hidden_dim=config["d_ff"],
            activation="gelu_tanh",
            norm_position="post",
            norm_eps=config["layer_norm_eps"],
            qkv_bias=False,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.published.config
        seconds = config["input_samples"] / config["sample_rate"]
        sound = SpectrogramFrames(
            config["d_model"],
            spectrogram_of(config),
            normalise="none",
            max_seconds=seconds,
            min_seconds=seconds,
            position_embedding="learned",
            max_tokens=config["n_frames"],
            prefix=Prefix(1),
        )
        return {"sound": sound}

    def tasks(self) -> dict[str, Task]:
        return {"keyword": Classification(["sound"], "keyword", self.published.labels, "first")}

    def weight_map(self) -> Sequence[WeightMapping]:
        config, sound = self.published.config, "tokenizers.sound"
        block = [
            map_joined(["attn.q", "attn.k", "attn.v"], "attention.qkv", [config["d_model"]] * 3),
            map_weight("attn.out", "attention.out"),
            map_weight("norm1", "attention_residual.norm"),
            map_weight("mlp.fc1", "feedforward.inner"),
            map_weight("mlp.fc2", "feedforward.out"),
            map_weight("norm2", "feedforward_residual.norm"),
        ]
        total = config["n_frames"] + 1
        return [
            *ignore_weights(*(f"frontend.{name}" for name in FRONT_END)),  # unitf computes the same
            map_weight("patch_proj", f"{sound}.embedding"),
            map_weight("class_token", f"{sound}.prefix.tokens"),
            map_weight("pos_embed", f"{sound}.prefix.positions", Part(0, 1)),
            map_weight("pos_embed", f"{sound}.position_embedding.table", Part(1, total)),
            *map_blocks(config["layers"], "layers.{}", "core.encoder.blocks.{}", block),
            map_weight("head", "tasks.keyword.head.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.published.layers)}

    def dummy_inputs(self) -> DummyInputs:
        config = self.published.config
        mfcc = torch.randn(2, config["n_frames"], config["n_mfcc"])
        features = Features.pack([Features(frames.mT) for frames in mfcc])
        return DummyInputs({"mfcc": mfcc}, {"sound": features})

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        columns = self.published.columns(dummy_inputs.inputs["mfcc"])
        return {"columns": columns.flatten(0, 1), "keyword": self.published.head(columns[:, 0])}
