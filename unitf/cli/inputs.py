"""Makes samples of the words of a command line: files, folders, texts or a table."""

import argparse
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.model import Model

_TABLES = {".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow"}
HELP: str = (
    "image=cat.png (a file), image=photos/ (each file of a folder), text='some words', "
    "text=@lines.txt (each line of a file), or a table (csv, tsv, jsonl, parquet) of columns; "
    "several columns make one sample, several values of a column several samples; "
    "a model with one column, of no text, needs no name for a file or folder"
)


def add_list(
    parser: argparse.ArgumentParser,
    option: str,
    help: str,
    metavar: str | None = None,
    type: type[str] | type[int] = str,
    default: Sequence[str] | None = (),
) -> None:
    """Adds an option that takes one or more values and may be given several times."""
    first = None if default is None else list(default)
    parser.add_argument(
        option, nargs="+", action="extend", default=first, metavar=metavar, type=type, help=help
    )


def columns_of(model: "Model") -> list[str]:
    """Returns the columns that a model's tasks read."""
    return list(dict.fromkeys(c for task in model.tasks.values() for c, _ in task.tokenized))


def texts_of(model: "Model") -> set[str]:
    """Returns the columns that are read as ids; their values are texts, not names of files."""
    return {
        column
        for task in model.tasks.values()
        for column, name in task.tokenized
        if model.tokenizers[name].vocabulary_size
    }


def read_inputs(
    words: list[str], columns: list[str], option: str = "--input", texts: Collection[str] = ()
) -> list[dict[str, object]]:
    """Makes samples of the words of an option.

    Args:
        words: COLUMN=VALUE, or the name of a table.
        columns: the columns that the model reads.
        option: the name of the option, for error messages.
        texts: the columns whose values are texts, not names of files.

    Raises:
        UserError: an unknown column, a missing file, or columns of different lengths.
    """
    values: dict[str, list[str]] = {}
    samples: list[dict[str, object]] = []
    for word in words:
        column, equals, value = word.partition("=")
        if equals and column in columns:
            listed = _values(f"{option} {word}", value, column in texts)
            values.setdefault(column, []).extend(listed)
        elif Path(word).suffix.lower() in _TABLES:
            samples += _table(Path(word), columns, option)
        # Path.exists raises where a name is too long
        elif len(columns) == 1 and columns[0] not in texts and os.path.exists(word):  # noqa: PTH110
            listed = _values(f"{option} {word}", word, is_text=False)
            values.setdefault(columns[0], []).extend(listed)
        else:
            raise UserError(
                f"{option} {word}: expected COLUMN=VALUE with a column of "
                f"{', '.join(columns)}, or a table ({', '.join(sorted(_TABLES))})"
            )
    lengths = {column: len(listed) for column, listed in values.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{length} of {column}" for column, length in lengths.items())
        raise UserError(f"{option}: columns of one sample go together, found {counts}")
    samples += [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    if not samples:
        raise UserError(f"{option}: found no sample, expected {columns[0]}=… for example")
    return samples


def describe(sample: Mapping[str, object]) -> dict[str, str | int | float]:
    """Describes a sample for a person: a value that is no text or number by its type."""
    return {
        column: value if isinstance(value, str | int | float) else type(value).__name__
        for column, value in sample.items()
    }


def _values(location: str, value: str, is_text: bool) -> list[str]:
    """Returns the values that one word gives for a column."""
    if value.startswith("@"):
        return _lines(location, Path(value[1:]))
    if is_text or not value:  # Path("") is the current folder
        return [value]
    path = Path(value)
    try:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            if not files:
                raise UserError(f"{location}: the folder is empty")
            return [str(file) for file in files]
    except OSError:  # a text too long for a file name
        pass
    return [value]


def _lines(location: str, path: Path) -> list[str]:
    from unitf.data.sources.file_source import lines_of

    try:
        return lines_of(path.read_bytes().decode())
    except OSError as error:
        raise UserError(f"{location}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{location}: not UTF-8 text") from error


def _table(path: Path, columns: list[str], option: str) -> list[dict[str, object]]:
    from unitf.data import read_table

    rows = [dict(row) for row in read_table(path)]
    if rows and not set(rows[0]) & set(columns):
        raise UserError(
            f"{option} {path}: has the columns {', '.join(map(str, rows[0]))}, "
            f"expected one of {', '.join(columns)}"
        )
    return [{k: v for k, v in row.items() if k in columns and v is not None} for row in rows]
