"""Checksums: a file or folder that was damaged after it was written is refused.

A checkpoint file carries its SHA-256 as the comment of its zip archive, which other readers of such
files ignore. A model folder carries a file `SHA256SUMS`, which `sha256sum -c` can check as well.
"""

import hashlib
import logging
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import torch

from unitf.checkpoints.atomic import replacing
from unitf.errors import UserError

SUMS: str = "SHA256SUMS"
_log: logging.Logger = logging.getLogger(__name__)
_PREFIX = b"unitf-sha256:"
_COMMENT = len(_PREFIX) + 64  # bytes
_RECORD = 22  # bytes of a zip archive's last record, which begins with _MARK
_MARK = b"PK\5\6"


class _HashedFile:
    """A file to which `torch.save` writes, and the hash of what it wrote."""

    def __init__(self, file: BinaryIO) -> None:
        self.file: BinaryIO = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def save_checkpoint(checkpoint: object, path: Path) -> None:
    """Writes a checkpoint file with its checksum, completely or not at all.

    Raises:
        UserError: the disk is full.
    """
    with replacing(path) as part, part.open("w+b") as file:
        hashed = _HashedFile(file)
        torch.save(checkpoint, hashed)  # pyright: ignore[reportArgumentType]
        file.seek(-2, os.SEEK_END)  # the length of the comment, which is 0 in what was hashed
        comment = _PREFIX + hashed.digest.hexdigest().encode()
        file.write(len(comment).to_bytes(2, "little") + comment)


def check_file(file: Path) -> bool:
    """Checks a checkpoint file; returns whether it has a checksum.

    Raises:
        UserError: the file was damaged after it was written.
        OSError: the file cannot be read.
    """
    status = file.stat()
    equal = _has_right_sum(file, status.st_mtime_ns, status.st_size)
    if equal is False:
        raise UserError(f"checkpoint {file}: damaged, its checksum is not that of its bytes")
    return equal is not None


@lru_cache(maxsize=64)  # once a file
def warn_unchecked(path: Path) -> None:
    """Says in one line that a file or folder has no checksum."""
    _log.warning("%s: has no checksum, so damage to it cannot be noticed", path)


@lru_cache(maxsize=64)  # a run reads its checkpoint several times
def _has_right_sum(file: Path, changed: int, size: int) -> bool | None:
    """Returns whether the checksum of a file that changed at this time is right; None: no sum."""
    with file.open("rb") as opened:
        if size < _RECORD + _COMMENT:
            return None
        opened.seek(size - _RECORD - _COMMENT)
        tail = opened.read()
        comment = tail[_RECORD:]
        if not (tail.startswith(_MARK) or comment.startswith(_PREFIX)):
            return None
        opened.seek(0)
        digest = _digest(opened, size - _COMMENT - 2)
    digest.update(b"\0\0")
    length = tail[_RECORD - 2 : _RECORD] == _COMMENT.to_bytes(2, "little")
    return length and comment == _PREFIX + digest.hexdigest().encode()


def _digest(file: BinaryIO, size: int) -> "hashlib._Hash":
    """Returns the hash of the next `size` bytes of a file."""
    digest = hashlib.sha256()
    while size and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Writes the checksums of some files of a folder."""
    lines = [f"{_file_digest(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path, names: Iterable[str]) -> None:
    """Checks files of a folder by its checksums; says in one line if it has none.

    Raises:
        UserError: a file was damaged or changed after it was written.
        OSError: a file cannot be read.
    """
    file = folder / SUMS
    if not file.exists():
        warn_unchecked(folder)
        return
    lines = file.read_bytes().splitlines()
    for name in names:
        if f"{_file_digest(folder / name)}  {name}".encode() not in lines:
            raise UserError(
                f"{folder / name}: damaged or changed, its checksum is not the one in {SUMS} "
                f"(if you changed it yourself, delete {file})"
            )


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
