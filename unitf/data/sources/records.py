"""Records: the records of a JSON list, and the files that they name."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from unitf.batch import Sample
from unitf.data.sources.archive import ArchivePath
from unitf.data.sources.beside import FilesBeside, NamingFiles
from unitf.data.sources.file_source import FileSource
from unitf.data.sources.json_rows import Json, json_records
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean


class Records(FileSource):
    """Makes one sample of each record of a JSON list; columns may be files that a record names.

    A path may lead into a .zip (`photos.zip/train/labels.json`). It is read once into memory, and
    the column of a file holds the file's bytes. In a folder the column holds the file's path.

    Args:
        columns: for each column of a sample its key in a record, as `text` or `review.text`; its
            index (from 0) if a record is itself a list.
        files: columns that are files: their paths from the folder of the JSON file, with columns in
            braces, as `{image: "images/{number}.png"}`.
        part: the key of the list in the file, as `data`; None: the file is the list.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        columns: dict[str, str | int],
        files: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
        part: str | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.part: str | None = part
        self.columns: dict[str, str | int] = columns
        self.files: dict[str, str] = files or {}

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        archive = ArchivePath(path, root)
        try:
            records = json_records(archive.read(), str(archive.path), self.part)[: self.limit]
            read = lru_cache(None)(archive.beside)  # many records may name the same file
            samples = [
                self._sample(number, record, archive, read) for number, record in enumerate(records)
            ]
            return NamingFiles(samples, FilesBeside(root / path, root))
        finally:
            archive.close()

    def _sample(
        self,
        number: int,
        record: object,
        archive: ArchivePath,
        read: Callable[[str], str | bytes],
    ) -> Sample:
        sample: dict[str, object] = {}
        for column, key in self.columns.items():
            try:
                sample[column] = _value(record, key)
            except (KeyError, IndexError, TypeError):
                keys = record if isinstance(record, dict) else []
                raise UserError(
                    f"{archive.path}, record {number}: no {key!r} in {str(record)[:60]}"
                    + did_you_mean(str(key), keys)
                ) from None
        for column, template in self.files.items():
            try:
                name = template.format_map(sample)
            except (KeyError, ValueError, IndexError, AttributeError) as error:
                raise UserError(
                    f"{self.location}: file {template!r} needs a column {error}"
                    + did_you_mean(str(error).strip("'"), sample)
                ) from None
            sample[column] = read(name)
        return sample


def _value(record: Json, key: str | int) -> object:
    """Returns the value of a key; `review.text` leads into the value of `review`."""
    if not isinstance(record, dict) or not isinstance(key, str) or key in record or "." not in key:
        return record[key]
    first, _, rest = key.partition(".")
    return _value(record[first], rest)
