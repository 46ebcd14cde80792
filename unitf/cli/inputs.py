"""Makes samples of the words of a command line: files, folders, texts or a table."""

import argparse
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.model import Model

HELP: str = (
    "image=cat.png (a file), image=photos/ (each file of a folder), text='some words', "
    "text=@file:lines.txt (each line of a file), or a table (csv, tsv, jsonl, parquet) of columns; "
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
    from unitf.data.joined_columns import JoinedColumns

    join = JoinedColumns(model.tokenizers, model.tasks)
    named = [column for task in model.tasks.values() for column, _ in task.tokenized]
    return list(dict.fromkeys(column for name in named for column in join.columns(name)))


def texts_of(model: "Model") -> set[str]:
    """Returns the columns of ids and of cells; their values are texts, not names of files."""
    return {
        text
        for task in model.tasks.values()
        for column, name in task.tokenized
        if (tokenizer := model.tokenizers[name]).vocabulary_size or tokenizer.joins_columns
        for text in (tokenizer.joined_columns or [column])
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
        elif _is_table(word):
            samples += _table(Path(word), columns, option, texts)
        # Path.exists raises where a name is too long
        elif len(columns) == 1 and columns[0] not in texts and os.path.exists(word):  # noqa: PTH110
            listed = _values(f"{option} {word}", word, is_text=False)
            values.setdefault(columns[0], []).extend(listed)
        else:
            raise UserError(
                f"{option} {word}: expected COLUMN=VALUE with a column of "
                f"{', '.join(columns)}, or a table (.csv, .tsv, .json, .jsonl, .parquet, .arrow)"
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
    if value.startswith("@file:"):
        return _lines(location, Path(value.removeprefix("@file:")))
    if value.startswith("@") and (not is_text or os.path.isfile(value[1:])):  # noqa: PTH113
        if is_text:
            sys.stderr.write(f"unitf: {location} is read as a file; @file:{value[1:]} says so\n")
        return _lines(location, Path(value[1:]))
    if is_text or not value:  # Path("") is the current folder
        return [value]
    try:
        if Path(value).is_dir():
            return _files(location, Path(value))
    except OSError:  # a text too long for a file name
        pass
    return [value]


def _files(location: str, folder: Path) -> list[str]:
    """Returns the files of a folder, or else those of its folders; hidden ones are left out."""
    from unitf.data.sources.listing import walk_folder

    try:
        found = [(name, path) for name, path in walk_folder(folder) if path is not None]
    except OSError as error:
        raise UserError(f"{location}: {error}") from error
    files = [path for name, path in found if "/" not in name] or [path for _, path in found]
    if not files:
        raise UserError(f"{location}: the folder is empty")
    return files


def _lines(location: str, path: Path) -> list[str]:
    from unitf.data.sources.file_source import lines_of

    try:
        data = path.read_bytes()
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return lines_of(data.decode(encoding))
    except OSError as error:
        raise UserError(f"{location}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{location}: not UTF-8 text") from error


def _is_table(word: str) -> bool:
    from unitf.data.sources.table import is_table

    return is_table(Path(word)) and not word.lower().endswith(".tar")


def _table(
    path: Path, columns: list[str], option: str, texts: Collection[str]
) -> list[dict[str, object]]:
    """Returns the rows of a table; files that they name lie beside it."""
    from unitf.data.sources.table import read_table

    rows = read_table(path)
    known = [*rows.columns]
    if not set(known) & set(columns):
        raise UserError(
            f"{option} {path}: has the columns {', '.join(known)}, "
            f"expected one of {', '.join(columns)}"
        )
    samples: list[dict[str, object]] = []
    for index in range(len(rows)):
        row = {k: v for k, v in rows[index].items() if k in columns and v is not None}
        for column in row.keys() - set(texts):
            if isinstance(value := row[column], str):
                row[column] = rows.beside(index, value) or value
        samples.append(row)
    return samples
