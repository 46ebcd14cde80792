"""Finds tables and their splits: files beside each other, in a folder or a .zip; a column."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from unitf.batch import Sample
from unitf.data.sources.folder_layout import file_names
from unitf.data.sources.named_files import named_files, names_near
from unitf.data.split_words import split_in, split_of
from unitf.proposal import Proposal

_FIRST = 50  # rows that say whether a column can name splits
IsTable = Callable[[Path], bool]
ReadRows = Callable[[Path], Sequence[Sample]]


def propose_table(path: Path, is_table: IsTable, read: ReadRows) -> Proposal | None:
    """Returns how Table reads a file, or the tables of a folder or a .zip; None: there are none.

    Args:
        path: what a person gave.
        is_table: whether the name of a file is that of a table.
        read: reads the rows of a table.
    """
    files = {split: str(file) for split, file in table_files(path, is_table).items()}
    if "train" not in files:
        return None
    rows = read(path.parent / files["train"])
    settings, remarks = _way_to_read(path, files["train"], rows)
    if len(files) > 1:
        names = ", ".join(PurePosixPath(name).name for name in files.values())
        reason = f"a table for each of {', '.join(files)}: {names}{remarks}"
        return Proposal({"path": files, **settings}, 0.8, reason)
    settings["path"] = files["train"]
    confidence = 0.8 if path.is_file() else 0.7
    reason = f"a table of {len(rows):,} rows{remarks}"
    if (column := split_column(rows)) is not None:
        parts = split_parts(row.get(column) for row in rows)
        settings["split"] = {"column": column, "parts": parts}
        reason += f", whose column {column} names {', '.join(parts)}"
    return Proposal(settings, confidence, reason)


def _way_to_read(path: Path, table: str, rows: Sequence[Sample]) -> tuple[dict[str, object], str]:
    """Returns how a table is read that is not written as usual, and the same in words."""
    settings: dict[str, object] = {}
    remarks = f", {notation}" if (notation := getattr(rows, "notation", "")) else ""
    if (encoding := getattr(rows, "encoding", "utf-8")) != "utf-8":
        settings["encoding"] = encoding
    folder = (path.parent / table).parent
    names = names_near(folder) if folder.is_dir() else _names_in(path, table)
    found = named_files(rows, names)
    chosen = {column: ways[0] for column, ways in found.items() if len(ways) == 1}
    if chosen:
        settings["files"] = chosen
    for column, ways in found.items():
        choice = " (`files` says which)" * (len(ways) > 1)
        remarks += f"; {column} names the files {' or '.join(ways)}{choice}"
    return settings, remarks


def _names_in(archive: Path, table: str) -> list[str]:
    """Returns the names of the files in an archive, relative to the folder of a table in it."""
    folder = PurePosixPath(table).parent.relative_to(archive.name).as_posix()
    start = "" if folder == "." else f"{folder}/"
    return [name.removeprefix(start) for name in file_names(archive) if name.startswith(start)]


def table_files(path: Path, is_table: IsTable) -> dict[str, PurePosixPath]:
    """Returns the table of each split, from the parent of `path`; one without a name is "train".

    Beside a table lie those of the other splits, if their names differ by the word alone
    (`train.csv` and `test.csv`, `reviews_train.csv` and `reviews_dev.csv`).
    """
    if path.is_file() and is_table(path):
        names = [PurePosixPath(entry.name) for entry in path.parent.iterdir() if entry.is_file()]
        own, rest = split_in(_stem(path.name))
        others = [name for name in names if is_table(Path(name)) and _is_sibling(name, path, rest)]
        found = _by_split(others if own else [PurePosixPath(path.name)])
        return found if "train" in found else {"train": PurePosixPath(path.name)}
    inside = [PurePosixPath(name) for name in file_names(path)]
    tables = [
        PurePosixPath(path.name) / name
        for name in inside
        if len(name.parts) <= 2 and is_table(Path(name))
    ]
    found = _by_split(tables)
    if len(found) > 1 and "train" in found:
        return found
    return {"train": tables[0]} if len(tables) == 1 else {}


def _is_sibling(name: PurePosixPath, path: Path, rest: str) -> bool:
    return name.suffix == path.suffix and split_in(_stem(name.name))[1] == rest


def _by_split(names: Iterable[PurePosixPath]) -> dict[str, PurePosixPath]:
    found: dict[str, PurePosixPath] = {}
    for name in sorted(names):
        split = split_in(_stem(name.name))[0] or split_of(name.parent.name)
        if split is not None:
            found.setdefault(split, name)
    order = ("train", "validation", "test")
    return {split: found[split] for split in order if split in found}


def _stem(name: str) -> str:
    return name.partition(".")[0]


def split_column(rows: Sequence[Sample]) -> str | None:
    """Returns the column whose cells all name splits, and at least two of them."""
    first = [rows[index] for index in range(min(_FIRST, len(rows)))]
    for column in first[0] if first else ():
        if all(split_of(row.get(column)) for row in first):
            parts = split_parts(row.get(column) for row in rows)
            if parts and "train" in parts and len(parts) > 1:
                return column
    return None


def split_parts(cells: Iterable[object]) -> dict[str, str | list[str]]:
    """Returns the cells that mean each split; empty if one of them means none."""
    words: dict[str, list[str]] = {}
    for cell in dict.fromkeys(cells):
        split = split_of(cell)
        if split is None:
            return {}
        words.setdefault(split, []).append(str(cell))
    return {split: found[0] if len(found) == 1 else found for split, found in words.items()}
