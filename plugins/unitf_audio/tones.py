"""Sounds of telephone keys: two tones (ITU-T Q.23), within the tolerances of a receiver (Q.24)."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unitf import Sample, Source, UserError

SAMPLE_RATE = 8_000
ROWS = (697.0, 770.0, 852.0, 941.0)  # Hz, the low group of Q.23
COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)  # Hz, the high group
KEYS = ("123A", "456B", "789C", "*0#D")
SIZES = {"train": 2000, "validation": 300, "test": 500, "test_noisy": 500}

# Q.24, Annex A: the ranges that a receiver must accept (AT&T's values if administrations differ)
TOLERANCE = 0.015  # of each frequency
TWIST = (-8.0, 4.0)  # dB, the high tone relative to the low one
DURATION = (0.04, 0.12)  # seconds of tone: at least 40 ms
LEVEL = (-30.0, -10.0)  # dB, of the low tone's amplitude relative to full scale
SILENCE = (0.01, 0.08)  # seconds, before and after


class TelephoneTones(Source):
    """The digits 0 to 9 as telephone tones, synthesised on access.

    A sample is a pure function of seed, split and index: `column` holds the sound, `target` the
    digit (whole number).

    Args:
        column: the name of the column with the sound.
        target: the name of the column with the digit.
        sizes: the number of samples of each split (train, validation, test, test_noisy).
        snr: the lowest and highest power of the tones relative to white noise, in dB.
        noisy_snr: the same for the split test_noisy.
        seed: another seed gives other samples.
    """

    def __init__(
        self,
        column: str = "sound",
        target: str = "digit",
        sizes: dict[str, int] | None = None,
        snr: Sequence[float] = (5.0, 30.0),
        noisy_snr: Sequence[float] = (-10.0, 0.0),
        seed: int = 0,
    ) -> None:
        if seed < 0:
            raise UserError(f"TelephoneTones(seed): expected 0 or more, found {seed}")
        self.column = column
        self.target = target
        self.sizes = SIZES if sizes is None else sizes
        if unknown := sorted(set(self.sizes) - set(SIZES)):
            raise UserError(
                f"TelephoneTones(sizes): no split {unknown[0]!r}, expected {', '.join(SIZES)}"
            )
        for split, number in self.sizes.items():
            if number < 0:
                raise UserError(
                    f"TelephoneTones(sizes): {split}: expected 0 or more, found {number}"
                )
        for name, limits in (("snr", snr), ("noisy_snr", noisy_snr)):
            if len(limits) != 2 or limits[0] > limits[1]:
                raise UserError(
                    f"TelephoneTones({name}): expected the lowest and highest, found {limits}"
                )
        self.snr = snr
        self.noisy_snr = noisy_snr
        self.seed = seed

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        return DialledSamples(self, split)

    def splits(self) -> list[str]:
        return [split for split in SIZES if self.sizes.get(split)]


class DialledSamples(Sequence[Sample]):
    """The samples of a split."""

    def __init__(self, source: TelephoneTones, split: str) -> None:
        self.source = source
        self.split = split
        self.limits = source.noisy_snr if split == "test_noisy" else source.snr

    def __len__(self) -> int:
        return self.source.sizes.get(self.split, 0)

    def __getitem__(self, index: int) -> Sample:  # pyright: ignore[reportIncompatibleMethodOverride]
        index = range(len(self))[index]  # negative ones count from the end; IndexError beyond
        generator = np.random.default_rng(
            [self.source.seed, zlib.crc32(self.split.encode()), index]
        )
        digit = index % 10
        array = dial(str(digit), generator, self.limits)
        return {
            self.source.column: {"array": array, "sampling_rate": SAMPLE_RATE},
            self.source.target: digit,
        }


def frequencies(key: str) -> tuple[float, float]:
    """Returns the low and the high tone of a key in Hz."""
    for row, keys in zip(ROWS, KEYS, strict=True):
        if key in keys:
            return row, COLUMNS[keys.index(key)]
    raise ValueError(f"a telephone has no key {key!r}, only {' '.join(''.join(KEYS))}")


def dial(key: str, generator: np.random.Generator, snr: Sequence[float]) -> np.ndarray:
    """Synthesises one key: silence, two tones, silence, with noise; float32 at 8 kHz."""
    before, length, after = (
        round(generator.uniform(*limits) * SAMPLE_RATE) for limits in (SILENCE, DURATION, SILENCE)
    )
    low = 10 ** (generator.uniform(*LEVEL) / 20)
    high = low * 10 ** (generator.uniform(*TWIST) / 20)
    seconds = np.arange(length) / SAMPLE_RATE
    tones = np.zeros(length)
    for amplitude, frequency in zip((low, high), frequencies(key), strict=True):
        frequency *= 1 + generator.uniform(-TOLERANCE, TOLERANCE)
        tones += amplitude * np.sin(2 * np.pi * (frequency * seconds + generator.uniform()))
    # tones of 40 ms can end within a period: the ratio uses their real power
    power = np.square(tones).mean() / 10 ** (generator.uniform(snr[0], snr[1]) / 10)
    sound = generator.standard_normal(before + length + after) * np.sqrt(power)
    sound[before : before + length] += tones
    return sound.astype(np.float32)
