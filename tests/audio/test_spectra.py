"""Spectrograms equal torchaudio's, their tokens are what the shapes say, silence stays finite."""

import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct
from scipy.signal import get_window
from transformers.audio_utils import mel_filter_bank
from unitf_audio import (
    Perturbation,
    SpecAugment,
    SpectralPatches,
    Spectrogram,
    SpectrogramFrames,
    WaveformFrames,
)
from unitf_audio.spectrogram import FLOOR

from unitf import Tokenizer, Tokens, UserError
from unitf.checkpoints.read import remake

SMALL = Spectrogram(sample_rate=8_000, num_mels=32)
MAKERS: list[Callable[..., Tokenizer]] = [
    lambda **more: SpectrogramFrames(16, SMALL, frames_per_token=2, **more),
    lambda **more: SpectralPatches(16, SMALL, patch_frames=4, patch_bands=8, **more),
    lambda **more: WaveformFrames(16, 8_000, **more),
]


def seed_all(seed: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)


def noise(seconds: float, rate: int = 8_000, seed: int = 0) -> tuple[np.ndarray, int]:
    generator = np.random.default_rng(seed)
    return generator.uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32), rate


@pytest.mark.parametrize("rate, window, num_fft", [(16_000, 0.025, 512), (8_000, 0.032, 256)])
def test_mel_equals_that_of_torchaudio(rate: int, window: float, num_fft: int):
    samples, _ = noise(1.0, rate)
    peer = torchaudio.transforms.MelSpectrogram(
        rate, num_fft, round(window * rate), round(0.01 * rate), f_min=20.0, n_mels=40,
        pad_mode="constant",
    )  # fmt: skip
    expected = peer(torch.from_numpy(samples)).clamp_min(FLOOR).log()
    spectrum = Spectrogram(rate, window, num_mels=40)(torch.from_numpy(samples))
    assert torch.allclose(spectrum, expected, atol=1e-4)


def test_kaldi_equals_the_filter_banks_of_torchaudio():
    samples = torch.from_numpy(noise(1.0, 16_000)[0])
    expected = torchaudio.compliance.kaldi.fbank(
        samples[None] * 2**15, num_mel_bins=80, sample_frequency=16_000.0
    ).mT
    assert expected.shape == (80, 98)
    assert torch.equal(Spectrogram(kind="kaldi")(samples), expected)


def test_a_tone_sounds_in_the_band_of_its_frequency():
    spectrogram = Spectrogram(8_000, num_mels=64, low=0.0)
    mels = np.linspace(0, 2595 * np.log10(1 + 4_000 / 700), 66)[1:-1]
    centres = 700 * (10 ** (mels / 2595) - 1)
    for band in range(2, 64, 7):
        tone = np.sin(np.arange(4_000) * 2 * np.pi * centres[band] / 8_000)
        loudest = spectrogram(torch.from_numpy(tone).float()).mean(1).argmax()
        assert abs(int(loudest) - band) <= 1


def test_every_band_hears_something_also_where_the_window_is_short():
    samples = torch.from_numpy(noise(0.5)[0])
    spectrum = Spectrogram(8_000, window=0.016, num_mels=128)(samples)
    assert bool((spectrum > np.log(FLOOR) + 1).all())


@pytest.mark.parametrize(
    ("kind", "floor"), [("mel", FLOOR), ("kaldi", 2**-23), ("fbank", 2**-23), ("tensorflow", 1e-12)]
)
def test_silence_gives_the_floor(kind: Any, floor: float):
    spectrogram = Spectrogram(8_000, num_mels=20, kind=kind)
    spectrum = spectrogram(torch.zeros(800))
    assert torch.allclose(spectrum, torch.full_like(spectrum, np.log(floor)))
    assert torch.equal(spectrum, spectrogram.silence.expand_as(spectrum))


