"""Limits: what a small file may cost when it is read. No file that a person made meets them.

The variable `UNITF_LIMITS` sets others: `UNITF_LIMITS=unpacked_bytes=1e10,pattern_seconds=60`.
"""

import dataclasses
import os
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from unitf.errors import UserError, did_you_mean

VARIABLE: str = "UNITF_LIMITS"
Number: TypeAlias = int | float


@dataclass(frozen=True)
class Limits:
    """What a file may cost.

    A compressed file may always cost the first of two numbers; a larger cost is allowed in
    proportion to its size.

    Args:
        recipe_values: the values of a recipe, those that aliases repeat included.
        unpacked_bytes: the bytes that come out of an archive or a compressed file.
        unpacked_ratio: how many times larger than the packed bytes they may be beyond that.
        image_pixels: the pixels of an image.
        pixels_per_byte: how many pixels a byte of an image file may stand for beyond that.
        sound_samples: the samples of a sound, all channels together.
        samples_per_byte: how many samples a byte of a sound file may stand for beyond that.
        table_rows: the rows of a Parquet file.
        rows_per_byte: how many rows a byte of it may stand for beyond that.
        header_bytes: the header of a safetensors file.
        built_numbers: the numbers of a model that a checkpoint describes, beyond those it holds.
        pattern_seconds: the processor seconds for which regular expressions may search a file.
    """

    recipe_values: float = 100_000
    unpacked_bytes: float = 2**28
    unpacked_ratio: float = 100
    image_pixels: float = 50_000_000
    pixels_per_byte: float = 100
    sound_samples: float = 64_000_000
    samples_per_byte: float = 200
    table_rows: float = 10_000_000
    rows_per_byte: float = 100
    header_bytes: float = 2**24
    built_numbers: float = 100_000_000
    pattern_seconds: float = 10


def limits() -> Limits:
    """Returns the limits that hold.

    Raises:
        UserError: the variable `UNITF_LIMITS` names no limit, or gives no number.
    """
    return _parsed(os.environ.get(VARIABLE, ""))


@lru_cache(maxsize=8)
def _parsed(text: str) -> Limits:
    names = [field.name for field in dataclasses.fields(Limits)]
    values: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = part.partition("=")
        if name not in names:
            raise UserError(f"{VARIABLE}: there is no limit {name!r}{did_you_mean(name, names)}")
        try:
            values[name] = float(number)
        except ValueError:
            raise UserError(f"{VARIABLE}: {name}: found {number!r}, expected a number") from None
    return Limits(**values)


def check_cost(cost: Number, packed: Number, always: str, ratio: str, what: str) -> None:
    """Checks what a compressed file costs.

    Args:
        cost: what it costs.
        packed: the bytes of the file.
        always: the name of the limit up to which any file may cost.
        ratio: the name of the limit for each byte of the file, beyond that.
        what: the file and what is counted, for the message.

    Raises:
        UserError: it costs too much.
    """
    if cost <= getattr(limits(), always):
        return
    allowed = max(getattr(limits(), always), packed * getattr(limits(), ratio))
    if cost > allowed:
        raise UserError(
            f"{what}: found {cost:,.0f} or more in {packed:,.0f} bytes, expected at most "
            f"{allowed:,.0f} ({VARIABLE}={always}=… sets another limit)"
        )


def check_unpacked(size: Number, packed: Number, file: object) -> None:
    """Checks how many bytes come out of a compressed file of `packed` bytes.

    Raises:
        UserError: they are too many.
    """
    check_cost(size, packed, "unpacked_bytes", "unpacked_ratio", f"{file}, unpacked bytes")


def read_unpacked(read: Callable[[int], bytes], packed: int, file: object) -> bytes:
    """Returns all that comes out of a compressed stream.

    Raises:
        UserError: it is too much.
    """
    blocks: list[bytes] = []
    size = 0
    while block := read(1 << 20):
        size += len(block)
        check_unpacked(size, packed, file)
        blocks.append(block)
    return b"".join(blocks)


def check_members(path: Path) -> None:
    """Checks that the members of a .zip or .npz are not much larger than the file.

    Raises:
        UserError: they are.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        check_unpacked(total, path.stat().st_size, path)


def check_header(file: Path) -> None:
    """Checks the length of the header of a safetensors file, which is read whole.

    Raises:
        UserError: it is too long.
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
    most = limits().header_bytes
    if most < length <= file.stat().st_size:  # else the file is damaged, which its reader says
        raise UserError(
            f"{file}: a header of {length:,} bytes, expected at most {most:,.0f} "
            f"({VARIABLE}=header_bytes=… sets another limit)"
        )


class _TooLong(Exception):  # noqa: N818 (caught here)
    pass


@contextmanager
def limited_patterns(where: object) -> Iterator[None]:
    """A context in which regular expressions may search for a limited processor time.

    Python's `re` looks for signals while it searches. Other threads have no signals, and so no
    limit.

    Raises:
        UserError: they search longer.
    """
    seconds = limits().pattern_seconds
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    earlier = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    except _TooLong:
        raise UserError(
            f"{where}: the pattern searches for more than {seconds:g} s, expected one that ends "
            f"sooner ({VARIABLE}=pattern_seconds=… sets another limit)"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)
