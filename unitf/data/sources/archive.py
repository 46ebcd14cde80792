"""Paths that may lead into a .zip: `photos.zip/train/labels.json`."""

import zipfile
from pathlib import Path, PurePosixPath

from unitf.data.sources.file_source import DAMAGE, decompressed, find, read_bytes
from unitf.data.sources.listing import member_name
from unitf.errors import UserError, did_you_mean
from unitf.limits import check_unpacked


class ArchivePath:
    """A file in a folder or in a .zip, and the files beside it.

    Args:
        path: the path from `root`; it may lead into a .zip.
        root: a folder.

    Raises:
        UserError: there is no such file.
    """

    def __init__(self, path: str, root: Path) -> None:
        self.path: Path = root / path
        self.archive: zipfile.ZipFile | None = None
        self.member: PurePosixPath = PurePosixPath()  # the path inside the .zip
        self.entries: dict[str, zipfile.ZipInfo] = {}  # of the .zip by plain names
        for parent in self.path.parents:
            if parent.suffix.lower() == ".zip" and parent.is_file():
                self.archive = _open(parent)
                self.entries = {member_name(e.filename): e for e in self.archive.infolist()}
                self.member = PurePosixPath(self.path.relative_to(parent).as_posix())
                return
        find(path, root)  # its error lists the existing files

    def read(self) -> bytes:
        """Returns the bytes of the file.

        Raises:
            UserError: it is missing or damaged.
        """
        if self.archive is None:
            return read_bytes(self.path)
        return decompressed(self._member(self.member))

    def beside(self, name: str) -> str | bytes:
        """Returns a file in the folder of this one: its path, or its bytes if it is in a .zip.

        Args:
            name: its path from the folder of this file.

        Raises:
            UserError: it is missing, or outside the folder.
        """
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise UserError(f"{self.path}: {name!r} leads out of its folder")
        if self.archive is not None:
            return self._member(self.member.parent / name)
        return str(find(name, self.path.parent))

    def close(self) -> None:
        """Closes the .zip."""
        if self.archive is not None:
            self.archive.close()

    def _member(self, member: PurePosixPath) -> bytes:
        assert self.archive is not None
        try:
            entry = self.entries[member_name(str(member))]
            check_unpacked(entry.file_size, entry.compress_size, f"{self.path}, {member}")
            return self.archive.read(entry)
        except KeyError:
            names = self.archive.namelist()
            raise UserError(
                f"{self.archive.filename}: there is no {member} in it"
                + did_you_mean(str(member), names)
            ) from None
        except DAMAGE as error:
            raise UserError(
                f"{self.archive.filename}, {member}: cannot be read, or is damaged: {error}"
            ) from error


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as error:
        raise UserError(f"{path} is no zip, or is damaged: {error}") from error
