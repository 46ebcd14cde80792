"""Sounds of different lengths: features, and a spectrogram transformer, against transformers."""

from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.workload import Side, Workload
from benchmarks.speed.workloads.common import autocast, learner_of, training
from unitf import Batch
from unitf.data.encoder import Encoder

_RATE, _CLIPS = 16_000, 8


@cache
def _sounds(seconds: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return tuple(random.normal(size=int(s * _RATE)).astype(np.float32) / 10 for s in seconds)


_VARIED = tuple(2 + 6 * n / (_CLIPS - 1) for n in range(_CLIPS))  # 2 to 8 s, 5 on average


# ---- AST ------------------------------------------------------------------------------------


def _ast() -> Any:
    from transformers import ASTConfig, ASTForAudioClassification

    config = ASTConfig(
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=3,
        intermediate_size=768,
        num_labels=10,
    )
    return ASTForAudioClassification(config)


def _hears(train: bool, dtype: torch.dtype) -> Side:
    """The imported model on clips of their real length, without padding."""
    learner = learner_of(_ast())
    [task], patches = learner.tasks, learner.tokenizers["sound"]
    patches.num_frames = None
    encode = Encoder(learner.tokenizers, learner.tasks, labelled=train)
    names = learner.tasks[task].classes
    samples = [
        {"sound": (sound, _RATE), learner.tasks[task].target: names[n]}
        for n, sound in enumerate(_sounds(_VARIED))
    ]

    def batch() -> Batch:
        return encode([encode.item(n, sample) for n, sample in enumerate(samples)])

    if train:
        return Side(training(learner, [lambda: learner.loss(batch())], dtype), _CLIPS)
    learner.eval()

    def run() -> Tensor:
        with torch.inference_mode(), autocast(dtype):
            return learner(batch())[task]

    return Side(run, _CLIPS)


def _peer_hears(train: bool, dtype: torch.dtype) -> Side:
    from transformers import ASTFeatureExtractor

    published, extract = _ast(), ASTFeatureExtractor()
    labels = torch.arange(_CLIPS)

    def inputs() -> Any:
        return extract(list(_sounds(_VARIED)), sampling_rate=_RATE, return_tensors="pt")

    if train:
        return Side(
            training(published, [lambda: published(**inputs(), labels=labels).loss], dtype), _CLIPS
        )
    published.eval()

    def run() -> Tensor:
        with torch.inference_mode(), autocast(dtype):
            return published(**inputs()).logits

    return Side(run, _CLIPS)


# ---- log-mel --------------------------------------------------------------------------------


def _log_mel(seconds: float, pad: bool) -> Side:
    from unitf_audio import LogMelFrames

    frames = LogMelFrames(64, pad=pad)
    sounds = _sounds((seconds,) * _CLIPS)

    def run() -> list[Tensor]:
        return [frames.encode((sound, _RATE)).values for sound in sounds]

    def outputs() -> Tensor:
        return torch.stack(
            [_single_frames(values)[:, : round(seconds * 100) - 2] for values in run()]
        )

    return Side(run, _CLIPS, outputs)


def _single_frames(pairs: Tensor) -> Tensor:
    """Returns pairs of frames (2·M, N) as frames (M, 2·N)."""
    return pairs.unflatten(0, (2, -1)).permute(1, 2, 0).flatten(1)


def _peer_log_mel(seconds: float) -> Side:
    from transformers import WhisperFeatureExtractor

    extract = WhisperFeatureExtractor()
    sounds = list(_sounds((seconds,) * _CLIPS))

    def run() -> Tensor:
        return extract(sounds, sampling_rate=_RATE, return_tensors="pt").input_features

    return Side(run, _CLIPS, lambda: run()[:, :, : round(seconds * 100) - 2])


WORKLOADS = [
    Workload(
        "ast-infer",
        "transformers AST and its extractor, clips of 2 to 8 s",
        "clips",
        partial(_hears, False, torch.float32),
        partial(_peer_hears, False, torch.float32),
        2.3,
        3.2,
        quick=True,
    ),
    Workload(
        "ast-train",
        "transformers AST and its extractor, clips of 2 to 8 s",
        "clips",
        partial(_hears, True, torch.float32),
        partial(_peer_hears, True, torch.float32),
    ),
    Workload(
        "log-mel-30s",
        "transformers' Whisper extractor",
        "clips",
        partial(_log_mel, 30.0, True),
        partial(_peer_log_mel, 30.0),
        1.6,
        2.0,
        tolerance=1e-3,
    ),
    Workload(
        "log-mel-5s",
        "transformers' Whisper extractor, which pads to 30 s",
        "clips",
        partial(_log_mel, 5.0, False),
        partial(_peer_log_mel, 5.0),
        4.0,
        6.0,
        tolerance=1e-3,
    ),
]
