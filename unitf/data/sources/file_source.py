"""FileSource: the base class of sources that read files, and functions that read files."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from unitf.batch import Sample
from unitf.data.source import Source
from unitf.data.split import Split, Subset, check_names, checked_split
from unitf.errors import UserError, did_you_mean
from unitf.limits import read_unpacked
from unitf.spelling import expanded

# raised for a damaged or locked archive (RuntimeError: a password, or an unknown method)
DAMAGE: tuple[type[Exception], ...] = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError,
)  # fmt: skip


def find(path: str, root: Path) -> Path:
    """Returns the path of an existing file or folder; `path` is relative to `root`.

    Raises:
        UserError: it does not exist.
    """
    missing = root / path
    if missing.exists():
        return missing
    parent = missing.parent
    while not parent.exists():
        missing, parent = parent, parent.parent
    if not parent.is_dir():
        return _fail(root / path, f"; {parent} is a file, expected a folder")
    if missing != root / path:
        return _fail(root / path, f"; there is no {missing.name} in {parent}")
    return _fail(
        missing, did_you_mean(missing.name, sorted(e.name for e in parent.iterdir()), "beside it:")
    )


def _fail(path: Path, why: str) -> Path:
    raise UserError(f"{path} is not there{why}")


def read_bytes(path: Path) -> bytes:
    """Returns the bytes of a file, decompressed if it is a .gz, .bz2, .xz or .zst.

    Raises:
        UserError: it is a folder, cannot be read, or is damaged.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected a file")
    try:
        return decompressed(path.read_bytes(), path)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read, or is damaged: {error}") from error


def decompressed(data: bytes, file: object = "a compressed file") -> bytes:
    """Returns the content of a .gz, .bz2, .xz or .zst; other bytes as they are.

    Raises:
        UserError: it is much larger than the compressed bytes (see `unitf.limits`).
    """
    for magic, opened in _COMPRESSIONS.items():
        if data.startswith(magic):
            with opened(io.BytesIO(data)) as stream:
                return read_unpacked(stream.read, len(data), file)
    return data


def _unzstd(stream: io.BytesIO) -> Any:
    import pyarrow

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd")


# the first bytes of a file → what opens it
_COMPRESSIONS: dict[bytes, Callable[[io.BytesIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _unzstd,
}


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Returns the text of a file (gzipped or not) with unchanged line ends and without a BOM.

    Raises:
        UserError: it cannot be read, or has another encoding.
    """
    return text_of(read_bytes(path), path, encoding)


def text_of(data: bytes, path: Path, encoding: str) -> str:
    """Returns the bytes of a file as text, with unchanged line ends and without a BOM.

    Raises:
        UserError: it has another encoding; the message names `path`.
    """
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not {encoding} ({error.reason})") from error
    except LookupError as error:
        raise UserError(f"{path}: {error}") from error


def lines_of(text: str) -> list[str]:
    """Returns the lines of a text. Unlike splitlines() it does not split at U+0085."""
    lines = text.removesuffix("\n").split("\n")
    return [] if lines == [""] else [line.removesuffix("\r") for line in lines]


FilePath: TypeAlias = Any
"""The file of a split; in some sources a dictionary with the file of each column."""


class FileSource(Source):
    """A source that reads one file (or folder, or archive), or one for each split.

    Args:
        path: the file of the training samples, or a dictionary of files by split.
        split: which parts of the training samples are taken for splits without a file.
        limit: how many samples of a file to read, from its beginning; by default all.
    """

    def __init__(
        self,
        path: str | Mapping[str, FilePath],
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        self.path: dict[str, FilePath] = {"train": path} if isinstance(path, str) else dict(path)
        self.limit: int | None = limit
        self._pool: tuple[Path, Sequence[Sample]] | None = None  # of train and its parts, read once
        self.split: Split = checked_split(split, self.location)
        if both := self.split.parts.keys() & self.path.keys() - {"train"}:
            raise UserError(
                f"{self.location}: {', '.join(both)} has a file and is a part of train's"
            )
        check_names(self.splits(), self.location)

    @abstractmethod
    def load(self, path: FilePath, root: Path) -> Sequence[Sample]:
        """Returns all samples of one file; at most `limit` where that saves time.

        Args:
            path: a value of `path`: the file of a split, or the file of each column.
            root: the folder to which relative paths refer.

        Raises:
            UserError: the file is missing or damaged, or has the wrong format.
        """

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
        """The class and the file of this source, for messages."""
        return f"{type(self).__name__} {self.path.get('train', '')}".strip()

    def _load(self, split: str, root: Path) -> Sequence[Sample]:
        samples = self.load(_expanded(self.path[split]), root)
        if len(samples) == 0:
            raise UserError(f"{self.location}: the file of split {split} holds no samples")
        if self.limit is not None and len(samples) > self.limit:
            return Subset(samples, range(self.limit))
        return samples


def _expanded(path: FilePath) -> FilePath:
    """Returns the file of a split with `~` and variables replaced, or those of its columns."""
    if isinstance(path, Mapping):
        return {column: _expanded(file) for column, file in path.items()}
    return expanded(path) if isinstance(path, str) else path
