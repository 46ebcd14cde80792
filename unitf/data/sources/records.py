"""Records: the records of a JSON list, with files that lie beside it."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.sources.archive import ArchivePath
from unitf.data.sources.file_source import FileSource
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean


class Records(FileSource):
    """A sample a record of a JSON list; some columns may be files that a record names.

    A path may lead into a .zip (`photos.zip/train/labels.json`), which is read once, into memory;
    in a folder the column of a file holds its path.

    Args:
        columns: the columns of a sample and the key of each in a record, or the place (from 0)
            where a record is itself a list.
        files: columns that are files: their paths from the list's folder, with columns in braces,
            as `{image: "images/{number}.png"}`.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        columns: dict[str, str | int],
        files: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.columns = columns
        self.files = files or {}

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        archive = ArchivePath(path, root)
        try:
            records = self._records(archive)[: self.limit]
            read = lru_cache(None)(archive.beside)  # many records may name the same file
            return [self._sample(*one, archive, read) for one in enumerate(records)]
        finally:
            archive.close()

    def _records(self, archive: ArchivePath) -> list[Any]:
        data = archive.read()
        try:
            records = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{archive.path}: not JSON ({error})") from error
        if not isinstance(records, list):
            raise UserError(f"{archive.path}: expected a list, found {type(records).__name__}")
        return records

    def _sample(self, number: int, record: Any, archive: ArchivePath, read: Any) -> dict[str, Any]:
        sample = {}
        for column, key in self.columns.items():
            try:
                sample[column] = record[key]
            except (KeyError, IndexError, TypeError):
                there = record if isinstance(record, dict) else []
                raise UserError(
                    f"{archive.path}, record {number}: no {key!r} in {str(record)[:60]}"
                    + did_you_mean(str(key), there)
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
