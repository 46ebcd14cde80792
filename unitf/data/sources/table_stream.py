"""The rows of a table one after the other, for a table that is larger than the memory."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from unitf.batch import Sample
from unitf.data.sources.cells import cell_rows
from unitf.data.sources.dataset_rows import choose_columns, reading, to_sample, undecoded
from unitf.data.sources.file_source import DAMAGE, read_bytes
from unitf.data.sources.json_rows import json_rows, record_lines
from unitf.data.sources.shards import Shard
from unitf.data.sources.table import format_of, suffix_of
from unitf.errors import UserError


def stream_table(path: Path, columns: Mapping[str, str] | None) -> Iterator[Sample]:
    """Yields the rows of a table, with the chosen columns.

    Args:
        path: the table.
        columns: the columns of a sample and their names in the table; None: all.

    Raises:
        UserError: the file is damaged, is no table, or lacks a column.
    """
    kind = format_of(path)
    if kind == "webdataset":
        shard = Shard(path)
        names = choose_columns(shard.names, columns, str(path))
        for index in range(len(shard)):
            yield to_sample(shard[index], names, {})
    elif kind in ("csv", "json"):
        try:
            with _opened(path) as file:
                yield from _chosen(_rows(path, kind, file), columns, str(path))
        except DAMAGE as error:
            raise UserError(f"{path} cannot be read, or is damaged: {error}") from error
    else:
        yield from _dataset_rows(path, kind, columns)


def _rows(path: Path, kind: str, file: io.BufferedIOBase) -> Iterator[Sample]:
    suffix = suffix_of(path)
    if kind == "csv":
        return cell_rows(file, str(path), "\t" if suffix == ".tsv" else None)
    if suffix == ".json":  # a list is one value
        return iter(json_rows(file.read(), path, None, in_file=False))
    return record_lines(file, str(path))


def _chosen(
    rows: Iterator[Sample], columns: Mapping[str, str] | None, location: str
) -> Iterator[Sample]:
    names: dict[str, str] = {}
    for number, row in enumerate(rows):
        if number == 0:  # a later row may lack some columns, and has them as None
            names = choose_columns(list(row), columns, location)
        yield to_sample(row, names, {})


def _dataset_rows(path: Path, kind: str, columns: Mapping[str, str] | None) -> Iterator[Sample]:
    import datasets

    with reading(str(path)):
        dataset = datasets.load_dataset(kind, data_files=[str(path)], split="train", streaming=True)
        names = choose_columns(list(dataset.column_names or ()), columns, str(path))
        dataset, decoders = undecoded(dataset)
        for row in dataset:
            yield to_sample(cast(Mapping[str, object], row), names, decoders)


def _opened(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        start = file.read(6)
    opened: dict[bytes, Callable[[Path], object]] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\0": lzma.open,
        b"\x28\xb5\x2f\xfd": _open_zstd,
    }
    for magic, open_compressed in opened.items():
        if start.startswith(magic):
            return cast(io.BufferedIOBase, open_compressed(path))
    return path.open("rb")


def _open_zstd(path: Path) -> io.BufferedIOBase:
    return io.BytesIO(read_bytes(path))
