"""Files that a table names: they lie beside it, or in the root of the data."""

import os
import unicodedata
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import overload

from unitf.batch import Sample
from unitf.data.sources.file_source import DAMAGE
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.listing import member_name
from unitf.errors import UserError


class FilesBeside:
    """Finds files beside a table, or else in the root of the data.

    Args:
        table: the path of the table; it may lead into a .zip (`photos.zip/labels.csv`).
        root: the root of the data.
    """

    def __init__(self, table: Path, root: Path) -> None:
        archives = (p for p in table.parents if p.suffix.lower() == ".zip" and p.is_file())
        self.table: Path = table
        self.archive: Path | None = next(archives, None)
        self.folders: list[Path] = [table.parent, root]
        self.inside: str = ""
        if self.archive is not None:
            self.inside = table.parent.relative_to(self.archive).as_posix()
            self.folders = [self.archive.parent, root]

    def __call__(self, name: str) -> str | bytes | None:
        if not name:
            return None
        for spelling in _spellings(name):
            if self.archive is not None:
                member = member_name(f"{self.inside}/{spelling}")
                if member in _members(self.archive, os.getpid())[1]:
                    return self._read(self.archive, member)
            for folder in self.folders:
                path = os.path.join(folder, spelling)  # noqa: PTH118 (Path takes 5 µs)
                if os.path.exists(path):  # noqa: PTH110
                    return path
        return None

    def _read(self, archive: Path, member: str) -> bytes:
        opened, entries = _members(archive, os.getpid())
        try:
            return opened.read(entries[member])
        except DAMAGE as error:
            raise UserError(f"{archive}: {member} cannot be read: {error}") from error


@lru_cache(8)
def _members(archive: Path, process: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Returns an open .zip and its members by plain names; each process opens its own."""
    try:
        opened = zipfile.ZipFile(archive)
    except DAMAGE as error:
        raise UserError(f"{archive} is no zip, or is damaged: {error}") from error
    return opened, {member_name(entry.filename): entry for entry in opened.infolist()}


def _spellings(name: str) -> Iterator[str]:
    """Yields a name as it is, as Windows means it, and in both forms of Unicode."""
    yield name
    if "\\" in name:
        name = name.replace("\\", "/")
        yield name
    if not name.isascii():
        yield unicodedata.normalize("NFC", name)
        yield unicodedata.normalize("NFD", name)


class NamingFiles(Sequence[Sample]):
    """Samples that may name files, which lie beside the file of the samples.

    Args:
        samples: the samples.
        finder: finds the files.
        lines: the line of each sample in its file; None: its samples are records, not lines.
    """

    def __init__(
        self, samples: Sequence[Sample], finder: FilesBeside, lines: Sequence[int] | None = None
    ) -> None:
        self.samples: Sequence[Sample] = samples
        self.finder: FilesBeside = finder
        self.lines: Sequence[int] | None = lines

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        return self.samples[index]

    def name(self, index: int) -> str:
        """Returns the file and the line of a sample, or the number of its record from 0."""
        place = f"record {index}" if self.lines is None else f"line {self.lines[index]}"
        return f"{self.finder.table}, {place}"

    def beside(self, index: int, name: str) -> str | bytes | None:
        """Returns the file that a sample names: its path or its bytes; None: there is none."""
        return self.finder(name)


class ConsecutiveFiles(IndexedSamples):
    """The samples of several files, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Sample]]) -> None:
        self.parts: Sequence[Sequence[Sample]] = parts
        self.ends: list[int] = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def sample_at(self, index: int) -> Sample:
        part, number = self._find(index)
        return part[number]

    def name(self, index: int) -> str:
        """Returns the name of a sample for messages, or "" if its file gives none."""
        part, number = self._find(index)
        name = getattr(part, "name", None)
        return name(number) if name else ""

    def beside(self, index: int, name: str) -> str | bytes | None:
        """Returns the file that a sample names: its path or its bytes; None: there is none."""
        part, number = self._find(index)
        beside = getattr(part, "beside", None)
        return beside(number, name) if beside else None

    def _find(self, index: int) -> tuple[Sequence[Sample], int]:
        index = range(len(self))[index]
        number = bisect_right(self.ends, index)
        return self.parts[number], index - (self.ends[number - 1] if number else 0)
