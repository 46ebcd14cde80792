"""A folder or an archive of files, with columns in their names."""

import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.sources.file_source import DAMAGE, FileSource, find
from unitf.data.split import Split
from unitf.errors import UserError


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The expression for a pattern: `{field}` and `*` stay within a name, `**` crosses folders."""
    expression, seen = "", set()
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
    """A sample a file of a folder, a .zip or a .tar(.gz, .bz2, .xz); columns are in the names.

    In a folder the file's column holds its path. An archive is read once, into memory, and the
    column holds the file's bytes; unpack one that is larger than your memory.

    Args:
        pattern: which files, and what their names say: `{label}/*.jpg` gives the column label,
            `recordings/{digit}_{speaker}_{index}.wav` three columns. The path within the folder
            or archive must match as a whole; `**/` stands for any folders.
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
        self.pattern = pattern
        self.column = column
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


class NamedSamples(Sequence):
    """Samples that have names."""

    def __init__(self, samples: Sequence[tuple[str, Sample]]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.samples[index][1]

    def name(self, index: int) -> str:
        return self.samples[index][0]


def _walk(location: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, Any]]:
    """The name of every file, and of the `wanted` ones the path or the bytes."""
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
