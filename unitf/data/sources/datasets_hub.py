"""Data sets of the hub, and what the `datasets` library saved or can stream."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.sources.dataset_rows import (
    DatasetRows,
    choose_columns,
    reading,
    to_sample,
    undecoded,
)
from unitf.data.sources.file_source import FileSource, find
from unitf.data.sources.table import format_of
from unitf.data.split import Split, check_names
from unitf.data.stream import StreamSource
from unitf.errors import UserError, did_you_mean

_USUAL = {"train": "train", "validation": "validation", "test": "test"}


class Hub(FileSource):
    """A data set by its name on the hub, or a folder: one that was saved, or one of data files.

    Args:
        name: on the hub, or the folder.
        config: which of several data sets that have the same name.
        splits: what our splits are called there, as `{validation: dev}` or `{train: train[:90%]}`;
            by default those of train, validation and test that it has.
        columns: the columns of a sample and what they are called there; by default all.
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
            ours: theirs for ours, theirs in _USUAL.items() if ours == "train" or ours not in parts
        }
        self.name = name  # which messages say
        super().__init__(splits or usual, split, limit)
        self.config = config
        self.given = splits is not None
        self.columns = columns
        self._opened: tuple[Path, Mapping[str, Any]] | None = None

    @property
    def location(self) -> str:
        return f"Hub {self.name}"

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if not self.given and split in self.path and split not in self._open(root):
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

    def _open(self, root: Path) -> Mapping[str, Any]:
        if self._opened is None or self._opened[0] != root:
            self._opened = (root, self._load_all(root))
        return self._opened[1]

    def _load_all(self, root: Path) -> Mapping[str, Any]:
        import datasets

        folder = root / self.name
        with reading(self.location):
            if any((folder / f).exists() for f in ("dataset_dict.json", "dataset_info.json")):
                found = datasets.load_from_disk(str(folder))
            else:
                name = str(folder) if folder.exists() else self.name
                found = datasets.load_dataset(name, self.config)
        if isinstance(found, Mapping):
            return {str(split): part for split, part in found.items()}
        return {"train": found}


class HubStream(StreamSource):
    """A data set of the hub, or files of any format, streamed: nothing is stored.

    Args:
        name: on the hub; leave it out where `files` says where the data are.
        files: for each split one file, or several by a pattern (`shards/train-*.tar`): WebDataset
            shards (.tar), or any format of a Table.
        config, splits, columns: as for Hub.
        limit: how many samples of a split to read, where it is not for training.
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
        self.name = name
        self.files = files
        self.config = config
        self.split_names = splits or (dict.fromkeys(files) if files else _USUAL)
        self.columns = columns
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
        with reading(self.location):
            dataset = self._open(split, root)
            if dataset is None:
                return
            known = dataset.column_names or list(next(_rows(dataset), {}))
            columns = choose_columns(known, self.columns, self.location)
            dataset, decoders = undecoded(dataset)
            whole = dataset.num_shards % num_shards == 0
            part = dataset.shard(num_shards, shard) if whole else dataset
            rows = _rows(part)
            for row in rows if whole else islice(rows, shard, None, num_shards):
                yield to_sample(row, columns, decoders)

    def _open(self, split: str, root: Path) -> Any:
        import datasets

        if self.files is None:
            assert self.name is not None
            names = datasets.get_dataset_split_names(self.name, self.config)
            theirs = self.split_names[split]
            if theirs not in names:
                if self.split_names is _USUAL:
                    return None
                raise UserError(
                    f"{self.location}: no split {theirs!r}" + did_you_mean(str(theirs), names)
                )
            return datasets.load_dataset(self.name, self.config, split=theirs, streaming=True)
        pattern = self.files[split]
        names = Path(pattern)
        base = Path(names.anchor) if names.is_absolute() else root
        paths = sorted(base.glob(str(names.relative_to(names.anchor)))) or [find(pattern, root)]
        kind, arguments = format_of(paths[0])
        return datasets.load_dataset(
            kind, data_files=[str(p) for p in paths], split="train", streaming=True, **arguments
        )


def _rows(dataset: Any) -> Iterator[dict[str, Any]]:
    """All rows of a streamed data set; its own iterator gives a data worker only some of them."""
    for batch in dataset.iter(64):
        names = list(batch)
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(names, values, strict=True))
