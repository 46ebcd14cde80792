"""Finds the files that a column of a table names without their folder or their ending."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from unitf.batch import Sample

_FIRST = 50  # rows that are looked at
_MOST = 200_000  # files that are looked at


def names_near(folder: Path) -> list[str]:
    """Returns the files in a folder and in those directly within it, by their relative names."""
    found = (path for pattern in ("*", "*/*") for path in folder.glob(pattern))
    return [path.relative_to(folder).as_posix() for path in islice(found, _MOST)]


def named_files(rows: Sequence[Sample], names: Iterable[str]) -> dict[str, list[str]]:
    """Returns for each column that names files the patterns of their names, as `train/*.jpg`.

    All cells that are looked at must name a file, and no file twice. A column that holds the whole
    names is left out.

    Args:
        rows: of the table.
        names: the files that may be meant, relative to the folder of the table.
    """
    patterns = _patterns(names)
    first = [rows[index] for index in range(min(_FIRST, len(rows)))]
    found: dict[str, list[str]] = {}
    for column in first[0] if first else ():
        cells = [str(cell) for row in first if (cell := row.get(column)) is not None]
        if len(set(cells)) == len(cells) > 1:
            ways = [patterns.get(cell, set()) for cell in cells]
            shared = set[str].intersection(*ways)
            if shared and "*" not in shared:
                found[column] = sorted(shared)
    return found


def _patterns(names: Iterable[str]) -> dict[str, set[str]]:
    """Returns for each name or stem of a file the patterns of which it is the `*`."""
    patterns: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        folder = name[: len(name) - len(path.name)]
        patterns.setdefault(path.name, set()).add(f"{folder}*")
        patterns.setdefault(path.stem, set()).add(f"{folder}*{path.suffix}")
    return patterns
