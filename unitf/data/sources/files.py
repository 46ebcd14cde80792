"""Files: a folder or an archive of files whose names hold columns."""

import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

from unitf.batch import Sample
from unitf.data.sources.file_source import DAMAGE, FileSource, find
from unitf.data.split import Split
from unitf.errors import UserError


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Returns the regular expression of a pattern.

    `{field}` and `*` match within one name; `**` also matches folders.

    Raises:
        UserError: a field is no name, or stands twice.
    """
    expression = ""
    seen: set[str] = set()
    for piece in re.split(r"(\{[^}]*\}|\*\*/?|\*)", pattern):
        if piece.startswith("{"):
            name = piece[1:-1]
            if not name.isidentifier() or name in seen:
                raise UserError(f"pattern {pattern!r}: {piece} must be a name, and only once")
            seen.add(name)
            expression += f"(?P<{name}>[^/]+?)"
        elif piece.startswith("**"):
            expression += "(?:.*/)?" if piece.endswith("/") else ".*"
        else:
            expression += "[^/]*" if piece == "*" else re.escape(piece)
    return re.compile(expression)


class Files(FileSource):
    """Makes one sample of each file in a folder, a .zip or a .tar(.gz, .bz2, .xz).

    In a folder the column of the file holds its path. An archive is read once into memory, and the
    column holds the bytes of the file; unpack an archive that is larger than your memory.

    Args:
        pattern: which files to read, and the columns in their names: `{label}/*.jpg` makes the
            column label, `recordings/{digit}_{speaker}_{index}.wav` makes three columns. The
            pattern must match the whole path in the folder or archive; `**/` matches any folders.
        column: the column of the file itself.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        pattern: str,
        column: str = "file",
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.pattern: str = pattern
        self.column: str = column
        self._expression = compile_pattern(pattern)

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        location = find(path, root)
        others: list[str] = []  # names that do not match, for the message
        named = NamedSamples(list(islice(self._matching(location, others), self.limit)))
        if not named:
            shown = f"the first is {others[0]}" if others else "there is no file"
            raise UserError(f"{location}: no file matches {self.pattern!r}; {shown}")
        return named

    def _matching(self, location: Path, others: list[str]) -> Iterator[tuple[str, Sample]]:
        for name, value in _walk(location, self._expression):
            if match := self._expression.fullmatch(name):
                yield name, {**match.groupdict(), self.column: value}
            elif not others:
                others.append(name)


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


def _walk(location: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, str | bytes]]:
    """Yields the name of every file, with the path or the bytes of the `wanted` ones."""
    try:
        if location.is_dir():
            for file in sorted(location.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    yield file.relative_to(location).as_posix(), str(file)
        elif zipfile.is_zipfile(location):
            with zipfile.ZipFile(location) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir():
                        keep = wanted.fullmatch(entry.filename)
                        if keep and entry.flag_bits & 1:
                            raise UserError(f"{location}: {entry.filename} has a password")
                        yield entry.filename, archive.read(entry) if keep else b""
        else:
            with tarfile.open(location, "r|*") as archive:  # a stream: a compressed tar cannot seek
                for member in archive:
                    if member.isfile():
                        file = archive.extractfile(member)
                        keep = file is not None and wanted.fullmatch(member.name)
                        yield member.name, file.read() if file and keep else b""
    except DAMAGE as error:
        raise UserError(f"{location} is no folder, zip or tar, or is damaged: {error}") from error