def test_coefficients_are_the_cosine_transform_of_the_bands_as_scipy_has_it():
    samples = torch.from_numpy(noise(0.5)[0])
    bands = Spectrogram(8_000, num_mels=24)(samples)
    expected = dct(bands.numpy(), axis=0, norm="ortho")[:13]
    expected[0] *= 2**0.5
    found = Spectrogram(8_000, num_mels=24, num_coefficients=13)(samples)
    assert found.shape == (13, 51)
    assert np.allclose(found, expected, atol=1e-4)


def test_the_kind_of_tensorflow_is_the_logarithm_of_filtered_magnitudes():
    samples = torch.from_numpy(noise(0.5, 16_000)[0])
    filters = mel_filter_bank(
        257, 40, 20.0, 7_600.0, 16_000, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    frames = samples.numpy().astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(frames, 480)[::160]
    magnitudes = np.abs(np.fft.rfft(frames * get_window("hann", 480), 512))
    expected = np.log(magnitudes @ filters).T
    found = Spectrogram(16_000, 0.03, num_mels=40, high=7_600.0, kind="tensorflow")(samples)
    assert np.allclose(found, expected, atol=1e-4)


def test_frames_are_stacked_in_time_order():
    one = SpectrogramFrames(8, SMALL).encode(noise(0.5)).values
    three = SpectrogramFrames(8, SMALL, frames_per_token=3).encode(noise(0.5)).values
    assert one.shape == (32, 51)
    assert three.shape == (96, 17)
    assert torch.equal(three.T.reshape(51, 32), one.T)


def test_a_last_token_is_filled_with_silence():
    values = SpectrogramFrames(8, SMALL, frames_per_token=50).encode(noise(0.5)).values
    assert values.shape == (50 * 32, 2)
    assert torch.allclose(values[32:, 1], SMALL.silence.repeat(49, 1)[:, 0])


def test_patches_are_the_spectrogram_cut_by_frame_and_band():
    spectrum = SMALL(torch.from_numpy(noise(0.5)[0]))
    features = SpectralPatches(8, SMALL, patch_frames=17, patch_bands=8).encode(noise(0.5))
    assert features.values.shape == (17 * 8, 3 * 4)
    assert features.positions.tolist()[0] == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
    assert features.positions.tolist()[1] == [0.0, 1.0, 2.0, 3.0] * 3
    for token, (frame, band) in enumerate(features.positions.mT.long().tolist()):
        patch = spectrum[8 * band : 8 * band + 8, 17 * frame : 17 * frame + 17]
        assert torch.equal(features.values[:, token].reshape(8, 17), patch)


def test_patches_that_overlap_are_those_of_a_convolution():
    tokenizer = SpectralPatches(
        8,
        SMALL,
        patch_frames=6,
        patch_bands=8,
        frame_step=4,
        band_step=5,
        position_embedding="none",
    )
    tokenizer.build(unembed=False)
    assert isinstance(tokenizer.embedding, torch.nn.Linear)
    features = tokenizer.encode(noise(0.5))
    spectrum = SMALL(torch.from_numpy(noise(0.5)[0]))  # 51 frames: the last patch begins at 48
    spectrum = torch.cat([spectrum, SMALL.silence.expand(-1, 3)], 1)
    expected = torch.nn.functional.conv2d(
        spectrum[None, None],
        tokenizer.embedding.weight.reshape(8, 1, 8, 6),
        tokenizer.embedding.bias,
        stride=(5, 4),
    )[0]
    assert expected.shape == (8, 5, 13)
    frames, bands = features.positions.long()
    found = tokenizer(features).matrix
    assert torch.allclose(found, expected[:, bands, frames], atol=1e-5)


def test_a_short_sound_stands_in_the_middle_of_silence():
    tokenizer = SpectrogramFrames(8, SMALL, min_seconds=0.5, max_seconds=0.5)
    short = noise(0.1)[0]
    alone = tokenizer.encode((short, 8_000)).values
    padded = tokenizer.encode((np.pad(short, (1_600, 1_600)), 8_000)).values
    assert alone.shape == (32, 51) and torch.equal(alone, padded)
    assert tokenizer.encode(noise(3.0)).values.shape == (32, 51)


@pytest.mark.parametrize(("seconds", "fill"), [(0.3, None), (0.3, 0.0), (0.9, None)])
def test_a_number_of_frames_is_kept_for_every_sound(seconds: float, fill: float | None):
    tokenizer = SpectrogramFrames(8, SMALL, num_frames=60, fill=fill)
    values = tokenizer.encode(noise(seconds)).values
    spectrum = SMALL(torch.from_numpy(noise(seconds)[0]))[:, :60]
    assert values.shape == (32, 60)
    assert torch.equal(values[:, : spectrum.shape[1]], spectrum)
    rest = values[:, spectrum.shape[1] :]
    assert torch.equal(rest, (SMALL.silence if fill is None else torch.zeros(1)).expand_as(rest))


def test_fit_gives_each_band_mean_0_and_deviation_1_over_the_training_sounds():
    sounds = [noise(0.3, seed=seed) for seed in range(20)]
    sounds = [(samples * (1 + index), rate) for index, (samples, rate) in enumerate(sounds)]
    for normalise, axes in (("bands", (1,)), ("global", (0, 1))):
        tokenizer = SpectrogramFrames(8, SMALL, normalise=normalise)
        tokenizer.fit(iter(sounds))
        values = torch.cat([tokenizer.encode(sound).values for sound in sounds], 1)
        assert values.mean(axes).abs().max() < 1e-3
        assert (values.std(axes) - 1).abs().max() < 1e-2
        assert tokenizer.fitted["mean"].shape == ((32, 1) if normalise == "bands" else (1, 1))
    plain = SpectrogramFrames(8, SMALL, normalise="none")
    plain.fit(iter(sounds))
    assert plain.fitted == {}


def test_fit_hears_sounds_from_all_over_a_sorted_set_and_skips_what_is_none():
    def sounds():
        yield b"broken"
        for index in range(3_000):
            yield np.full(80, 0.1 if index < 1_500 else 0.3, np.float32)

    tokenizer = WaveformFrames(8, 8_000)
    tokenizer.fit(sounds())
    assert abs(float(tokenizer.fitted["mean"]) - 0.2) < 0.02
    with pytest.raises(UserError, match="no sound to learn from: 6 bytes: not a sound"):
        tokenizer.fit(iter([b"broken"]))
    with pytest.raises(UserError, match="no sound to learn from: there is none"):
        tokenizer.fit(iter([]))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("silent", [True, False])
def test_silence_and_a_single_sample_give_finite_features(make: Callable, silent: bool):
    tokenizer = make()
    tokenizer.fit(iter([(np.zeros(800, np.float32), 8_000)] if silent else [noise(0.3)]))
    tokenizer.build(unembed=False)
    for value in (np.zeros(400, np.float32), np.zeros(1, np.float32), np.ones(1, np.float32)):
        features = tokenizer.encode(value)
        assert features.num_tokens >= 1
        assert bool(features.values.isfinite().all())
        assert features.values.abs().max() < 1e3
        assert bool(tokenizer(features).matrix.isfinite().all())


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 3_000), st.sampled_from([8_000, 16_000, 11_025]), st.booleans(), st.data())
def test_any_length_and_rate_give_features_of_the_promised_shape(
    length: int, rate: int, train: bool, data: st.DataObject
):
    make = data.draw(st.sampled_from(MAKERS))
    tokenizer = make(perturb=Perturbation(speed=0.1, shift=0.1, gain=6.0, snr=[0.0, 10.0]))
    level = data.draw(st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e9]))
    samples = noise(length / rate, rate)[0] * np.float32(level)
    features = tokenizer.encode((samples, rate), train=train)
    assert features.values.shape == (tokenizer.num_features, features.num_tokens)
    assert features.positions.shape == (tokenizer.num_axes, features.num_tokens)
    assert features.num_tokens >= 1
    assert features.values.dtype == torch.float32
    assert bool(features.values.isfinite().all())


