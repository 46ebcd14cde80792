"""Rows: what the `datasets` library read, as samples."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from unitf.batch import Sample
from unitf.errors import UserError, did_you_mean


@contextmanager
def reading(location: str) -> Iterator[None]:
    """Turns what the `datasets` library raises into one line, without its progress bars."""
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


class DatasetRows(Sequence):
    """The rows of a `datasets.Dataset` as samples: files undecoded, classes by name."""

    def __init__(self, dataset: Any, columns: dict[str, str] | None, location: str) -> None:
        self.columns = choose_columns(dataset.column_names, columns, location)
        self.dataset, self.decoders = undecoded(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return to_sample(self.dataset[index], self.columns, self.decoders)


def choose_columns(
    known: Sequence[str], wanted: dict[str, str] | None, location: str
) -> dict[str, str]:
    """The columns of a sample and what they are called in the table."""
    for theirs in (wanted or {}).values():
        if theirs not in known:
            raise UserError(f"{location}: no column {theirs!r}" + did_you_mean(theirs, known))
    return wanted or {name: name for name in known}


def undecoded(dataset: Any) -> tuple[Any, dict[str, Callable[[Any], Any]]]:
    """The data set with its media as files, and what remains to be done to some columns."""
    import datasets

    decoders: dict[str, Callable[[Any], Any]] = {}
    for name, feature in (dataset.features or {}).items():
        if isinstance(feature, datasets.Image | datasets.Audio | datasets.Video):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
            decoders[name] = _file
        elif isinstance(feature, datasets.ClassLabel):
            decoders[name] = partial(_name, feature.names)
        elif isinstance(of_each := getattr(feature, "feature", None), datasets.ClassLabel):
            decoders[name] = partial(_names, of_each.names)
    return dataset, decoders


def to_sample(row: Any, columns: dict[str, str], decoders: dict[str, Callable]) -> Sample:
    """A row with the sample's own names."""
    return {
        ours: decoders[theirs](row[theirs])
        if theirs in decoders and row[theirs] is not None
        else row[theirs]
        for ours, theirs in columns.items()
    }


def _name(names: Sequence[str], number: int) -> str | None:
    """A class by its number; -1: there is no label."""
    return names[number] if number >= 0 else None


def _names(names: Sequence[str], numbers: Sequence[int]) -> list[str]:
    return [names[number] for number in numbers]


def _file(value: dict[str, Any]) -> Any:
    return value["bytes"] if value["bytes"] is not None else value["path"]
