"""The names of the files in a folder or an archive, whatever system wrote it."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# what a system, a NAS or an unpacker leaves beside a person's files; hidden names begin with "."
_SYSTEM = {
    "__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information",
    "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "__pycache__",
}  # fmt: skip


def is_left_out(name: str) -> bool:
    """Returns whether the name of a file or folder is hidden, or one that a system made."""
    return name.startswith(".") or name.lower() in _SYSTEM


def member_name(name: str) -> str:
    """Returns the name of a member of an archive as a plain relative path.

    Windows writes backslashes, and tar writes "./" before names. A name that leads out of the
    archive ("../x") becomes "".
    """
    parts: list[str] = []
    for part in name.replace("\\", "/").split("/"):
        if part == ".." and not parts:
            return ""
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def walk_folder(folder: Path, hidden: bool = False) -> Iterator[tuple[str, str | None]]:
    """Yields the relative name and the path of each file, and of each folder with the path None.

    Links to folders are followed, unless they lead back to a folder that they lie in. A link to
    nothing is yielded like a file. The order is that of the names.

    Args:
        folder: the folder.
        hidden: whether hidden files and those of a system are yielded too.

    Raises:
        OSError: a folder cannot be listed.
    """
    yield from _walk(str(folder), "", (_identity(str(folder)),), hidden)


def _walk(
    folder: str, prefix: str, ancestors: tuple[tuple[int, int], ...], hidden: bool
) -> Iterator[tuple[str, str | None]]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if not hidden and is_left_out(entry.name):
            continue
        name = prefix + entry.name
        if not entry.is_dir():
            yield name, entry.path
        elif (identity := _identity(entry.path)) not in ancestors:
            yield name, None
            yield from _walk(entry.path, f"{name}/", (*ancestors, identity), hidden)


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino


def linked_names(names: list[str], links: dict[str, str]) -> dict[str, str]:
    """Returns the name under which the content of each file lies, for all names of the files.

    Links to folders within linked folders are not followed.

    Args:
        names: the names of the files with a content.
        links: the names of links, and the name of the file or folder to which each leads.
    """
    sources = {name: name for name in names}
    folders: dict[str, str] = {}
    for link, target in links.items():
        target = _resolved(target, links)
        if target in sources:
            sources.setdefault(link, target)
        elif target and not f"{link}/".startswith(f"{target}/"):  # else a loop
            folders[link] = target
    for link, target in folders.items():
        for name in [name for name in sources if name.startswith(f"{target}/")]:
            sources.setdefault(link + name[len(target) :], sources[name])
    return sources


def _resolved(name: str, links: dict[str, str]) -> str:
    """Returns the name without links on the way; "" if they lead in a circle."""
    for _ in range(40):  # as many as Linux follows
        prefixes = [name, *map(str, PurePosixPath(name).parents)]
        link = next((prefix for prefix in prefixes if prefix in links), None)
        if link is None:
            return name
        name = links[link] + name[len(link) :]
    return ""


def link_target(link: str, target: str) -> str:
    """Returns the name to which a symbolic link in an archive leads; "" if it leads out of it."""
    if target.startswith("/"):
        return ""
    return member_name(f"{PurePosixPath(link).parent}/{target}")
