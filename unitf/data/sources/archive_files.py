"""The files of a .zip or a .tar(.gz, .bz2, .xz), by plain names and without links."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unitf.data.sources.checked_tar import CheckedMember
from unitf.data.sources.file_source import DAMAGE
from unitf.data.sources.listing import is_left_out, link_target, linked_names, member_name
from unitf.errors import UserError
from unitf.limits import check_unpacked

Wanted = Callable[[str], bool]
"""Says for the plain name of a file whether its content is wanted."""


def archive_files(
    path: Path, wanted: Wanted, hidden: bool = False
) -> Iterator[tuple[str, bytes | None]]:
    """Yields the plain name of each file in an archive; of a wanted one with its content.

    A name that stands twice is the last file of that name, as when the archive is unpacked. Hard
    and symbolic links, also those to folders, have the content of what they lead to.

    Args:
        path: the archive.
        wanted: says which contents are read.
        hidden: whether hidden files and those of a system are yielded too.

    Raises:
        UserError: it is no archive, is damaged, or has a password.
    """
    try:
        read = _read_zip if zipfile.is_zipfile(path) else _read_tar
        contents, sources = read(path, wanted)
    except DAMAGE as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no folder, zip or tar, or is damaged: {error}") from error
    for name, source in sources.items():
        if hidden or not any(map(is_left_out, name.split("/"))):
            yield name, contents[source] if wanted(name) else None


_Read = tuple[dict[str, bytes], dict[str, str]]  # contents by name, and the source of each name


def _read_zip(path: Path, wanted: Wanted) -> _Read:
    with zipfile.ZipFile(path) as archive:
        entries: dict[str, zipfile.ZipInfo] = {}
        links: dict[str, str] = {}
        for entry in archive.infolist():
            name = member_name(entry.filename)
            if not name or entry.is_dir():
                continue
            if stat.S_ISLNK(entry.external_attr >> 16):
                links[name] = link_target(name, archive.read(entry).decode(errors="replace"))
            else:
                entries[name] = entry
        sources = linked_names(list(entries), links)
        contents: dict[str, bytes] = {}
        total = 0
        for source in dict.fromkeys(s for name, s in sources.items() if wanted(name)):
            total += entries[source].file_size  # no more than these bytes are read
            check_unpacked(total, path.stat().st_size, path)
            if entries[source].flag_bits & 1:
                raise UserError(f"{path}: {entries[source].filename} has a password")
            contents[source] = archive.read(entries[source])
    return contents, sources


def _read_tar(path: Path, wanted: Wanted) -> _Read:
    """Reads a tar as a stream, because a compressed one cannot seek; twice if a link needs it."""
    contents: dict[str, bytes] = {}
    links: dict[str, str] = {}
    names = _stream_tar(path, wanted, contents, links)
    sources = linked_names(names, links)
    missing = {source for name, source in sources.items() if wanted(name)} - contents.keys()
    if missing:
        _stream_tar(path, missing.__contains__, contents, {})
    return contents, sources


def _opened(path: Path) -> Any:
    """Opens a file, decompressed; `tarfile` would decompress a few bytes to gigabytes at once."""
    with path.open("rb") as file:
        begin = file.read(6)
    for mark, opener in _PACKED.items():
        if begin.startswith(mark):
            return opener(path)
    return path.open("rb")


_PACKED: dict[bytes, Callable[[Path], object]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open,
}  # fmt: skip


def _stream_tar(
    path: Path, wanted: Wanted, contents: dict[str, bytes], links: dict[str, str]
) -> list[str]:
    """Puts the wanted contents and all links where they are collected; returns the files' names."""
    names: dict[str, None] = {}
    with (
        _opened(path) as file,
        tarfile.open(str(path), "r|", file, tarinfo=CheckedMember) as archive,
    ):
        total, packed = 0, path.stat().st_size
        for member in archive:
            total += member.size
            check_unpacked(total, packed, path)
            name = member_name(member.name)
            if member.islnk():
                links[name] = member_name(member.linkname)
            elif member.issym():
                links[name] = link_target(name, member.linkname)
            elif member.isfile() and name:
                names[name] = None
                if wanted(name) and (content := archive.extractfile(member)) is not None:
                    contents[name] = content.read()
    return list(names)
