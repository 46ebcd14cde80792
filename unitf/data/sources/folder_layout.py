"""Finds the layout of files in folders: a folder for each class, perhaps within those of splits."""

import mimetypes
import tarfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from unitf.data.sources.archive_files import Wanted, archive_files
from unitf.data.sources.listing import walk_folder
from unitf.data.split_words import by_split
from unitf.errors import UserError
from unitf.proposal import Proposal


class Layout(NamedTuple):
    """Class folders of files of one kind.

    Args:
        prefix: the folders above all others, as "pets/", or "".
        splits: the folder of each split; None: there are no folders of splits.
        labels: the names of the classes.
        count: the number of files.
        others: the number of files that are of another kind, or stand elsewhere.
        ending: the ending of the files in small letters, or several as `.{jpg,png}`.
        kind: the main type of the files ("image", "audio", …); "": none that is registered (RFC
            2046).
        nested: whether files lie in folders within those of the classes.
    """

    prefix: str
    splits: dict[str, str] | None
    labels: list[str]
    count: int
    others: int
    ending: str
    kind: str
    nested: bool

    @property
    def pattern(self) -> str:
        """The pattern of the files from the folder of the classes."""
        return "{label}/" + "**/" * self.nested + "*" + self.ending

    @property
    def reason(self) -> str:
        """What was found, in words."""
        what = f"{self.ending or self.kind} files"
        splits = f", in folders for {', '.join(self.splits)}" if self.splits else ""
        left = "1 other file is" if self.others == 1 else f"{self.others:,} other files are"
        others = f"; {left} left out" if self.others else ""
        return f"{len(self.labels)} folders of {what}, {self.count:,} in all{splits}{others}"


def propose_files(path: Path) -> Proposal | None:
    """Returns how Files reads class folders in a folder or an archive; None: there are none."""
    layout = class_folders(file_names(path))
    if layout is None:
        return None
    settings: dict[str, object] = {"path": path.name, "pattern": layout.pattern}
    if path.is_dir():
        settings["path"] = f"{path.name}/{layout.prefix}".rstrip("/")
        if layout.splits is not None:
            settings["path"] = {s: f"{settings['path']}/{f}" for s, f in layout.splits.items()}
    elif layout.splits is not None:
        settings["pattern"] = f"{layout.prefix}{{part}}/{layout.pattern}"
        settings["split"] = {"column": "part", "parts": dict(layout.splits)}
    else:
        settings["pattern"] = layout.prefix + layout.pattern
    settings["column"] = layout.kind or "file"
    if layout.kind == "text":
        settings["encoding"] = "utf-8"
    return Proposal(settings, 0.9, layout.reason)


def file_names(path: Path) -> list[str]:
    """Returns the relative names of the files in a folder or an archive; none of another file."""
    if path.is_dir():
        return [name for name, file in walk_folder(path) if file is not None]
    if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        return [name for name, _ in archive_files(path, lambda name: False)]
    return []


def stored_files(path: Path, wanted: Wanted = lambda name: True) -> dict[str, str | bytes]:
    """Returns the wanted files of a folder or an archive by their names: paths, or bytes.

    Raises:
        UserError: it is neither, or cannot be read.
    """
    if not path.is_dir():
        return {
            name: content for name, content in archive_files(path, wanted) if content is not None
        }
    try:
        return {name: file for name, file in walk_folder(path) if file is not None and wanted(name)}
    except OSError as error:
        raise UserError(f"{path}: {error}") from error


def kind_of_file(name: str) -> str:
    """Returns the main type of a file by its ending: "image", "audio", …; "" if none is known."""
    known = mimetypes.guess_type(name)[0] or ""
    main = known.partition("/")[0]
    return "" if main == "application" else main


def class_folders(names: Sequence[str]) -> Layout | None:
    """Returns the layout of files by their names; None: they are not in class folders."""
    if not names:
        return None
    kinds = Counter((kind_of_file(name), _other_ending(name)) for name in names)
    kind, ending = kinds.most_common(1)[0][0]
    files = [n for n in names if (kind_of_file(n), _other_ending(n)) == (kind, ending)]
    prefix = _common_folder(files)
    inside = [name[len(prefix) :] for name in files]
    splits = by_split(dict.fromkeys(name.partition("/")[0] for name in inside if "/" in name))
    if splits is not None:
        folders = tuple(f"{folder}/" for folder in splits.values())
        inside = [name.partition("/")[2] for name in inside if name.startswith(folders)]
    inside = [name for name in inside if "/" in name]
    labels = sorted({name.partition("/")[0] for name in inside})
    if len(labels) < 2 or len(inside) < 2 * len(labels) or len(inside) * 2 < len(names):
        return None
    endings = Counter(PurePosixPath(name).suffix.lower() for name in inside)
    ending = next(iter(endings)) if len(endings) == 1 else _several(endings)
    others = len(names) - len(inside)
    nested = any(name.count("/") > 1 for name in inside)
    return Layout(prefix, splits, labels, len(inside), others, ending, kind, nested)


def _several(endings: Counter[str]) -> str:
    """Returns the pattern of several endings, the usual one first: `.{jpg,png}`."""
    return f".{{{','.join(ending.removeprefix('.') for ending, _ in endings.most_common())}}}"


def _other_ending(name: str) -> str:
    """Returns the ending of a file whose type is not known."""
    return "" if kind_of_file(name) else PurePosixPath(name).suffix


def _common_folder(names: Sequence[str]) -> str:
    """Returns the folders that lie above all files, if each holds nothing but the next."""
    prefix = ""
    while True:
        tops = {name[len(prefix) :].partition("/")[0] for name in names}
        deep = all("/" in name[len(prefix) :].partition("/")[2] for name in names)
        if len(tops) != 1 or not deep:
            return prefix
        prefix += f"{tops.pop()}/"
