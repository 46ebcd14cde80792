"""Samples through convolutions: each sound as if it were alone, and nothing of it is lost."""

import numpy as np
import pytest
import torch
from torch import nn
from unitf_audio import HiddenSpans, SampleConvolutions, WaveformConvolution
from unitf_audio.convolution import SampleEncoder, TimeNorm

from unitf import Features, UserError
from unitf.testing import check_tokenizer

SMALL = SampleConvolutions([6, 8, 10], [5, 3, 2], [3, 2, 2], position_kernel=6, position_groups=4)
LAYER = SampleConvolutions(
    [6, 8, 10], [5, 3, 2], [3, 2, 2], norm="layer", position_kernel=7, position_groups=4
)
LENGTHS = (40, 53, 26, 17, 95)


def built(settings: SampleConvolutions, **options) -> WaveformConvolution:
    torch.manual_seed(0)
    tokenizer = WaveformConvolution(16, settings, **options)
    tokenizer.build(unembed=False)
    return tokenizer.eval()


def noise(length: int) -> torch.Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(length))


def test_window_and_step_are_those_of_the_convolutions():
    assert (SMALL.window, SMALL.step) == (17, 12)
    wav2vec = SampleConvolutions()
    assert (wav2vec.window, wav2vec.step) == (400, 320)


@pytest.mark.parametrize("length", [17, 18, 28, 29, 30, 95])
def test_every_sample_comes_back_from_the_features(length: int):
    tokenizer = built(SMALL)
    assert isinstance(tokenizer.embedding, SampleEncoder)
    features = tokenizer.cut(noise(length))
    assert features.num_tokens == (length - 17) // 12 + 1
    sounds, counts = tokenizer.embedding.to_sounds(features.rows, features.lengths)
    assert counts.tolist() == [length]
    assert torch.equal(sounds[0, :length], noise(length)) and not sounds[0, length:].any()


@pytest.mark.parametrize("settings", [SMALL, LAYER])
def test_a_batch_of_different_lengths_gives_what_each_sound_gives_alone(settings):
    tokenizer = built(settings)
    parts = [tokenizer.cut(noise(length)) for length in LENGTHS]
    together = tokenizer(Features.pack(parts))
    assert together.lengths == tuple(part.num_tokens for part in parts)
    for part, found in zip(parts, together.split(), strict=True):
        torch.testing.assert_close(tokenizer(part).matrix, found.matrix, atol=1e-5, rtol=1e-5)


def test_the_norm_over_time_is_a_group_norm_of_what_is_real():
    norm, peer = TimeNorm(6), nn.GroupNorm(6, 6)
    numbers = torch.randn(2, 6, 30)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    peer.load_state_dict(norm.state_dict())
    found = norm(numbers, torch.tensor([30.0, 21.0]))
    torch.testing.assert_close(found[:1], peer(numbers[:1]))
    torch.testing.assert_close(found[1:, :, :21], peer(numbers[1:, :, :21]))


def test_a_sound_gets_mean_0_and_deviation_1_and_a_short_one_zeros_after_it():
    samples = noise(53).numpy() * 3 + 1
    tokenizer = built(SMALL)
    values = tokenizer.encode((samples, 16_000)).values
    expected = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    assert np.allclose(values[1:13].T.reshape(-1), expected[:48], atol=1e-5)
    assert np.allclose(values[1:, -1][: 53 - 36], expected[36:], atol=1e-5)
    plain = built(SMALL, normalise=False).encode((samples[:7], 16_000))
    assert plain.num_tokens == 1 and plain.values[0, 0] == 17
    assert np.array_equal(plain.values[1:8, 0], samples[:7]) and not plain.values[8:].any()


def test_the_loss_is_of_the_samples_and_not_of_their_number():
    tokenizer = built(SMALL)
    features = tokenizer.cut(noise(53))
    predicted = torch.zeros_like(features.values)
    samples = features.values[1:]
    assert torch.equal(tokenizer.loss(predicted, features), samples.square().mean(0))


def test_a_hidden_last_token_still_counts_as_one():
    tokenizer = built(SMALL)
    assert isinstance(tokenizer.embedding, SampleEncoder)
    rows = tokenizer.cut(noise(53)).rows.clone()
    rows[-1] = 0
    _, counts = tokenizer.embedding.to_sounds(rows, [len(rows)])
    assert counts.tolist() == [3 * 12 + 17]
    even = built(SampleConvolutions([4], [3], [3], position_kernel=2, position_groups=4))
    assert even(Features(torch.zeros(6, 1))).matrix.isfinite().all()


def test_spans_are_hidden_in_training_alone():
    tokenizer = built(LAYER, hide=HiddenSpans(0.5, 2, 1))
    assert isinstance(tokenizer.embedding, SampleEncoder)
    encoder = tokenizer.embedding
    assert encoder.hidden is not None
    features = Features.pack([tokenizer.cut(noise(length)) for length in LENGTHS])
    before = tokenizer(features).matrix
    with torch.no_grad():
        encoder.hidden += 1
    assert torch.equal(tokenizer(features).matrix, before)
    tokenizer.train()
    torch.manual_seed(1)
    once = tokenizer(features).matrix
    once.sum().backward()
    assert encoder.hidden.grad is not None and encoder.hidden.grad.abs().sum() > 0
    torch.manual_seed(2)
    assert not torch.equal(tokenizer(features).matrix, once)


def test_hidden_spans_cover_about_their_share_and_at_least_so_many():
    spans = HiddenSpans(0.2, 5, 1)
    torch.manual_seed(0)
    shares = [len(spans.draw(1_000)) / 1_000 for _ in range(50)]
    assert 0.17 < np.mean(shares) < 0.2  # some overlap
    assert all(0 <= token < 1_000 for token in spans.draw(1_000))
    assert HiddenSpans(0.01, 3, 2).draw(4) in ([0, 1, 2, 3],)
    assert not spans.draw(4) and not HiddenSpans(0.0).draw(100)


def test_no_token_at_all_still_reaches_every_parameter():
    tokenizer = built(SMALL, hide=HiddenSpans())
    tokenizer.train()
    tokens = tokenizer(Features(torch.zeros(29, 0), torch.zeros(1, 0), (0, 0)))
    assert tokens.matrix.shape == (16, 0) and tokens.lengths == (0, 0)
    tokens.matrix.sum().backward()
    missed = [name for name, p in tokenizer.named_parameters() if p.grad is None]
    assert set(missed) <= {"embedding.hidden"}


def test_the_tokenizer_passes_the_common_checks():
    check_tokenizer(
        lambda dim: WaveformConvolution(dim, SampleConvolutions([8] * 7, position_kernel=8)),
        WaveformConvolution.examples(),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SampleConvolutions([4], [3, 2], [2, 1]), "as many channels as kernels"),
        (lambda: SampleConvolutions([4], [3], [0]), "all from 1"),
        (lambda: HiddenSpans(mask_ratio=2.0), "expected mask_ratio of 0 to 1"),
        (lambda: built(SampleConvolutions(position_groups=3)), "do not divide a width of 16"),
    ],
)
def test_a_mistake_is_one_clear_line(make, message):
    with pytest.raises(UserError, match=message):
        make()
