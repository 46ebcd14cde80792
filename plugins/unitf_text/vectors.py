"""WordVectors: published word vectors in the formats of GloVe, word2vec and fastText."""

import gzip
import math
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unitf import Configurable, UserError

_WIDEST = 100_000  # numbers of a vector; more is no vector but a damaged header
_CHUNK = 1 << 20  # bytes of a binary file that are read at once


@dataclass(frozen=True)
class WordVectors(Configurable):
    """A file of word vectors with which the token table is initialised.

    The format is recognised: GloVe's text, word2vec's text and binary formats, fastText's .vec,
    each as it is or gzipped.

    Args:
        path: the file; `fit` reads it, and a checkpoint does not need it.
        freeze: whether training leaves the table unchanged (all of it, also the vectors of words
            that the file lacks).
        added_words: the number of first words of the file that are added to the words of the
            training data, so that a model knows words that training never saw; -1: all of them.
    """

    path: str
    freeze: bool = False
    added_words: int = 0

    def __post_init__(self) -> None:
        if self.added_words < -1:
            raise UserError(f"vectors.added_words: expected -1 or more, found {self.added_words}")

    def read(self, wanted: Collection[str]) -> dict[str, np.ndarray]:
        """Returns the vectors (float32) of the wanted words and of the first words of the file.

        Raises:
            UserError: the file is missing, damaged or in no known format; the message has the line.
        """
        path = Path(self.path).expanduser()
        names = {word.encode() for word in wanted}
        added = math.inf if self.added_words < 0 else self.added_words
        vectors: dict[str, np.ndarray] = {}
        try:
            with _open(path) as file:
                for number, entry in enumerate(_entries(file)):
                    if number >= added and entry.word not in names:
                        continue
                    vector = entry.vector()
                    if not np.isfinite(vector).all():
                        raise UserError(f"{entry.location}: a number that is not finite")
                    # of a word that stands twice in a file the first, more frequent one counts
                    vectors.setdefault(entry.word.decode(errors="replace"), vector)
        except UserError as error:
            raise UserError(f"vectors {path}: {error}") from error
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(
                f"vectors {path}: {getattr(error, 'strerror', None) or error}"
            ) from error
        return vectors


class _Entry(NamedTuple):
    """A word and its vector as stored in the file."""

    location: str  # for messages
    word: bytes
    numbers: list[bytes] | bytes  # as text, or as binary float32

    def vector(self) -> np.ndarray:
        if isinstance(self.numbers, bytes):
            return np.frombuffer(self.numbers, "<f4").astype(np.float32)
        try:
            return np.array([float(number) for number in self.numbers], np.float32)
        except ValueError as error:
            raise UserError(f"{self.location}: {error}, expected numbers after a word") from None


def _open(path: Path) -> BufferedIOBase:
    file = path.open("rb")
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return gzip.open(path)
    file.seek(0)
    return file


def _entries(file: BufferedIOBase) -> Iterator[_Entry]:
    """Yields every word of a file in any of the formats."""
    first = file.readline()
    fields = first.split()
    if not fields:
        raise UserError("line 1: empty, expected a word and its vector")
    if len(fields) != 2 or not (fields[0].isdigit() and fields[1].isdigit()):
        # GloVe's text has no header
        yield from _text(file, None, len(fields) - 1, first)
        return
    count, width = int(fields[0]), int(fields[1])
    if not 0 < width <= _WIDEST:
        raise UserError(f"line 1: the header says vectors of {width} numbers")
    location = file.tell()
    start = file.read(1000 + 4 * width)
    file.seek(location)
    if _is_binary(start, width):
        yield from _binary(file, count, width)
    else:
        yield from _text(file, count, width, file.readline())


def _is_binary(start: bytes, width: int) -> bool:
    """Whether the bytes after a header are binary: no line of text, with control characters."""
    _, *numbers = start.split(b"\n")[0].rstrip(b" \r").rsplit(b" ", width)
    if len(numbers) == width and all(map(_is_number, numbers)):
        return False
    return any(byte < 32 and byte not in b"\t\n\r" for byte in start)


def _text(file: BufferedIOBase, count: int | None, width: int, first: bytes) -> Iterator[_Entry]:
    if width < 1:
        raise UserError(f"line 1: {first[:40]!r}, expected a word and its vector")
    line, number, count_read = first, 1 if count is None else 2, 0
    while line:
        # a word of GloVe may contain spaces, so the numbers are split off from the right
        word, *numbers = line.rstrip(b" \r\n").rsplit(b" ", width)
        location = f"line {number}"
        if len(numbers) < width or (b" " in word and _is_number(word.rsplit(b" ", 1)[1])):
            amount = len(line.split()) - 1
            raise UserError(f"{location}: {amount} numbers after the word, expected {width}")
        yield _Entry(location, word, numbers)
        line, number, count_read = file.readline(), number + 1, count_read + 1
    if count is not None and count_read != count:
        raise UserError(f"line {number}: the file ends after {count_read} words, expected {count}")


def _binary(file: BufferedIOBase, count: int, width: int) -> Iterator[_Entry]:
    buffer, start, size = b"", 0, 4 * width
    for number in range(1, count + 1):
        while (end := buffer.find(b" ", start)) < 0 or len(buffer) <= end + size:
            more = file.read(_CHUNK)
            if not more:
                raise UserError(f"the file ends in word {number} of {count}")
            buffer, start = buffer[start:] + more, 0
        word = buffer[start:end].lstrip(b"\n")  # only word2vec ends vectors with a newline
        start = end + 1 + size
        yield _Entry(f"word {number}", word, buffer[end + 1 : start])


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
