"""WebDataset shards: tar files in which the members of a sample follow one another."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from unitf.batch import Sample
from unitf.data.sources.checked_tar import CheckedMember
from unitf.data.sources.file_source import DAMAGE, decompressed, read_bytes
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.listing import is_left_out, member_name
from unitf.errors import UserError


class _Member(NamedTuple):
    """Where the content of a member lies in the tar."""

    name: str
    start: int
    size: int


class Shard(IndexedSamples):
    """The samples of a WebDataset shard; a member is read when its sample is asked for.

    A column is the ending of a member, in small letters; a sample may lack some. Texts, numbers,
    JSON and arrays are decoded, other members are the bytes of a file.

    Args:
        path: the tar, which may be compressed.

    Raises:
        UserError: it is damaged, or is no shard.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.data: bytes | None = None  # of a compressed tar, which cannot be read from its middle
        self.samples: list[tuple[str, dict[str, _Member]]] = []
        try:
            with path.open("rb") as file:
                plain = file.read(512)[257:262] == b"ustar"
            if not plain:
                self.data = read_bytes(path)
            file = path.open("rb") if self.data is None else io.BytesIO(self.data)
            with file, tarfile.open(str(path), "r:", file, tarinfo=CheckedMember) as archive:
                self._collect(archive)
        except DAMAGE as error:
            if isinstance(error, UserError):
                raise
            count = len(self.samples)
            raise UserError(f"{path}: damaged after sample {count:,}: {error}") from error
        names = {name: None for _, members in self.samples for name in members}
        self.names: list[str] = [*names, "__key__", "__url__"]

    def _collect(self, archive: tarfile.TarFile) -> None:
        for member in archive:
            name = member_name(member.name)
            if not member.isfile() or any(map(is_left_out, name.split("/"))):
                continue
            base, dot, ending = PurePosixPath(name).name.partition(".")
            key = str(PurePosixPath(name).parent / base)
            if not dot:
                continue
            if not self.samples or self.samples[-1][0] != key:
                self.samples.append((key, {}))
            members, column = self.samples[-1][1], ending.lower()
            if column in members and members[column].name != name:
                raise UserError(f"{self.path}: {members[column].name} and {name} are one column")
            members[column] = _Member(name, member.offset_data, member.size)

    def __len__(self) -> int:
        return len(self.samples)

    def sample_at(self, index: int) -> Sample:
        key, members = self.samples[index]
        sample = {column: self._value(column, member) for column, member in members.items()}
        return {**sample, "__key__": key, "__url__": str(self.path)}

    def name(self, index: int) -> str:
        """Returns the key of a sample."""
        return self.samples[index][0]

    def _value(self, column: str, member: _Member) -> object:
        if self.data is None:
            with self.path.open("rb") as file:
                file.seek(member.start)
                content = file.read(member.size)
        else:
            content = self.data[member.start : member.start + member.size]
        return _decoded(content, column, f"{self.path}: {member.name}")


def shard_samples(path: Path) -> Iterator[Sample]:
    """Yields the samples of a shard in their order."""
    shard = Shard(path)
    for index in range(len(shard)):
        yield shard[index]


def _whole_number(content: bytes) -> object:
    text = content.decode().strip()
    return int(text) if text.removeprefix("-").isdigit() else text


def _json(content: bytes) -> object:
    return json.loads(content)


def _array(content: bytes) -> object:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _arrays(content: bytes) -> object:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


_DECODERS: dict[str, Callable[[bytes], object]] = {
    **dict.fromkeys(("txt", "text", "transcript"), bytes.decode),
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id"), _whole_number),
    **dict.fromkeys(("json", "jsn"), _json),
    "npy": _array,
    "npz": _arrays,
}


def _decoded(content: bytes, column: str, location: str) -> object:
    """Returns the value of a member, by the last ending of its name."""
    ending = column.removesuffix(".gz").rpartition(".")[2]
    decode = _DECODERS.get(ending, bytes)
    try:
        return decode(decompressed(content, location) if column.endswith(".gz") else content)
    except (*DAMAGE, ValueError) as error:
        raise UserError(f"{location} cannot be read as {ending}: {error}") from error
