"""Keyword Transformers, small."""

from functools import partial

from torch import nn
from unitf_audio.kwt_model import WHAT_IT_IS, KeywordTransformer

SMALL = {
    "sample_rate": 16_000,
    "input_samples": 1_920,
    "n_frames": 10,
    "n_mfcc": 12,
    "n_mel": 20,
    "window_ms": 30,
    "hop_ms": 10,
    "d_model": 16,
    "layers": 2,
    "heads": 1,
    "d_ff": 32,
    "layer_norm_eps": 1e-6,
}


def _kwt(**options: object) -> nn.Module:
    return KeywordTransformer({**SMALL, **WHAT_IT_IS, **options}, ["_silence_", "yes", "no"])


CASES = {"one head": _kwt, "two heads": partial(_kwt, heads=2)}
