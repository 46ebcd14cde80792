"""Hostile images and sounds."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.hostile_cases import CASES, is_written


def image(name: str, write: Callable[[Path], object]) -> None:
    def run(folder: Path) -> None:
        from unitf_image.image_files import read_image

        write(folder / name)
        is_written()
        read_image(str(folder / name), 3)

    CASES[f"image {name}"] = run


def png(path: Path, side: int) -> None:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    packer = zlib.compressobj(9)
    row = b"\0" * (side // 8 + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


for side in (9_000, 13_000, 30_000):
    image(f"{side}.png", lambda p, s=side: png(p, s))
image(
    "lie.bmp",
    lambda p: p.write_bytes(
        b"BM"
        + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
)
image(
    "lie.gif",
    lambda p: p.write_bytes(
        b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
        + b",\0\0\0\0\xff\xff\xff\xff\0\2\2\x44\1\0;"
    ),
)
image("lie.ppm", lambda p: p.write_bytes(b"P6 60000 60000 255\n" + b"x" * 100))


def sound(name: str, write: Callable[[Path], object]) -> None:
    def run(folder: Path) -> None:
        from unitf_audio.sound import read_sound

        write(folder / name)
        is_written()
        read_sound(str(folder / name), 16_000)

    CASES[f"sound {name}"] = run


def silence(path: Path, seconds: int, rate: int, channels: int) -> None:
    import soundfile

    block = np.zeros((rate, channels), np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, format=path.suffix[1:].upper()) as file:
        for _ in range(seconds):
            file.write(block)


sound("hour.flac", lambda p: silence(p, 3_500, 48_000, 2))
sound("eight.flac", lambda p: silence(p, 900, 48_000, 8))
sound("hours.flac", lambda p: silence(p, 9_000, 44_100, 1))
WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44_100, 176_400, 4, 16)
sound("lie.wav", lambda p: p.write_bytes(WAV + b"data\xff\xff\xff\xff" + b"\0" * 100))
