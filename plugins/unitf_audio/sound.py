"""Reads sounds (files, bytes, arrays) as mono samples at one rate."""

import io
import re
import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unitf import UserError
from unitf.data import check_cost
from unitf_audio.joined_mp3 import warn_of_joined

SLOWEST, FASTEST = 100, 1_000_000  # Hz, the range of accepted sample rates
LONGEST = 3_600  # seconds, the longest sound that is read into memory
LOUDEST = 2.0**31  # so that floats with the values of 32-bit samples are accepted
BLOCK = 2**20  # numbers in one read of a file
RESERVOIR = 16 * 1_152  # samples of an MP3 to decode before an exact position
# libsndfile's remarks on a file that ends too early (a streaming recorder writes a length of at
# least 2 GiB, because it does not know it: that is no error)
_CUT_OFF = re.compile(r"^data : \d{1,9} \(should be|lacks an end-of-stream bit", re.MULTILINE)


def read_sound(
    value: object, sample_rate: int, max_seconds: float | None = None, random: bool = False
) -> Float[Tensor, " T"]:
    """Returns a sound as mono samples at `sample_rate` (Hz); full scale is -1 to 1.

    Args:
        value: a path; the bytes of a file; `(array, rate)`; a dictionary with "array" and
            "sampling_rate", or with "bytes" or "path"; or an array at `sample_rate`. In an
            array with two axes the shorter one is the channels. Whole numbers have the range of
            their type; those of a list, or of 64 bits, are 16-bit samples.
        max_seconds: of a longer sound only this many seconds are read; None: all.
        random: whether they are read at a random position instead of in the middle.

    Raises:
        UserError: the value contains no sound.
    """
    return read_part(value, sample_rate, max_seconds, random)[0]


def read_part(
    value: object, sample_rate: int, max_seconds: float | None = None, random: bool = False
) -> tuple[Float[Tensor, " T"], float]:
    """Returns a sound as `read_sound` does, and at how many seconds of the whole it begins."""
    if isinstance(value, dict):
        value = _from_dict(value, sample_rate)
    if isinstance(value, str | Path):
        path = Path(value)
        location = _shown(path)
        samples, rate, start = _read_file(_open(path, location), location, max_seconds, random)
    elif isinstance(value, bytes | bytearray | memoryview):
        if not len(value):
            raise UserError("a sound of 0 bytes, expected the contents of a sound file")
        location = f"{len(value)} bytes"
        samples, rate, start = _read_file(io.BytesIO(value), location, max_seconds, random)
    else:
        if isinstance(value, tuple) and len(value) != 2:
            raise UserError(f"a tuple of {len(value)}, expected (array, rate)")
        array, rate = value if isinstance(value, tuple) else (value, sample_rate)
        rate = _checked_rate(rate, "the array")
        samples = _mono(array)
        start, count = _cut(len(samples), rate, max_seconds, random)
        samples = samples[start : start + count]
    if not len(samples):
        raise UserError("an empty sound, expected at least one sample")
    sound = torch.from_numpy(samples)
    loudest = float(sound.abs().max())
    if not loudest <= LOUDEST:  # also false for NaN
        raise UserError(f"a sound with a sample of {loudest:g}, expected numbers from -1 to 1")
    return resample(sound, rate, sample_rate), start / rate


def resample(samples: Float[Tensor, " T"], rate: int, new_rate: int) -> Float[Tensor, " _"]:
    """Resamples a sound (band-limited; SoX's resampler in high quality)."""
    if rate == new_rate:
        return samples
    import soxr

    resampled = torch.from_numpy(soxr.resample(samples.numpy(), rate, new_rate))
    return resampled if len(resampled) else samples[:1]


def _from_dict(value: dict[str, Any], sample_rate: int) -> Any:
    """Returns the bytes, path, or array and rate of a dictionary (as in datasets' Audio)."""
    if value.get("array") is not None:
        return value["array"], value.get("sampling_rate", sample_rate)
    for key in ("bytes", "path"):
        if value.get(key) is not None:
            return value[key]
    raise UserError(
        f"a sound as a dictionary with {', '.join(map(repr, value)) or 'nothing'}, "
        "expected 'array' and 'sampling_rate', or 'bytes', or 'path'"
    )


def _shown(path: Path) -> str:
    """Returns a path for a one-line message; a very long one is shortened."""
    text = str(path)
    return text if text.isprintable() and len(text) < 500 else reprlib.repr(text)


def _open(path: Path, location: str) -> io.BufferedReader:
    try:
        if not path.is_file():  # a folder, a pipe, nothing
            raise UserError(f"no sound file {location}")
        return path.open("rb")
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot open {location}: {reason}") from None


