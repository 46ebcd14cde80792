"""Lines: lines of text, split into columns by a regular expression."""

import re
from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.data.sources.beside import ConsecutiveFiles, FilesBeside, NamingFiles
from unitf.data.sources.file_source import FileSource, find, read_text
from unitf.data.sources.patterns import is_pattern, matching_files
from unitf.data.split import Split
from unitf.errors import UserError
from unitf.limits import limited_patterns


class Lines(FileSource):
    r"""Makes one sample of each line; the named groups of a regular expression are its columns.

    Args:
        path: the file, or a pattern of files: `reviews/{label}.txt` reads several files, and the
            column `label` is the same in each line of one file.
        split, limit: as for every source of files.
        pattern: must match each whole line, as `(?P<label>\d) (?P<text>.*)`. Empty lines are
            left out.
        encoding: of the file.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        pattern: str,
        encoding: str = "utf-8",
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        try:
            self.pattern: re.Pattern[str] = re.compile(pattern)
        except re.error as error:
            raise UserError(f"Lines: pattern {pattern!r} is no expression: {error}") from error
        if not self.pattern.groupindex:
            raise UserError(f"Lines: pattern {pattern!r} has no named group (?P<text>…)")
        self.encoding: str = encoding

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        files = matching_files(path, root) if is_pattern(path) else [(find(path, root), {})]
        parts: list[NamingFiles] = []
        for file, fields in files:
            samples = self._samples(file, fields)
            parts.append(NamingFiles([*samples.values()], FilesBeside(file, root), [*samples]))
        return parts[0] if len(parts) == 1 else ConsecutiveFiles(parts)

    def _samples(self, file: Path, fields: dict[str, str]) -> dict[int, Sample]:
        """Returns the samples of a file by the numbers of their lines."""
        samples: dict[int, Sample] = {}
        # not splitlines(): a text may hold U+0085 or a form feed
        lines = read_text(file, self.encoding).split("\n")
        with limited_patterns(file):
            for number, line in enumerate(lines, start=1):
                line = line.removesuffix("\r")
                if not line.strip():
                    continue
                if (match := self.pattern.fullmatch(line)) is None:
                    raise UserError(
                        f"{file}, line {number}: {line[:60]!r} does not match "
                        f"{self.pattern.pattern!r}"
                    )
                samples[number] = {**match.groupdict(), **fields}
                if len(samples) == self.limit:
                    break
        return samples
