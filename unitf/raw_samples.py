"""Raw samples: what a person gives to `Model.predict`, as a list of dictionaries of columns."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from unitf.batch import Sample
from unitf.component import NamedParts
from unitf.data.joined_columns import JoinedColumns
from unitf.errors import UserError
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer

GivenSamples: TypeAlias = object
"""A sample, a list of samples or of values of the only column, or a table with a row for each."""

_ONE_VALUE = (str, bytes, bytearray, os.PathLike)


def input_columns(tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task]) -> list[str]:
    """Returns the columns that the tasks of a model read as inputs."""
    join = JoinedColumns(tokenizers, tasks)
    named = dict.fromkeys(column for task in tasks.values() for column in task.inputs)
    return list(dict.fromkeys(column for name in named for column in join.columns(name)))


def raw_samples(given: GivenSamples, columns: Sequence[str]) -> list[Sample]:
    """Returns what a person gives as samples, in its order.

    Args:
        given: one sample (a dictionary of columns), a list of samples, a table (of pandas, polars
            or pyarrow), or, if there is one input, a value or a list of values: texts, paths, …
        columns: the columns that the model reads.

    Raises:
        UserError: it is nothing of this kind; the message has the number of the sample.
    """
    if isinstance(given, Mapping):
        return [cast(Sample, given)]
    if (rows := _rows(given)) is not None:
        return rows
    if isinstance(given, _ONE_VALUE) or not hasattr(given, "__iter__"):
        return [_sample("sample 0", given, columns)]
    if hasattr(given, "shape") and not hasattr(given, "to_list"):  # an array, not a column
        raise UserError(
            f"samples: found {type(given).__name__} of shape {tuple(getattr(given, 'shape'))}, "  # noqa: B009
            "expected a list of samples"
        )
    values = cast(Iterable[object], given)
    return [_sample(f"sample {number}", value, columns) for number, value in enumerate(values)]


def _sample(name: str, value: object, columns: Sequence[str]) -> Sample:
    """Returns an element of a list as a sample; of a model with one input it may be the value."""
    if isinstance(value, Mapping) and not _is_file(value, columns):
        return cast(Sample, value)
    if len(columns) != 1:
        raise UserError(
            f"{name}: found {type(value).__name__}, expected a dictionary with a column of "
            f"{', '.join(columns)}"
        )
    return {columns[0]: value}


def _is_file(value: Mapping[object, object], columns: Sequence[str]) -> bool:
    """Returns whether a dictionary is a file as the library `datasets` has it, not a sample."""
    return set(value) == {"bytes", "path"} and not set(value) & set(columns)


def _rows(given: object) -> list[Sample] | None:
    """Returns the rows of a table, with None for empty cells; None: it is no table."""
    table = cast(Any, given)
    if hasattr(given, "to_pylist"):  # of pyarrow
        return table.to_pylist()
    if hasattr(given, "to_dicts"):  # of polars
        return table.to_dicts()
    if hasattr(given, "to_dict") and hasattr(given, "columns"):  # of pandas
        filled = table.astype(object).where(table.notna(), None)
        return filled.rename(columns=str).to_dict("records")
    return None
