"""Tables: CSV, TSV, JSON lines, Parquet, Arrow and WebDataset files, read by `datasets`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.near import near
from unitf.data.reading import FileSource, find
from unitf.data.split import Split
from unitf.errors import UserError

# suffix → the name that `datasets` has for the format, and how it is to read it
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    # "NA", "null" and "None" are words of a text, not missing values
    ".csv": ("csv", {"keep_default_na": False}),
    ".tsv": ("csv", {"keep_default_na": False, "sep": "\t"}),
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".parquet": ("parquet", {}),
    ".arrow": ("arrow", {}),
    ".tar": ("webdataset", {}),
}


class Table(FileSource):
    """A sample a row of a .csv, .tsv, .jsonl, .parquet or .arrow file, or of WebDataset's .tar.

    Args:
        columns: the columns of a sample and what they are called in the file, as
            `{text: sentence, label: category}`; by default all, as they are called.
        path, split, limit: as for every source of files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        columns: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, split, limit)
        self.columns = columns

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        file = find(path, root)
        return Rows(load_table(file), self.columns, str(file))


def format_of(path: Path) -> tuple[str, dict[str, Any]]:
    """What the `datasets` library calls the format of a file, and how it is to read it."""
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    suffix = suffixes[-2] if suffixes[-1] == ".gz" and len(suffixes) > 1 else suffixes[-1]
    if suffix not in _FORMATS:
        raise UserError(f"{path}: not a table" + near(suffix, _FORMATS, "known endings:"))
    return _FORMATS[suffix]


def load_table(path: Path) -> Any:
    """A table as a `datasets.Dataset`."""
    import datasets

    kind, arguments = format_of(path)
    with reading(str(path)):
        return datasets.load_dataset(kind, data_files=[str(path)], split="train", **arguments)


def read_table(path: str | Path) -> Sequence[Sample]:
    """The rows of a table."""
    return Rows(load_table(find(str(path), Path())), None, str(path))


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turns what the `datasets` library raises into one line, without its progress bars."""
    from datasets.exceptions import DatasetsError
    from datasets.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    errors = (DatasetsError, OSError, ValueError)
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
        raise UserError(f"{place}: {reason or type(error).__name__}") from error
    finally:
        if shown:
            enable_progress_bars()


class Rows(Sequence):
    """The rows of a `datasets.Dataset` as samples: files undecoded, classes by name."""

    def __init__(self, dataset: Any, columns: dict[str, str] | None, place: str) -> None:
        self.columns = choose_columns(dataset.column_names, columns, place)
        self.dataset, self.decoders = undecoded(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return to_sample(self.dataset[index], self.columns, self.decoders)


def choose_columns(
    known: Sequence[str], wanted: dict[str, str] | None, place: str
) -> dict[str, str]:
    """The columns of a sample and what they are called in the table."""
    for theirs in (wanted or {}).values():
        if theirs not in known:
            raise UserError(f"{place}: no column {theirs!r}" + near(theirs, known))
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
            decoders[name] = lambda number, names=feature.names: names[number]
    return dataset, decoders


def to_sample(row: Any, columns: dict[str, str], decoders: dict[str, Callable]) -> Sample:
    """A row with the sample's own names."""
    return {
        ours: decoders[theirs](row[theirs])
        if theirs in decoders and row[theirs] is not None
        else row[theirs]
        for ours, theirs in columns.items()
    }


def _file(value: dict[str, Any]) -> Any:
    return value["bytes"] if value["bytes"] is not None else value["path"]
