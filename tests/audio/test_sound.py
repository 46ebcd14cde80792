"""Whatever a sound comes as, the same samples are read; what is none is refused in one line."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unitf_audio.sound import LONGEST, read_sound, resample

from unitf import UserError

RATE = 16_000
WAVE = (np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE) * 0.5).astype(np.float32)


def written(
    samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_path_text_bytes_and_a_dictionary_give_what_was_written(kind: str, tmp_path: Path):
    data = written(WAVE, kind=kind)
    path = tmp_path / f"sound.{kind.lower()}"
    path.write_bytes(data)
    read = [
        read_sound(value, RATE)
        for value in (path, str(path), data, bytearray(data), {"bytes": data, "path": None})
    ]
    assert all(torch.equal(read[0], other) for other in read[1:])
    tolerance = 1e-4 if kind in ("WAV", "FLAC") else 0.05
    assert len(read[0]) == len(WAVE)
    middle = slice(2_000, -2_000)  # lossy formats smear the ends
    assert np.abs(read[0].numpy()[middle] - WAVE[middle]).max() < tolerance


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8, np.float64])
def test_whole_numbers_have_the_range_of_their_type(dtype: type):
    if np.issubdtype(dtype, np.integer):
        half = 2 ** (8 * np.dtype(dtype).itemsize - 1)
        array = np.round(WAVE.astype(np.float64) * half + half * (dtype is np.uint8)).astype(dtype)
    else:
        array = WAVE.astype(dtype)
    assert np.allclose(read_sound((array, RATE), RATE), WAVE, atol=0.005)


def test_a_tensor_a_list_a_tuple_and_a_dictionary_with_an_array_are_the_same_sound():
    for value in (
        WAVE,
        torch.from_numpy(WAVE),
        torch.from_numpy(WAVE).requires_grad_(),
        WAVE.tolist(),
        (WAVE, RATE),
        {"array": WAVE, "sampling_rate": RATE},
    ):
        assert torch.equal(read_sound(value, RATE), torch.from_numpy(WAVE))


def test_channels_are_averaged_whichever_axis_they_have():
    channels = np.stack([WAVE, WAVE[::-1], 0 * WAVE])
    expected = channels.mean(0)
    for value in ((channels, RATE), (channels.T, RATE), written(channels.T, subtype="FLOAT")):
        assert np.allclose(read_sound(value, RATE), expected, atol=1e-6)


def test_another_rate_is_resampled_as_sox_does():
    expected = torch.from_numpy(soxr.resample(WAVE, 44_100, RATE))
    assert torch.equal(read_sound((WAVE, 44_100), RATE), expected)
    assert torch.equal(read_sound(written(WAVE, 44_100, subtype="FLOAT"), RATE), expected)


def test_resampling_adds_no_image_above_the_old_band_and_folds_nothing_into_the_new_one():
    def tone(frequency: float, rate: int) -> torch.Tensor:
        return torch.from_numpy(np.sin(np.arange(rate) * 2 * np.pi * frequency / rate)).float()

    up = resample(tone(3_000, 8_000), 8_000, RATE)[1_000:-1_000]  # its image: 5 kHz
    assert torch.allclose(up, tone(3_000, RATE)[1_000:-1_000], atol=1e-4)
    down = resample(tone(10_000, 44_100), 44_100, RATE)[1_000:-1_000]  # would fold to 6 kHz
    assert down.abs().max() < 1e-4


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 44_101, 47_999, 96_000])
def test_a_tone_keeps_its_frequency_at_every_rate(rate: int):
    tone = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate).astype(np.float32)
    sound = read_sound((tone, rate), RATE)
    assert abs(len(sound) - RATE) <= 1
    spectrum = torch.fft.rfft(sound * torch.hann_window(len(sound))).abs()
    assert abs(spectrum.argmax().item() * RATE / len(sound) - 440) < 1.1


def test_a_longer_sound_is_cut_from_its_middle_and_in_training_from_anywhere(tmp_path: Path):
    ramp = np.linspace(0, 1, 4 * RATE, dtype=np.float32)
    path = tmp_path / "ramp.wav"
    path.write_bytes(written(ramp, subtype="FLOAT"))
    for value in (path, (ramp, RATE)):
        middle = read_sound(value, RATE, max_seconds=1.0)
        assert np.array_equal(middle, ramp[3 * RATE // 2 :][:RATE])
        torch.manual_seed(0)
        starts = {read_sound(value, RATE, 1.0, random=True)[0].item() for _ in range(20)}
        assert len(starts) == 20
        assert min(starts) < 0.2 and max(starts) > 0.55
        torch.manual_seed(0)
        assert read_sound(value, RATE, 1.0, random=True)[0].item() in starts
    assert len(read_sound(path, RATE, max_seconds=9.0)) == len(ramp)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_a_part_and_the_blocks_of_a_file_are_what_the_whole_has_there(
    monkeypatch, kind: str, rate: int
):
    monkeypatch.setattr("unitf_audio.sound.BLOCK", 9_000)
    tone = np.sin(np.arange(4 * rate) * 2 * np.pi * 175 / rate) * 0.5
    data = written(tone, rate, kind)
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    for seconds in (0.1, 1.0, 3.9, None):
        part = read_sound(data, rate, max_seconds=seconds).numpy()
        start = (len(whole) - len(part)) // 2
        assert np.abs(part - whole[start:][: len(part)]).max() < 1e-5


def test_one_sample_and_silence_are_sounds():
    assert read_sound((np.ones(1, np.float32), RATE), RATE).tolist() == [1.0]
    assert len(read_sound((np.ones(1, np.float32), 48_000), 8_000)) == 1
    assert read_sound(written(np.zeros(100)), RATE).count_nonzero() == 0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "0 bytes"),
        (b"RIFF", "4 bytes: not a sound"),
        (b"no sound at all " * 100, "1600 bytes: not a sound"),
        ("missing.wav", "no sound file missing.wav"),
        (Path(), "no sound file ."),
        ("\0", "'\\x00'"),
        ("x" * 5_000, "cannot open 'xxx"),
        (np.zeros(0, np.float32), "empty"),
        (written(np.zeros(0)), "empty"),
        ({}, "'array'"),
        ({"bytes": None, "path": None}, "'array'"),
        ({"array": WAVE, "sampling_rate": None}, "rate of None"),
        ((WAVE, 0), "rate of 0"),
        ((WAVE, -8_000), "rate of -8000"),
        ((WAVE, float("nan")), "rate of nan"),
        ((WAVE, 2**31), "rate of 2147483648"),
        ((WAVE, "8000"), "rate of '8000'"),
        ((WAVE, True), "rate of True"),
        (np.array([0.0, np.nan]), "sample of nan"),
        (np.array([0.0, -np.inf]), "sample of inf"),
        (np.array([0.0, 1e30]), "sample of 1e+30"),
        (np.array([0.0, 1e300]), "sample of inf"),
        (written(np.array([0.0, np.nan, 0.1]), subtype="FLOAT"), "sample of nan"),
        (np.zeros((2, 3, 4)), "axes (2, 3, 4)"),
        (np.zeros(()), "axes ()"),
        (np.zeros(4, complex), "complex128"),
        (np.zeros(4, bool), "bool"),
        (np.array(["a"]), "<U1"),
        ([[1.0], [1.0, 2.0]], "not a sound: list"),
        (None, "NoneType"),
        (3, "axes ()"),
        (object(), "object"),
        ((WAVE,), "a tuple of 1"),
    ],
    # names that are the same in every process: a file made here holds the time
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_what_is_no_sound_is_refused_in_one_line(value: object, says: str):
    with pytest.raises(UserError) as caught:
        read_sound(value, RATE)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message and len(message) < 200


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.8])
def test_a_file_that_is_cut_off_is_refused(kind: str, share: float):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE)
    data = written(noise, kind=kind)
    with pytest.raises(UserError, match=r"cut off|not a sound"):
        read_sound(data[: int(len(data) * share)], RATE)


def test_a_stream_that_never_learnt_its_length_is_read():
    data = bytearray(written(WAVE, subtype="FLOAT"))
    place = data.index(b"data") + 4
    data[place : place + 4] = b"\xff\xff\xff\xff"
    data[4:8] = b"\xff\xff\xff\xff"
    assert np.array_equal(read_sound(bytes(data), RATE), WAVE)


def test_a_header_that_promises_hours_is_refused_before_memory_is_asked_for():
    data = bytearray(written(WAVE, kind="FLAC"))
    # STREAMINFO: 20 bits of rate, 3 of channels, 5 of depth, 36 of samples
    fields = int.from_bytes(data[18:26], "big")
    data[18:26] = (fields & ~(2**36 - 1) | (LONGEST * RATE + 1)).to_bytes(8, "big")
    with pytest.raises(UserError, match=r"seconds of sound, expected at most 3,600"):
        read_sound(bytes(data), RATE)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]), st.integers(0, 400))
def test_any_bytes_are_a_sound_or_a_user_error(noise: bytes, kind: str, place: int):
    base = _BASE[kind]
    try:
        sound = read_sound(base[:place] + noise + base[place + len(noise) :], RATE)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(sound) and bool(sound.isfinite().all())


_BASE = {kind: written(WAVE[:3_000], kind=kind) for kind in ("WAV", "FLAC", "OGG", "MP3")}


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.uint8, np.int64]),
        hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=50),
    ),
    st.sampled_from([8_000, 16_000, 44_100, 999, 12_345]),
)
def test_any_array_is_a_sound_or_a_user_error(array: np.ndarray, rate: int):
    try:
        sound = read_sound((array, rate), RATE)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len(sound) and bool(sound.isfinite().all())


@settings(max_examples=25, deadline=None)
@given(st.integers(100, 200_000), st.integers(1, 2_000))
def test_resampling_keeps_the_duration_and_needs_little_memory(rate: int, length: int):
    sound = resample(torch.ones(length), rate, 16_000)
    assert abs(len(sound) - length * 16_000 / rate) <= 2 + length * 16_000 / rate * 1e-5


def test_whole_numbers_without_a_type_are_16_bit_samples():
    numbers = [0, 9_000, -9_000, 32_767]
    expected = read_sound((np.array(numbers, np.int16), 8_000), 8_000)
    for value in (numbers, np.array(numbers, np.int64), [numbers, numbers]):
        assert torch.equal(read_sound((value, 8_000), 8_000), expected)
    with pytest.raises(UserError, match=r"whole numbers from -5 to 32768, expected 16-bit"):
        read_sound([-5, 32_768], 8_000)
    assert float(read_sound([0.5, 1], 8_000).abs().max()) == 1
