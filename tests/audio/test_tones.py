"""Dialled digits have the frequencies of Q.23, vary as Q.24 says, and never change."""

from pathlib import Path

import numpy as np
import pytest
from unitf_audio import TelephoneTones
from unitf_audio.tones import COLUMNS, KEYS, ROWS, TOLERANCE, dial, frequencies

from unitf import UserError

ROOT = Path()
CLEAN = [100.0, 100.0]


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and the amplitude of each."""
    size = 2**16
    windowed = sound * np.hanning(len(sound))
    return np.fft.rfftfreq(size, 1 / 8_000), np.abs(np.fft.rfft(windowed, size))


def two_loudest(sound: np.ndarray) -> tuple[tuple[float, float], float]:
    """The frequency of the loudest tone below and above 1,075 Hz; the twist in dB."""
    frequency, level = spectrum(sound)
    low, high = frequency < 1_075, frequency >= 1_075
    peaks = frequency[low][level[low].argmax()], frequency[high][level[high].argmax()]
    return peaks, 20 * np.log10(level[high].max() / level[low].max())


def test_the_keys_have_the_frequencies_of_q23():
    assert ROWS == (697, 770, 852, 941) and COLUMNS == (1209, 1336, 1477, 1633)
    assert frequencies("1") == (697, 1209) and frequencies("5") == (770, 1336)
    assert frequencies("9") == (852, 1477) and frequencies("0") == (941, 1336)
    assert frequencies("#") == (941, 1477) and frequencies("D") == (941, 1633)
    with pytest.raises(ValueError, match="no key 'E'"):
        frequencies("E")


@pytest.mark.parametrize("key", list("".join(KEYS)))
def test_a_key_sounds_as_its_two_frequencies_within_tolerance_and_twist(key: str):
    expected = frequencies(key)
    generator = np.random.default_rng(0)
    twists, deviations = [], []
    for _ in range(60):
        peaks, twist = two_loudest(dial(key, generator, CLEAN))
        deviations += [peak / nominal - 1 for peak, nominal in zip(peaks, expected, strict=True)]
        twists.append(twist)
    # two tones of 40 ms blur each other a little
    assert 0.010 < np.abs(deviations).max() < TOLERANCE + 0.006
    assert -9 < min(twists) < -6 and 2 < max(twists) < 5


def test_a_tone_lasts_at_least_40_ms_between_silences():
    generator = np.random.default_rng(0)
    durations, leads = [], []
    for _ in range(200):
        sound = dial("5", generator, CLEAN)
        heard = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
        durations.append((heard[-1] - heard[0]) / 8)
        leads.append(heard[0] / 8)
    assert 38 < min(durations) < 50 and 110 < max(durations) < 121
    assert 9 < min(leads) < 15 and 70 < max(leads) < 82


@pytest.mark.parametrize("snr", [-5.0, 0.0, 15.0])
def test_noise_is_as_loud_as_said(snr: float):
    ratios = []
    for seed in range(30):
        clean = dial("7", np.random.default_rng(seed), [300.0, 300.0])
        noisy = dial("7", np.random.default_rng(seed), [snr, snr])
        heard = np.flatnonzero(clean)
        tones = clean[heard[np.abs(clean[heard]) > 1e-6]]
        ratios.append(10 * np.log10(np.square(tones).mean() / np.square(noisy - clean).mean()))
    assert abs(np.mean(ratios) - snr) < 0.2
    assert np.abs(np.array(ratios) - snr).max() < 1.0


def test_samples_are_a_function_of_seed_split_and_index():
    def sound(seed: int, split: str, index: int) -> np.ndarray:
        return TelephoneTones(seed=seed).read(split, ROOT)[index]["sound"]["array"]

    first = sound(0, "train", 3)
    assert np.array_equal(sound(0, "train", 3), first)
    assert not any(
        np.array_equal(other[:300], first[:300])
        for other in (sound(1, "train", 3), sound(0, "test", 3), sound(0, "train", 13))
    )
    samples = TelephoneTones().read("train", ROOT)
    backwards = [samples[index]["sound"]["array"] for index in reversed(range(8))]
    assert np.array_equal(backwards[8 - 1 - 3], first)
    assert np.array_equal(samples[-1]["sound"]["array"], samples[1_999]["sound"]["array"])
    assert len(list(TelephoneTones(sizes={"test": 7}).read("test", ROOT))) == 7


def test_samples_name_their_columns_and_every_digit_is_as_frequent():
    source = TelephoneTones(column="tone", target="label", sizes={"train": 40, "test": 20})
    samples = list(source.read("train", ROOT))
    assert sorted(sample["label"] for sample in samples) == sorted([*range(10)] * 4)
    for sample in samples:
        assert set(sample) == {"tone", "label"}
        assert sample["tone"]["array"].dtype == np.float32
        assert sample["tone"]["sampling_rate"] == 8_000
        peaks, _ = two_loudest(dial(str(sample["label"]), np.random.default_rng(0), CLEAN))
        nominal = frequencies(str(sample["label"]))
        assert all(abs(p / n - 1) < 0.03 for p, n in zip(peaks, nominal, strict=True))
    assert source.splits() == ["train", "test"]
    assert len(source.read("test_noisy", ROOT)) == 0 and len(source.read("other", ROOT)) == 0
    assert TelephoneTones().splits() == ["train", "validation", "test", "test_noisy"]


def test_a_goertzel_receiver_reads_clean_digits():
    right = 0
    samples = TelephoneTones(sizes={"test": 100}, snr=[20.0, 30.0]).read("test", ROOT)
    for sample in samples:
        frequency, level = spectrum(sample["sound"]["array"])
        loudness = [
            [level[np.abs(frequency / tone - 1) <= 0.02].max() for tone in group]
            for group in (ROWS, COLUMNS[:3])
        ]
        key = KEYS[int(np.argmax(loudness[0]))][int(np.argmax(loudness[1]))]
        right += key == str(sample["digit"])
    assert right >= 98


def test_the_noisy_test_is_noisier():
    def loudness(split: str) -> float:
        samples = TelephoneTones().read(split, ROOT)
        ratios = []
        for index in range(100):
            sound = samples[index]["sound"]["array"]
            ratios.append(np.square(sound[:80]).mean() / np.square(sound).max())
        return float(np.median(ratios))

    assert loudness("test_noisy") > 4 * loudness("test")


def test_a_misspelt_split_a_wrong_ratio_and_a_negative_seed_are_refused():
    with pytest.raises(UserError, match="no split 'trian', expected train"):
        TelephoneTones(sizes={"trian": 3})
    for wrong in ([5.0], [9.0, 3.0]):
        with pytest.raises(UserError, match="snr"):
            TelephoneTones(snr=wrong)
    with pytest.raises(UserError, match="expected 0 or more, found -1"):
        TelephoneTones(seed=-1)
