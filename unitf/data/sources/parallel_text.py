"""ParallelText: texts whose lines correspond to each other, as in translation."""

from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.data.sources.beside import FilesBeside, NamingFiles
from unitf.data.sources.file_source import FileSource, find, lines_of, read_text
from unitf.data.sources.idx import Columns
from unitf.data.split import Split
from unitf.errors import UserError


class ParallelText(FileSource):
    """Makes one sample of the lines with the same number; each text (gzipped or not) is a column.

    An empty line is a value like any other, so the number of a sample is the number of its line.

    Args:
        path: for each split the file of each column: `{train: {english: train.en.gz, french:
            train.fr.gz}, test: …}`.
        encoding: of the files.
        split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: dict[str, dict[str, str]],
        encoding: str = "utf-8",
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.encoding: str = encoding
        for name, files in self.path.items():
            if not files:
                raise UserError(f"ParallelText: split {name} has no file, expected one a column")

    def load(self, path: dict[str, str], root: Path) -> Sequence[Sample]:
        files = {column: find(file, root) for column, file in path.items()}
        texts = {column: lines_of(read_text(file, self.encoding)) for column, file in files.items()}
        (first, lines), *others = texts.items()
        for column, other in others:
            if len(other) != len(lines):
                raise UserError(
                    f"{files[column]} has {len(other):,} lines, expected as many as "
                    f"{files[first]}, which has {len(lines):,}"
                )
        columns = Columns({column: lines[: self.limit] for column, lines in texts.items()})
        return NamingFiles(columns, FilesBeside(files[first], root), range(1, len(columns) + 1))
