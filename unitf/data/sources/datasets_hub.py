"""Hub and HubStream: data sets of the hub, or in files, read with the `datasets` library."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from unitf.batch import Sample
from unitf.data.encoder import FileFinder
from unitf.data.sources.beside import FilesBeside
from unitf.data.sources.dataset_rows import (
    DatasetRows,
    choose_columns,
    reading,
    to_sample,
    undecoded,
)
from unitf.data.sources.file_source import FileSource, find
from unitf.data.sources.table_stream import stream_table
from unitf.data.split import Split, check_names
from unitf.data.stream import StreamSource
from unitf.errors import UserError, did_you_mean
from unitf.spelling import expanded

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset
else:  # `datasets` is slow to import
    Dataset = IterableDataset = object

_USUAL = {"train": "train", "validation": "validation", "test": "test"}


class Hub(FileSource):
    """A data set of the hub, or in a folder: saved by `datasets`, or with files of data.

    Args:
        name: the name on the hub, or the path of the folder.
        config: the name of the configuration, if the data set has several.
        splits: our splits and their names in the data set, as `{validation: dev}` or
            `{train: train[:90%]}`; by default those of train, validation and test that it has.
        columns: the columns of a sample and their names in the data set; by default all.
        split, limit: as for every source of files.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        splits: dict[str, str] | None = None,
        columns: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        parts = split.parts if split else {}
        usual = {
            ours: name for ours, name in _USUAL.items() if ours == "train" or ours not in parts
        }
        self.name: str = name  # before super(), whose error messages have it
        super().__init__(splits or usual, split, limit)
        self.config: str | None = config
        self.has_split_names: bool = splits is not None
        self.columns: dict[str, str] | None = columns
        self._opened: tuple[Path, Mapping[str, Dataset]] | None = None

    @property
    def location(self) -> str:
        """The name of the data set, for messages."""
        return f"Hub {self.name}"

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if not self.has_split_names and split in self.path and split not in self._open(root):
            return []
        return super().read(split, root)

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        opened = self._open(root)
        name, bracket, _ = path.partition("[")
        if name not in opened:
            raise UserError(f"{self.location}: no split {name!r}" + did_you_mean(name, opened))
        dataset = opened[name]
        if bracket:
            import datasets

            with reading(self.location):
                instruction = datasets.ReadInstruction.from_spec(path)
                (part,) = instruction.to_absolute({name: len(dataset)})
            last = len(dataset) if part.to is None else part.to
            dataset = dataset.select(range(part.from_ or 0, last))
        return DatasetRows(dataset, self.columns, f"{self.location}, split {path}")

    def _open(self, root: Path) -> Mapping[str, Dataset]:
        if self._opened is None or self._opened[0] != root:
            self._opened = (root, self._load_all(root))
        return self._opened[1]

    def _load_all(self, root: Path) -> Mapping[str, Dataset]:
        import datasets

        folder = root / expanded(self.name)
        with reading(self.location):
            if any((folder / f).exists() for f in ("dataset_dict.json", "dataset_info.json")):
                loaded = datasets.load_from_disk(str(folder))
            else:
                name = str(folder) if folder.exists() else self.name
                loaded = datasets.load_dataset(name, self.config)
        if isinstance(loaded, Mapping):
            splits = cast(Mapping[str, Dataset], loaded)
            return {str(split): part for split, part in splits.items()}
        return {"train": cast(Dataset, loaded)}


class HubStream(StreamSource):
    """A streamed data set, of the hub or in files: nothing is stored on disk.

    Args:
        name: the name on the hub; None if `files` names the files.
        files: for each split one file, or a pattern of several (`shards/train-*.tar`): WebDataset
            shards (.tar), or any format of a Table.
        config, splits, columns: as for Hub.
        limit: how many samples to read of a split that is not for training; by default all.
    """

    def __init__(
        self,
        name: str | None = None,
        files: dict[str, str] | None = None,
        config: str | None = None,
        splits: dict[str, str] | None = None,
        columns: dict[str, str] | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(limit)
        if (name is None) == (files is None):
            raise UserError(f"HubStream: give either name or files; found {name} and {files}")
        self.name: str | None = name
        self.files: dict[str, str] | None = files
        self.config: str | None = config
        self.split_names: dict[str, str] = splits or ({n: n for n in files} if files else _USUAL)
        self.columns: dict[str, str] | None = columns
        self.beside: FileFinder | None = None  # finds the files that a row names
        check_names(self.split_names, self.location)

    @property
    def location(self) -> str:
        """The name of the data set, for messages."""
        return f"HubStream {self.name or ', '.join((self.files or {}).values())}"

    def splits(self) -> list[str]:
        return list(self.split_names)

    def stream(self, split: str, root: Path, shard: int, num_shards: int) -> Iterator[Sample]:
        if split not in self.split_names:
            return
        if self.files is not None:
            yield from self._file_rows(self.files[split], root, shard, num_shards)
            return
        with reading(self.location):
            dataset = self._open(split, root)
            if dataset is None:
                return
            known = dataset.column_names or list(next(_rows(dataset), {}))
            columns = choose_columns(known, self.columns, self.location)
            dataset, decoders = undecoded(dataset)
            divides = dataset.num_shards % num_shards == 0
            part = dataset.shard(num_shards, shard) if divides else dataset
            rows = _rows(part)
            for row in rows if divides else islice(rows, shard, None, num_shards):
                yield to_sample(row, columns, decoders)

    def _open(self, split: str, root: Path) -> IterableDataset | None:
        import datasets

        assert self.name is not None
        names = datasets.get_dataset_split_names(self.name, self.config)
        hub_split = self.split_names[split]
        if hub_split not in names:
            if self.split_names is _USUAL:
                return None
            raise UserError(
                f"{self.location}: no split {hub_split!r}" + did_you_mean(hub_split, names)
            )
        return datasets.load_dataset(self.name, self.config, split=hub_split, streaming=True)

    def _file_rows(self, pattern: str, root: Path, shard: int, num_shards: int) -> Iterator[Sample]:
        """Yields the rows of whole files, if these can be divided evenly, or else of all files."""
        path = Path(expanded(pattern))
        base = Path(path.anchor) if path.is_absolute() else root
        paths = sorted(base.glob(str(path.relative_to(path.anchor)))) or [find(pattern, root)]
        self.beside = FilesBeside(paths[0], root)
        each, rest = divmod(len(paths), num_shards)
        if rest:
            rows = self._rows_of(paths)
            yield from islice(rows, shard, None, num_shards)
        else:
            yield from self._rows_of(paths[shard * each : (shard + 1) * each])

    def _rows_of(self, paths: Sequence[Path]) -> Iterator[Sample]:
        for path in paths:
            yield from stream_table(path, self.columns)


def _rows(dataset: IterableDataset) -> Iterator[dict[str, object]]:
    """Yields all rows of a streamed data set; its own iterator gives a data worker only some."""
    for batch in dataset.iter(64):
        names = list(batch)
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(names, values, strict=True))