@pytest.mark.parametrize("make", MAKERS)
def test_augmentation_is_a_function_of_the_seed_and_only_for_training(make: Callable):
    more: dict[str, Any] = {"perturb": Perturbation(shift=0.05, gain=6.0, snr=[5.0, 20.0])}
    if make is not MAKERS[2]:
        more["mask"] = SpecAugment()
    tokenizer, plain = make(**more), make()
    clean = plain.encode(noise(0.5)).values
    assert torch.equal(tokenizer.encode(noise(0.5)).values, clean)
    drawn = []
    for seed in (0, 1, 0):
        seed_all(seed)
        drawn.append(tokenizer.encode(noise(0.5), train=True).values)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert drawn[0].shape == clean.shape
    assert not torch.equal(drawn[0], clean)


def test_shift_moves_a_sound_and_fills_with_zeros():
    seed_all(0)
    click = torch.zeros(1_000)
    click[500] = 1.0
    places = set()
    for _ in range(200):
        moved = Perturbation(shift=0.025)(click, 8_000)
        assert moved.shape == click.shape and moved.sum() == 1
        places.add(int(moved.argmax()) - 500)
    assert min(places) < -180 and max(places) > 180
    assert min(places) >= -200 and max(places) <= 200
    assert Perturbation(shift=9.0)(torch.ones(10), 8_000).shape == (10,)


