"""Lines: lines of text, split into columns by a regular expression."""

import re
from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.data.sources.file_source import FileSource, find, read_text
from unitf.data.split import Split
from unitf.errors import UserError


class Lines(FileSource):
    r"""Makes one sample of each line; the named groups of a regular expression are its columns.

    Args:
        path, split, limit: as for every source of files.
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
        file = find(path, root)
        samples: list[Sample] = []
        # not splitlines(): a text may hold U+0085 or a form feed
        for number, line in enumerate(read_text(file, self.encoding).split("\n"), start=1):
            line = line.removesuffix("\r")
            if not line.strip():
                continue
            if (match := self.pattern.fullmatch(line)) is None:
                raise UserError(
                    f"{file}, line {number}: {line[:60]!r} does not match {self.pattern.pattern!r}"
                )
            samples.append(match.groupdict())
            if len(samples) == self.limit:
                break
        return samples