def _read_file(
    stream: Any, location: str, max_seconds: float | None, random: bool
) -> tuple[Float[np.ndarray, " T"], int, int]:
    """Returns samples of a file that soundfile can decode, their rate, and where they begin."""
    import soundfile

    try:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        with stream, soundfile.SoundFile(stream) as file:
            rate = _checked_rate(file.samplerate, location)
            if file.format == "MP3":
                warn_of_joined(stream, location)
            start, count = _cut(file.frames, rate, max_seconds, random)
            if count > LONGEST * rate:
                raise UserError(
                    f"{location}: {count / rate:,.0f} seconds of sound, "
                    f"expected at most {LONGEST:,}; max_seconds reads a part"
                )
            numbers = count * file.channels
            what = f"{location}, samples"
            check_cost(numbers, size, "sound_samples", "samples_per_byte", what)
            samples = _read_blocks(file, start, count)
            # a file can end with padding, which decoders count differently
            if len(samples) < count - 2_304 or _CUT_OFF.search(file.extra_info):
                raise UserError(f"{location}: the file is cut off")
            return samples, rate, start
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise UserError(f"{location}: not a sound that can be read ({error})") from None


def _read_blocks(file: Any, start: int, count: int) -> Float[np.ndarray, " T"]:
    """Returns at most `count` samples, the mean of the channels; the header can claim more."""
    if start:
        file.seek(start)
    blocks = [np.zeros(0, np.float32)]
    while count > 0:
        # a frame of an MP3 needs bits of earlier frames, and soundfile seeks after each block
        lead = min(start, RESERVOIR) if file.format == "MP3" else 0
        if lead:
            file.seek(start - lead)
        size = lead + min(count, max(1, BLOCK // file.channels))
        block = file.read(size, "float32", always_2d=True)[lead:]
        if not len(block):
            break
        blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(1))
        start += len(block)
        count -= len(block)
    return np.concatenate(blocks)


def _cut(length: int, rate: int, max_seconds: float | None, random: bool) -> tuple[int, int]:
    """Returns the index of the first sample and the number of samples."""
    if max_seconds is not None and max_seconds <= 0:
        raise UserError(f"max_seconds {max_seconds}, expected more than 0")
    count = length if max_seconds is None else min(length, max(1, round(max_seconds * rate)))
    spare = length - count
    if not spare:
        return 0, count
    return (int(torch.randint(spare + 1, ())) if random else spare // 2), count


def _checked_rate(rate: Any, location: str) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number):
        raise UserError(f"{location}: a rate of {rate!r}, expected a number of samples a second")
    if not SLOWEST <= rate <= FASTEST:
        raise UserError(
            f"{location}: a rate of {rate} samples a second, expected {SLOWEST} to {FASTEST:,}"
        )
    return round(float(rate))


def _mono(value: object) -> Float[np.ndarray, " T"]:
    """Returns an array with one or two axes as one channel of floats."""
    if isinstance(value, Tensor):
        value = value.detach()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise UserError(f"not a sound: {type(value).__name__} ({error})") from None
    if array.dtype.kind not in "fiu":
        raise UserError(
            f"not a sound: {type(value).__name__} of {array.dtype}, expected a path, the bytes "
            "of a file, or an array of numbers with its rate"
        )
    if array.ndim not in (1, 2):
        raise UserError(f"a sound with axes {array.shape}, expected (time,) or (channels, time)")
    if array.dtype.itemsize == 8 and array.dtype.kind in "iu":
        array = _of_16_bits(array)
    if array.dtype.kind in "iu":
        half = 2.0 ** (8 * array.dtype.itemsize - 1)
        array = array / half - (array.dtype.kind == "u")
    with np.errstate(over="ignore", invalid="ignore"):  # inf and NaN are refused by the caller
        if array.ndim == 2:
            array = array.mean(int(np.argmin(array.shape))) if array.size else np.zeros(0)
        return np.ascontiguousarray(array, dtype=np.float32)


def _of_16_bits(array: np.ndarray) -> np.ndarray:
    """Returns whole numbers without a type of their own, as those of a list, as 16-bit samples."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if not -(2**15) <= low <= high < 2**15:
        raise UserError(
            f"a sound of whole numbers from {low} to {high}, expected 16-bit samples, floats from "
            "-1 to 1, or an array of int32"
        )
    return array.astype(np.int16)


def example_sounds() -> list[object]:
    """Returns a few small sounds of several kinds for `unitf plugins check`."""
    import soundfile

    wave = np.sin(np.arange(4_000) * 0.3).astype(np.float32) / 2
    file = io.BytesIO()
    soundfile.write(file, wave[:2_000], 8_000, format="WAV")
    stereo = np.stack([wave, -wave]).astype(np.float32)
    return [
        (wave, 16_000),
        {"array": wave, "sampling_rate": 22_050},
        {"bytes": file.getvalue(), "path": None},
        (stereo, 8_000),
        np.zeros(1_600, np.float32),
        (np.ones(1, np.float32), 16_000),
        ((wave * 30_000).astype(np.int16), 44_100),
    ]