def test_gain_and_noise_are_as_loud_as_said():
    seed_all(0)
    sound = torch.from_numpy(noise(2.0)[0])
    decibels = [
        20 * float((Perturbation(gain=6.0)(sound, 8_000).norm() / sound.norm()).log10())
        for _ in range(200)
    ]
    assert -6.001 <= min(decibels) < -5.5 and 5.5 < max(decibels) <= 6.001
    for snr in (0.0, 20.0):
        added = Perturbation(snr=[snr, snr])(sound, 8_000) - sound
        assert abs(20 * float((sound.norm() / added.norm()).log10()) - snr) < 0.3


def test_speed_changes_duration_and_pitch_together():
    seed_all(0)
    tone = torch.sin(torch.arange(8_000) * 2 * torch.pi * 500 / 8_000)
    lengths = set()
    for _ in range(40):
        changed = Perturbation(speed=0.1)(tone, 8_000)
        spectrum = torch.fft.rfft(changed).abs()
        periods = int(spectrum.argmax())
        assert abs(periods - 500) <= 1  # of a tone that is longer and lower, or shorter and higher
        lengths.add(len(changed))
    assert 7_270 <= min(lengths) < 7_500 and 8_500 < max(lengths) <= 8_890


def test_masks_hide_whole_stripes_of_at_most_the_given_share():
    seed_all(0)
    ones = torch.ones(40, 100)
    hidden = 0
    for _ in range(50):
        masked = SpecAugment(1, 0.2, 1, 0.25)(ones)
        bands, frames = (masked == 0).all(1), (masked == 0).all(0)
        assert torch.equal(masked == 0, bands[:, None] | frames)
        assert int(bands.sum()) <= 10 and int(frames.sum()) <= 20
        hidden += int((masked == 0).sum())
    assert hidden > 0
    assert bool((ones == 1).all())


def test_masks_have_the_mean_of_a_spectrum_that_is_not_normalised():
    seed_all(0)
    tokenizer = SpectrogramFrames(8, SMALL, normalise="none", mask=SpecAugment(2, 0.5, 0, 0.0))
    plain = tokenizer.encode(noise(1.0)).values
    masked = tokenizer.encode(noise(1.0), train=True).values
    stripes = (masked != plain).all(0)
    assert stripes.any() and torch.equal(masked[:, ~stripes], plain[:, ~stripes])
    assert torch.allclose(masked[:, stripes], plain.mean())


