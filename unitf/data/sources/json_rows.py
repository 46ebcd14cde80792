"""Rows of JSON files: every value stays what it is in the file."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.indexed import IndexedSamples
from unitf.errors import UserError, did_you_mean

Json: TypeAlias = Any  # what json.loads returns


def json_rows(data: bytes, path: Path, part: str | None, in_file: bool) -> Sequence[Sample]:
    """Returns the rows of a JSON file: a list of records, columns by name, or a record a line.

    Args:
        data: the content of the file.
        path: its path.
        part: the key of the rows in the file, as `data` or `data.rows`; None: the whole file.
        in_file: whether `path` has just this content, so that lines can be read from it later.

    Raises:
        UserError: it is no JSON, or holds no rows.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    in_lines = path.name.lower().partition(".gz")[0].endswith((".jsonl", ".ndjson"))
    whole = None if in_lines else _loaded(data)
    if whole is None and part is None:
        return JsonLines(data, path, in_file)
    if whole is None:
        raise UserError(f"{path}: part {part!r}, but the file has a record in each line")
    records = _list(_part(whole, str(path), part), str(path))
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise UserError(f"{path}, record {number}: expected an object, found {kind}")
    return records


def json_records(data: bytes, location: str, part: str | None = None) -> list[Json]:
    """Returns the records of a JSON list, which may be a part of the file.

    Raises:
        UserError: it is no JSON, or no list.
    """
    try:
        value = _part(json.loads(data), location, part)
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{location}: not JSON ({error})") from error
    if isinstance(value, list):
        return value
    keys = [key for key in value if isinstance(value[key], list)] if isinstance(value, dict) else []
    hint = f"; `part` names its key, as {' or '.join(keys[:3])}" if keys else ""
    raise UserError(f"{location}: expected a list, found {type(value).__name__}{hint}")


def _loaded(data: bytes) -> Json:
    """Returns the value of a JSON text; None if it is not one value."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _part(value: Json, location: str, part: str | None) -> Json:
    """Returns a part of a JSON value by its keys, as `data.rows`; None: the whole value."""
    for key in part.split(".") if part else []:
        if not isinstance(value, dict) or key not in value:
            known = value if isinstance(value, dict) else ()
            raise UserError(f"{location}: part {part!r}: no key {key!r}" + did_you_mean(key, known))
        value = value[key]
    return value


def _list(value: Json, location: str) -> list[Json]:
    """Returns the records of a list, or of columns by name."""
    if isinstance(value, dict):
        value = _rows_of_columns(value, location)
    if not isinstance(value, list):
        raise UserError(f"{location}: expected a list, found {type(value).__name__}")
    return value


def _rows_of_columns(columns: dict[str, Json], location: str) -> list[Json]:
    """Returns the rows of columns by name; pandas writes each as a list, or by row number."""
    lists = [list(c.values()) if isinstance(c, dict) else c for c in columns.values()]
    if not lists or not all(isinstance(c, list) and len(c) == len(lists[0]) for c in lists):
        parts = [key for key, value in columns.items() if isinstance(value, list)]
        if not parts:
            return [columns]  # one record
        raise UserError(
            f"{location}: expected a list of records, found an object; "
            f"`part` names the key of the list, as {' or '.join(parts[:3])}"
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


class JsonLines(IndexedSamples):
    """The records of a file with a JSON object in each line; a line is read when it is asked for.

    Args:
        data: the content of the file.
        path: its path.
        in_file: whether lines are read from the file; if not, the content is kept.
    """

    def __init__(self, data: bytes, path: Path, in_file: bool) -> None:
        self.path: Path = path
        self.data: bytes | None = None if in_file else data
        offset = path.stat().st_size - len(data) if in_file else 0  # of a byte order mark
        starts: list[int] = []
        numbers: list[int] = []
        names: dict[str, None] = {}
        for number, line in enumerate(io.BytesIO(data), start=1):
            if line.strip():
                names.update(dict.fromkeys(_record(line, str(path), number)))
                starts.append(offset)
                numbers.append(number)
            offset += len(line)
        self.starts: np.ndarray = np.array([*starts, offset], np.int64)
        self.lines: np.ndarray = np.array(numbers, np.int64)  # empty ones are no records
        self.names: list[str] = list(names)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def sample_at(self, index: int) -> Sample:
        start, end = (int(self.starts[n]) for n in (index, index + 1))
        if self.data is not None:
            return json.loads(self.data[start:end])
        with self.path.open("rb") as file:
            file.seek(start)
            return json.loads(file.read(end - start))

    def name(self, index: int) -> str:
        """Returns the file and the line of a record."""
        return f"{self.path}, line {self.lines[index]}"


def record_lines(lines: Iterable[bytes], location: str) -> Iterator[Sample]:
    """Yields the records of a stream of lines, each with a JSON object.

    Raises:
        UserError: a line is no JSON object.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _record(line, location, number)


def _record(line: bytes, location: str, number: int) -> Sample:
    try:
        record = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{location}, line {number}: not JSON ({error})") from error
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise UserError(f"{location}, line {number}: expected an object, found {kind}")
    return record
