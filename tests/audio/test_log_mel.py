"""LogMelFrames: Whisper's spectrogram, and convolutions that stay within a sequence."""

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor
from unitf_audio import LogMelFrames

from unitf import Features, UserError
from unitf.testing import check_tokenizer


def sound(seconds, seed=0):
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    return (np.sin(time * 3_000) * 0.3 + generator.normal(size=len(time)) * 0.05).astype("float32")


def frames(features, num_mels):
    """As (M, frames)."""
    return features.values.unflatten(0, (2, num_mels)).permute(1, 2, 0).flatten(1)


@pytest.mark.parametrize(("seconds", "num_mels"), [(0.7, 80), (2.0, 80), (2.5, 128)])
def test_the_spectrogram_is_that_of_transformers(seconds, num_mels):
    theirs = WhisperFeatureExtractor(num_mels, chunk_length=2)
    expected = theirs(sound(seconds), sampling_rate=16_000, return_tensors="pt").input_features[0]
    features = LogMelFrames(8, num_mels=num_mels, max_tokens=100).encode(sound(seconds))
    torch.testing.assert_close(frames(features, num_mels), expected, atol=5e-5, rtol=0)


def test_without_padding_there_are_as_many_tokens_as_a_sound_is_long():
    tokenizer = LogMelFrames(8, pad=False)
    assert tokenizer.encode(sound(0.5)).num_tokens == 25
    assert tokenizer.encode(sound(0.501)).num_tokens == 26
    assert tokenizer.encode(sound(0.0001)).num_tokens == 1
    assert LogMelFrames(8, pad=False, max_tokens=10).encode(sound(0.5)).num_tokens == 10


def test_a_sound_is_embedded_alike_alone_and_in_a_batch():
    tokenizer = LogMelFrames(8, pad=False, max_tokens=60)
    tokenizer.build()
    sounds = [tokenizer.encode(sound(seconds)) for seconds in (0.3, 1.0, 0.02, 1.0)]
    together = tokenizer(Features.pack([*sounds, tokenizer.empty()])).split()
    assert together[-1].num_tokens == 0
    for features, tokens in zip(sounds, together, strict=False):
        torch.testing.assert_close(tokenizer(features).rows, tokens.rows)


def test_a_batch_without_sounds_reaches_every_parameter():
    tokenizer = LogMelFrames(8)
    tokenizer.build()
    tokenizer(tokenizer.empty()).matrix.sum().backward()
    assert not [name for name, p in tokenizer.named_parameters() if p.grad is None]


def test_fixed_positions_are_kept_but_not_learned():
    tokenizer = LogMelFrames(8, max_tokens=10)
    tokenizer.build()
    assert tokenizer.position_embedding.table.shape == (10, 8)
    assert "position_embedding.table" in tokenizer.state_dict()
    assert not any("position" in name for name, _ in tokenizer.named_parameters())


def test_it_keeps_the_contract():
    check_tokenizer(LogMelFrames, LogMelFrames.examples(), pad=False)
    check_tokenizer(LogMelFrames, LogMelFrames.examples(), max_tokens=20)


def test_what_makes_no_frames_is_said():
    with pytest.raises(UserError, match="hop: expected 1 or more, found 0"):
        LogMelFrames(8, hop=0)