def test_the_slowest_speed_is_above_0(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    assert len(Perturbation(speed=0.999)(torch.zeros(50), 8_000)) == 5_000


def test_raw_samples_come_back():
    tokenizer = WaveformFrames(16, 8_000, window=0.01)
    tokenizer.fit(iter([noise(0.5)]))
    samples, _ = noise(0.4321)
    sound, rate = tokenizer.decode(tokenizer.encode((samples, 8_000)))
    assert rate == 8_000 and sound.dtype == np.float32
    assert len(sound) == 80 * 44
    assert np.allclose(sound[: len(samples)], samples, atol=1e-6)
    assert not sound[len(samples) :].any()


@pytest.mark.parametrize("make", MAKERS)
def test_a_tokenizer_is_rebuilt_from_plain_data_and_its_state(make: Callable):
    tokenizer = make(perturb=Perturbation(gain=3.0, snr=[0.0, 9.0]), position_embedding="learned",
                     max_tokens=200)  # fmt: skip
    tokenizer.fit(iter([noise(0.5)]))
    tokenizer.build(unembed=True)
    other = remake(tokenizer.configuration(), dim=16)
    other.load_state_dict(tokenizer.state_dict())
    copy = pickle.loads(pickle.dumps(tokenizer))
    expected = _columns(tokenizer)
    assert torch.equal(_columns(other), expected) and torch.equal(_columns(copy), expected)
    assert other.configuration() == tokenizer.configuration() == copy.configuration()


def _columns(tokenizer: Tokenizer) -> torch.Tensor:
    tokens: Tokens = tokenizer(tokenizer.encode(noise(0.25, seed=1)))
    return tokens.matrix


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Spectrogram(hop=10.0, window=0.00001), "in seconds"),
        (lambda: Spectrogram(high=9_000.0), "half the rate, 8000.0 Hz"),
        (lambda: Spectrogram(low=-1.0), "-1.0"),
        (lambda: Spectrogram(num_mels=0), "0 mel bands"),
        (lambda: Spectrogram(window=25.0), "in seconds"),
        (lambda: Spectrogram(num_mels=50_000), "50000 mel bands"),
        (lambda: Spectrogram(num_mels=900, high=80.0)(torch.zeros(80)), "fewer bands"),
        (lambda: SpectrogramFrames(8, frames_per_token=0), "frames_per_token: 0"),
        (lambda: SpectralPatches(8, SMALL, patch_bands=7), "do not divide 32 mel bands"),
        (lambda: SpectralPatches(8, SMALL, patch_bands=40, band_step=1), "no more than 32 bands"),
        (lambda: SpectralPatches(8, SMALL, frame_step=-1), "expected numbers from 1"),
        (lambda: Spectrogram(num_mels=20, num_coefficients=21), "21 coefficients of 20 mel"),
        (lambda: SpectrogramFrames(8, min_seconds=2.0, max_seconds=1.0), "more than max_seconds"),
        (lambda: SpectrogramFrames(8, num_frames=0), "num_frames: 0"),
        (lambda: SpectrogramFrames(8, frames_per_token=4, num_frames=2), "expected 4 or more"),
        (lambda: SpectralPatches(8, SMALL, num_frames=8), "num_frames: 8, expected 16 or more"),
        (lambda: WaveformFrames(8, window=0.00001), "in seconds"),
        (lambda: WaveformFrames(8, max_seconds=0.0).encode(noise(1.0)), "max_seconds 0.0"),
        (lambda: Perturbation(speed=1.0), "speed"),
        (lambda: Perturbation(snr=[5.0]), "snr"),
        (lambda: SpecAugment(time_share=2.0), "share"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_in_one_line(make: Callable, says: str):
    with pytest.raises(UserError) as caught:
        make()
    assert says in str(caught.value) and "\n" not in str(caught.value)
