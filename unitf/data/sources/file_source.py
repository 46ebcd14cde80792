"""What the sources that read files share: where a file is, and which split it serves."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.data.split import Split, Subset, check_names
from unitf.errors import UserError, did_you_mean

# what reading a damaged or locked archive raises; RuntimeError: a password, or an unknown method
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError,
)  # fmt: skip


def find(path: str, root: Path) -> Path:
    """The file or folder `path`, relative to `root`.

    Raises:
        UserError: it is not there.
    """
    found = root / path
    if found.exists():
        return found
    parent = found.parent
    while not parent.exists():
        found, parent = parent, parent.parent
    if not parent.is_dir():
        return _fail(root / path, f"; {parent} is a file, expected a folder")
    if found != root / path:
        return _fail(root / path, f"; there is no {found.name} in {parent}")
    return _fail(
        found, did_you_mean(found.name, sorted(e.name for e in parent.iterdir()), "beside it:")
    )


def _fail(path: Path, why: str) -> Path:
    raise UserError(f"{path} is not there{why}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, gzipped or not.

    Raises:
        UserError: it is a folder, may not be read, or is damaged.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected a file")
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read, or is damaged: {error}") from error


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, gzipped or not, with its line ends as they are, without a BOM."""
    data = read_bytes(path)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not {encoding} ({error.reason})") from error
    except LookupError as error:
        raise UserError(f"{path}: {error}") from error


def lines_of(text: str) -> list[str]:
    """The lines of a text, which may hold U+0085, U+2028 or a form feed, unlike splitlines()."""
    lines = text.removesuffix("\n").split("\n")
    return [] if lines == [""] else [line.removesuffix("\r") for line in lines]


class FileSource(Source):
    """A source that reads one file (or folder, or archive), or one for each split.

    Args:
        path: the file of which `split` takes parts, or a dictionary of files by split; a split
            that the dictionary lacks is taken from the train file as `split` says.
        split: what is taken from the training samples for the other splits.
        limit: how many samples of a file to read, from its beginning; all by default.
    """

    def __init__(
        self,
        path: str | Mapping[str, Any],
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        self.path: dict[str, Any] = {"train": path} if isinstance(path, str) else dict(path)
        self.split = split or Split()
        self.limit = limit
        self._pool: tuple[Path, Sequence[Sample]] | None = None  # train and its parts: read once
        if both := self.split.parts.keys() & self.path.keys() - {"train"}:
            raise UserError(
                f"{self.location}: {', '.join(both)} has a file and is a part of train's"
            )
        check_names(self.splits(), self.location)

    @abstractmethod
    def load(self, path: Any, root: Path) -> Sequence[Sample]:
        """All samples of one file; no more than `limit`, where that saves time."""

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        parts = self.split.parts
        thinned = bool(parts) or self.split.per_class is not None
        if split in self.path and not (split == "train" and thinned):
            return self._load(split, root)
        if "train" not in self.path or split not in ("train", *parts):
            return []
        if self._pool is None or self._pool[0] != root:
            self._pool = (root, self._load("train", root))
        samples = self._pool[1]
        return Subset(samples, self.split.choose(split, samples, self.location))

    def splits(self) -> list[str]:
        return list(dict.fromkeys([*self.path, *self.split.parts]))

    @property
    def location(self) -> str:
        """The source, for messages."""
        return f"{type(self).__name__} {self.path.get('train', '')}".strip()

    def _load(self, split: str, root: Path) -> Sequence[Sample]:
        samples = self.load(self.path[split], root)
        if len(samples) == 0:
            raise UserError(f"{self.location}: the file of split {split} holds no samples")
        if self.limit is not None and len(samples) > self.limit:
            return Subset(samples, range(self.limit))
        return samples
