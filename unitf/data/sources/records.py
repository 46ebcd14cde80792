"""Records: the records of a JSON list, and the files that they name."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from unitf.batch import Sample
from unitf.data.sources.archive import ArchivePath
from unitf.data.sources.file_source import FileSource
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean


class Records(FileSource):
    """Makes one sample of each record of a JSON list; columns may be files that a record names.

    A path may lead into a .zip (`photos.zip/train/labels.json`). It is read once into memory, and
    the column of a file holds the file's bytes. In a folder the column holds the file's path.

    Args:
        columns: for each column of a sample its key in a record; its index (from 0) if a record is
            itself a list.
        files: columns that are files: their paths from the folder of the JSON file, with columns in
            braces, as `{image: "images/{number}.png"}`.
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
        self.columns: dict[str, str | int] = columns
        self.files: dict[str, str] = files or {}

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        archive = ArchivePath(path, root)
        try:
            records = self._records(archive)[: self.limit]
            read = lru_cache(None)(archive.beside)  # many records may name the same file
            return [
                self._sample(number, record, archive, read) for number, record in enumerate(records)
            ]
        finally:
            archive.close()

    def _records(self, archive: ArchivePath) -> list[object]:
        data = archive.read()
        try:
            records = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{archive.path}: not JSON ({error})") from error
        if not isinstance(records, list):
            raise UserError(f"{archive.path}: expected a list, found {type(records).__name__}")
        return records

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
                sample[column] = cast(dict[str | int, object], record)[key]
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
