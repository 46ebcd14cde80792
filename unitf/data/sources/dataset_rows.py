"""DatasetRows: the rows of a `datasets.Dataset` as samples."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from unitf.batch import Sample
from unitf.data.sources.indexed import IndexedSamples
from unitf.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset
else:  # `datasets` is slow to import
    Dataset = IterableDataset = object

Decoder: TypeAlias = Callable[[Any], object]
"""Turns a value of a row into the value of a sample."""
AnyDataset = TypeVar("AnyDataset", Dataset, IterableDataset)


@contextmanager
def reading(location: str) -> Iterator[None]:
    """Turns errors of the `datasets` library into one line, and hides its progress bars.

    Raises:
        UserError: the library raised an error; the message names `location`.
    """
    from datasets.exceptions import DatasetsError
    from datasets.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    errors = (DatasetsError, OSError, ValueError, EOFError, zlib.error)
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    except UserError:
        raise
    except errors as error:
        reason = " ".join(str(error.__cause__ or error).split())
        if "corresponds to no data" in reason:
            reason = "it holds no samples"
        raise UserError(f"{location}: {reason or type(error).__name__}") from error
    finally:
        if shown:
            enable_progress_bars()


class DatasetRows(IndexedSamples):
    """The rows of a `datasets.Dataset` as samples: media are files, classes are names.

    Args:
        dataset: the data set.
        columns: the columns of a sample and their names in the data set; None: all.
        location: the data set, for error messages.
    """

    def __init__(self, dataset: Dataset, columns: dict[str, str] | None, location: str) -> None:
        self.columns: dict[str, str] = choose_columns(dataset.column_names, columns, location)
        plain, decoders = undecoded(dataset)
        self.dataset: Dataset = plain
        self.decoders: dict[str, Decoder] = decoders

    def __len__(self) -> int:
        return len(self.dataset)

    def sample_at(self, index: int) -> Sample:
        return to_sample(self.dataset[index], self.columns, self.decoders)


def choose_columns(
    known: Sequence[str], wanted: Mapping[str, str] | None, location: str
) -> dict[str, str]:
    """Returns the columns of a sample and their names in the table; by default all.

    A dot leads into a nested column: `review.text` needs the column `review`.

    Raises:
        UserError: the table lacks one of the wanted columns.
    """
    for name in (wanted or {}).values():
        if name not in known and ("." not in name or name.partition(".")[0] not in known):
            raise UserError(f"{location}: no column {name!r}" + did_you_mean(name, known))
    return dict(wanted) if wanted else {name: name for name in known}


def undecoded(dataset: AnyDataset) -> tuple[AnyDataset, dict[str, Decoder]]:
    """Returns the data set with its media as files, and the decoders of some columns."""
    import datasets

    decoders: dict[str, Decoder] = {}
    for name, feature in (dataset.features or {}).items():
        if isinstance(feature, datasets.Image | datasets.Audio | datasets.Video):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
            decoders[name] = _file
        elif isinstance(feature, datasets.ClassLabel):
            decoders[name] = partial(_name, feature.names)
        elif isinstance(item_feature := getattr(feature, "feature", None), datasets.ClassLabel):
            decoders[name] = partial(_names, item_feature.names)
    return dataset, decoders


def to_sample(
    row: Mapping[str, object], columns: dict[str, str], decoders: dict[str, Decoder]
) -> Sample:
    """Returns a row as a sample: with the names and the decoded values of its columns."""
    return {
        column: decoders[name](row[name])
        if name in decoders and row[name] is not None
        else nested(row, name)
        for column, name in columns.items()
    }


def nested(row: Mapping[str, object], name: str) -> object:
    """Returns the value of a column; `review.text` is the value `text` of the column `review`."""
    if name in row or "." not in name:
        return row.get(name)
    value: object = row
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _name(names: Sequence[str], number: int) -> str | None:
    """Returns the name of a class by its number, or None for -1: there is no label."""
    return names[number] if number >= 0 else None


def _names(names: Sequence[str], numbers: Sequence[int]) -> list[str]:
    return [names[number] for number in numbers]


def _file(value: dict[str, str | bytes | None]) -> str | bytes | None:
    return value["bytes"] if value["bytes"] is not None else value["path"]
