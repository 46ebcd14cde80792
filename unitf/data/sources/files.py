"""Files: a folder or an archive of files whose names hold columns."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from unitf.batch import Sample
from unitf.data.sources.archive_files import archive_files
from unitf.data.sources.file_source import FileSource, find, read_text, text_of
from unitf.data.sources.folder_layout import propose_files
from unitf.data.sources.listing import walk_folder
from unitf.data.sources.patterns import compile_pattern
from unitf.data.split import Split
from unitf.errors import UserError
from unitf.proposal import Proposal
from unitf.spelling import composed

_log = logging.getLogger(__name__)


class Files(FileSource):
    """Makes one sample of each file in a folder, a .zip or a .tar(.gz, .bz2, .xz).

    In a folder the column of the file holds its path. An archive is read once into memory, and the
    column holds the bytes of the file; unpack an archive that is larger than your memory.

    Args:
        pattern: which files to read, and the columns in their names: `{label}/*.jpg` makes the
            column label, `recordings/{digit}_{speaker}_{index}.wav` makes three columns. The
            ending may be one of several, as `{label}/*.{jpg,png}`. The
            pattern must match the whole path in the folder or archive; `**/` matches any folders.
            Hidden files, and those that a system leaves (`__MACOSX`, `@eaDir`), are left out,
            unless the pattern names a hidden one.
        column: the column of the file itself.
        encoding: of files of text, whose column then holds the text; None: it holds the path, or
            the bytes.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        pattern: str,
        column: str = "file",
        split: Split | None = None,
        limit: int | None = None,
        encoding: str | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.pattern: str = pattern
        self.column: str = column
        self.encoding: str | None = encoding
        self._expression = compile_pattern(pattern)

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a folder of files for each class, perhaps within one for each split."""
        return propose_files(path)

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        location = find(path, root)
        hidden = any(part.startswith(".") and part != "." for part in self.pattern.split("/"))
        listing = _Listing(location, self._expression, hidden)
        samples: list[tuple[str, Sample]] = []
        for name, match, value in listing:
            samples.append((name, {**match.groupdict(), self.column: value}))
            if len(samples) == self.limit:
                break
        if not samples:
            shown = f"the first is {listing.others[0]}" if listing.others else "there is no file"
            raise UserError(f"{location}: no file matches {self.pattern!r}; {shown}")
        if self.limit is None and (lines := listing.remarks(self.pattern)):
            _log.warning("%s: %s", location, "; ".join(lines))
        if self.encoding is not None:
            return NamedTexts(samples, self.column, self.encoding)
        return NamedSamples(samples)


class _Listing:
    """The files of a folder or an archive whose names match an expression, and what did not match.

    Args:
        location: the folder or the archive.
        expression: the names to find, in composed Unicode.
        hidden: whether hidden files are found too.
    """

    def __init__(self, location: Path, expression: re.Pattern[str], hidden: bool) -> None:
        self.location = location
        self.expression = expression
        self.hidden = hidden
        self.others: list[str] = []  # files that do not match
        self.broken: list[str] = []  # links that lead nowhere
        self.folders: list[str] = []
        self.filled: set[str] = set()  # folders with a file that matches, at any depth

    def __iter__(self) -> Iterator[tuple[str, re.Match[str], str | bytes]]:
        for name, value in self._all():
            match = self.expression.fullmatch(composed(name))
            if match is None or value is None:
                self.others.append(name)
                continue
            self.filled.update(_folders(name))
            yield name, match, value

    def _all(self) -> Iterable[tuple[str, str | bytes | None]]:
        if not self.location.is_dir():
            folders: dict[str, None] = {}
            for name, value in archive_files(self.location, self._is_wanted, self.hidden):
                folders.update(dict.fromkeys(_folders(name)))
                yield name, value
            self.folders = list(folders)
            return
        try:
            for name, path in walk_folder(self.location, self.hidden):
                if path is None:
                    self.folders.append(name)
                elif Path(path).is_file():
                    yield name, path
                elif Path(path).is_symlink():
                    self.broken.append(name)
        except OSError as error:
            raise UserError(f"{self.location}: {error}") from error

    def _is_wanted(self, name: str) -> bool:
        return self.expression.fullmatch(composed(name)) is not None

    def remarks(self, pattern: str) -> list[str]:
        """Returns what a person may not expect: what was not found, each with its number."""
        depth = pattern.removeprefix("./").count("/")
        expected = [] if "**" in pattern else [f for f in self.folders if f.count("/") < depth]
        empty = [folder for folder in expected if folder not in self.filled]
        # a folder within an empty folder is no second one
        empty = [f for f in empty if f.rpartition("/")[0] not in empty]
        return [
            *_counted(
                self.others, "file", f"does not match {pattern!r}", f"do not match {pattern!r}"
            ),
            *_counted(empty, "folder", "has no file that matches", "have no file that matches"),
            *_counted(self.broken, "link", "leads nowhere", "lead nowhere"),
        ]


def _folders(name: str) -> list[str]:
    """Returns the folders in which a file lies, by its relative name."""
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _counted(names: list[str], kind: str, one: str, several: str) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:3]) + ", …" * (len(names) > 3)
    if len(names) == 1:
        return [f"1 {kind} ({shown}) {one}"]
    return [f"{len(names)} {kind}s ({shown}) {several}"]


class NamedSamples(Sequence[Sample]):
    """Samples with names, as pairs (name, sample)."""

    def __init__(self, samples: Sequence[tuple[str, Sample]]) -> None:
        self.samples: Sequence[tuple[str, Sample]] = samples

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return NamedSamples(self.samples[index])
        return self.samples[index][1]

    def name(self, index: int) -> str:
        """Returns the name of a sample."""
        return self.samples[index][0]


class NamedTexts(NamedSamples):
    """Samples with names, and a column of files that are read as text.

    Args:
        samples: pairs (name, sample); the column holds the path or the bytes of a file.
        column: the name of the column.
        encoding: of the files.
    """

    def __init__(self, samples: Sequence[tuple[str, Sample]], column: str, encoding: str) -> None:
        super().__init__(samples)
        self.column: str = column
        self.encoding: str = encoding

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return NamedTexts(self.samples[index], self.column, self.encoding)
        name, sample = self.samples[index]
        file = sample[self.column]
        if isinstance(file, bytes):
            text = text_of(file, Path(name), self.encoding)
        else:
            text = read_text(Path(file), self.encoding)
        return {**sample, self.column: text}
