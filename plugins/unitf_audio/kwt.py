"""The Keyword Transformer (KWT-1, -2, -3), said in unitf."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unitf import Features
from unitf.core import TransformerConfig
from unitf.embedding import Prefix
from unitf.peers import Architecture, Trial, each, joined, line, unused
from unitf.peers.changes import Part
from unitf.peers.names import Line
from unitf.tasks.classification import Classification
from unitf.tasks.task import Task
from unitf.tokenizer import Tokenizer
from unitf_audio.kwt_model import spectrogram_of
from unitf_audio.spectral import SpectrogramFrames

FRONT_END = ("window", "dft_0.weight", "dft_1.weight", "mel.weight", "dct.weight")


class KeywordTransformerArchitecture(Architecture):
    """A class token and 98 frames of MFCC through post-norm blocks."""

    hub = "kwt"
    kinds = ("KeywordTransformer",)

    def core(self) -> TransformerConfig:
        config = self.peer.config
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
        config = self.peer.config
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
        return {"keyword": Classification(["sound"], "keyword", self.peer.labels, "first")}

    def table(self) -> Sequence[Line]:
        config, sound = self.peer.config, "tokenizers.sound"
        block = [
            joined(["attn.q", "attn.k", "attn.v"], "attention.qkv", [config["d_model"]] * 3),
            line("attn.out", "attention.out"),
            line("norm1", "attention_residual.norm"),
            line("mlp.fc1", "feedforward.inner"),
            line("mlp.fc2", "feedforward.out"),
            line("norm2", "feedforward_residual.norm"),
        ]
        total = config["n_frames"] + 1
        return [
            *unused(*(f"frontend.{name}" for name in FRONT_END)),  # unitf computes the same
            line("patch_proj", f"{sound}.embedding"),
            line("class_token", f"{sound}.prefix.tokens"),
            line("pos_embed", f"{sound}.prefix.positions", Part(0, 1)),
            line("pos_embed", f"{sound}.position_embedding.table", Part(1, total)),
            *each(config["layers"], "layers.{}", "core.encoder.blocks.{}", block),
            line("head", "tasks.keyword.head.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.peer.layers)}

    def trial(self) -> Trial:
        config = self.peer.config
        mfcc = torch.randn(2, config["n_frames"], config["n_mfcc"])
        features = Features.pack([Features(frames.mT) for frames in mfcc])
        return Trial({"mfcc": mfcc}, {"sound": features})

    def outputs(self, trial: Trial) -> dict[str, Tensor]:
        columns = self.peer.columns(trial.inputs["mfcc"])
        return {"columns": columns.flatten(0, 1), "keyword": self.peer.head(columns[:, 0])}
