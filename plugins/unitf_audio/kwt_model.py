"""The published Keyword Transformer (Berg et al., 2021) in plain torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitf_audio.spectrogram import Spectrogram, tensorflow_filters

LOW, HIGH = 20.0, 7_600.0  # Hz, the range of the mel filters of every published model
WHAT_IT_IS = {  # the conventions in config.json that this module implements
    "norm": "post",
    "activation": "gelu_tanh",
    "qkv_bias": False,
    "pool": "class token",
    "log_floor": 1e-12,
}


class KeywordTransformer(nn.Module):
    """Classifies the word that is spoken in one second of sound.

    Args:
        config: the content of `config.json`.
        labels: the names of the classes.
    """

    def __init__(self, config: Mapping[str, Any], labels: Sequence[str]) -> None:
        super().__init__()
        self.config, self.labels = dict(config), list(labels)
        dim = config["d_model"]
        self.frontend = FrontEnd(spectrogram_of(config))
        self.patch_proj = nn.Linear(config["n_mfcc"], dim)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, config["n_frames"] + 1, dim))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["layers"]))
        self.head = nn.Linear(dim, len(labels))

    def columns(self, mfcc: Float[Tensor, "S T F"]) -> Float[Tensor, "S L D"]:
        """Returns the class token and the frames after the last block."""
        rows = self.patch_proj(mfcc)
        rows = torch.cat([self.class_token.expand(len(rows), -1, -1), rows], 1) + self.pos_embed
        for layer in self.layers:
            rows = layer(rows)
        return rows

    def forward(self, mfcc: Float[Tensor, "S T F"]) -> Float[Tensor, "S C"]:
        return self.head(self.columns(mfcc)[:, 0])


class FrontEnd(nn.Module):
    """Computes MFCC from sound with the matrices that are published with the weights."""

    window: Tensor

    def __init__(self, settings: Spectrogram) -> None:
        super().__init__()
        window, real, imaginary, filters = tensorflow_filters(settings)
        self.hop = round(settings.hop * settings.sample_rate)
        self.register_buffer("window", window)
        self.dft_0, self.dft_1 = Matrix(real), Matrix(imaginary)
        self.mel, self.dct = Matrix(filters), Matrix(settings.cosines)

    def forward(self, sound: Float[Tensor, "S samples"]) -> Float[Tensor, "S T F"]:
        frames = sound.unfold(1, len(self.window), self.hop) * self.window
        magnitudes = (self.dft_0(frames).square() + self.dft_1(frames).square()).sqrt()
        return self.dct(self.mel(magnitudes).clamp_min(WHAT_IT_IS["log_floor"]).log())


class Matrix(nn.Module):
    """A fixed matrix that is published with the weights."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, rows: Float[Tensor, "*N F"]) -> Float[Tensor, "*N G"]:
        return functional.linear(rows, self.weight)


class Layer(nn.Module):
    """A post-norm block: attention and feed-forward, each followed by a norm of the sum."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        dim, eps = config["d_model"], config["layer_norm_eps"]
        self.heads = config["heads"]
        self.attn = nn.ModuleDict({name: nn.Linear(dim, dim, bias=False) for name in "qkv"})
        self.attn["out"] = nn.Linear(dim, dim)
        self.norm1 = nn.LayerNorm(dim, eps)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(dim, config["d_ff"]), "fc2": nn.Linear(config["d_ff"], dim)}
        )
        self.norm2 = nn.LayerNorm(dim, eps)

    def forward(self, rows: Float[Tensor, "S L D"]) -> Float[Tensor, "S L D"]:
        query, key, value = (
            self.attn[name](rows).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in "qkv"
        )
        scores = query @ key.mT * query.shape[-1] ** -0.5
        attended = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        rows = self.norm1(rows + self.attn["out"](attended))
        hidden = functional.gelu(self.mlp["fc1"](rows), approximate="tanh")
        return self.norm2(rows + self.mlp["fc2"](hidden))


def spectrogram_of(config: Mapping[str, Any]) -> Spectrogram:
    """Returns the settings of the model's MFCC."""
    return Spectrogram(
        config["sample_rate"],
        config["window_ms"] / 1000,
        config["hop_ms"] / 1000,
        config["n_mel"],
        LOW,
        HIGH,
        "tensorflow",
        config["n_mfcc"],
    )
