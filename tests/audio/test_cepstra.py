"""CepstralFrames: windows of features, whatever the microphone adds to them."""

import numpy as np
import pytest
import torch
from unitf_audio import CepstralFrames, SpecAugment

from unitf import UserError
from unitf.testing import check_tokenizer


def test_it_keeps_what_a_tokenizer_promises():
    check_tokenizer(lambda dim: CepstralFrames(dim), CepstralFrames.examples())


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9, 10, 60, 61, 62])
def test_there_is_a_token_for_every_step(length):
    values = np.random.default_rng(0).standard_normal((length, 13))
    for window, step in ((9, 3), (1, 1), (4, 4), (2, 3)):
        features = CepstralFrames(8, window=window, step=step).encode(values)
        assert features.values.shape[0] == 13 * window
        assert abs(features.num_tokens - length / step) < 1 or features.num_tokens == 1


def test_a_token_holds_the_frames_around_it():
    values = np.arange(30.0)[:, None]
    tokens = CepstralFrames(8, num_coefficients=1, window=5, step=3).encode(values).values
    assert torch.equal(tokens[:, 4].diff(), torch.ones(4))
    assert torch.equal(tokens[:, 5] - tokens[:, 4], torch.full((5,), 3.0))


def test_a_constant_that_a_microphone_adds_changes_nothing():
    values = np.random.default_rng(0).standard_normal((50, 13))
    tokenizer = CepstralFrames(8)
    tokenizer.fit([3 * values])
    one, two = tokenizer.encode(values), tokenizer.encode(values + np.arange(13))
    assert torch.allclose(one.values, two.values, atol=1e-4)
    assert one.values.std() == pytest.approx(1 / 3, rel=0.1)


def test_training_stretches_and_hides():
    values = np.random.default_rng(0).standard_normal((300, 13))
    tokenizer = CepstralFrames(8, stretch=0.2, mask=SpecAugment())
    lengths = {tokenizer.encode(values, train=True).num_tokens for _ in range(20)}
    assert 75 <= min(lengths) < 95 and 105 < max(lengths) <= 125
    assert tokenizer.encode(values).num_tokens == 100


@pytest.mark.parametrize(
    "value", [np.zeros((0, 13)), np.zeros((5, 12)), np.full((5, 13), np.nan), "text", 3]
)
def test_what_is_no_frames_is_one_line(value):
    with pytest.raises(UserError, match="expected"):
        CepstralFrames(8).encode(value)
