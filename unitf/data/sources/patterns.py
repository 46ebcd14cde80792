"""Patterns of file names: `{label}/*.jpg` finds files, and makes columns of their names."""

import re
from pathlib import Path

from unitf.data.sources.listing import walk_folder
from unitf.errors import UserError
from unitf.spelling import composed

_ENDINGS = r"\.\{[A-Za-z0-9]+(?:,[A-Za-z0-9]+)+\}"


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Returns the regular expression of a pattern.

    `{field}` and `*` match within one name; `**` also matches folders. The case of an ending like
    `.jpg` does not count: cameras write `.JPG`. `.{jpg,png}` at the end is each of these endings.

    Raises:
        UserError: a field is no name, or stands twice.
    """
    expression = ""
    seen: set[str] = set()
    pattern = composed(pattern.removeprefix("./"))
    start = re.sub(rf"(\.[A-Za-z0-9]+)*(\.[A-Za-z0-9]+|{_ENDINGS})$", "", pattern)
    ending = re.escape(pattern[len(start) :])
    if start != pattern and pattern.endswith("}"):
        ending = ending.replace(r"\{", "(?:").replace(r"\}", ")").replace(",", "|")
    for piece in re.split(r"(\{[^}]*\}|\*\*/?|\*)", start):
        if piece.startswith("{"):
            name = piece[1:-1]
            if not name.isidentifier() or name in seen:
                raise UserError(f"pattern {pattern!r}: {piece} must be a name, and only once")
            seen.add(name)
            expression += f"(?P<{name}>[^/]+?)"
        elif piece.startswith("**"):
            expression += "(?:.*/)?" if piece.endswith("/") else ".*"
        else:
            expression += "[^/]*" if piece == "*" else re.escape(piece)
    return re.compile(f"{expression}(?i:{ending})")


def is_pattern(path: str) -> bool:
    """Returns whether a path names several files: it has a `*` or a `{field}`."""
    return "*" in path or "{" in path


def matching_files(pattern: str, root: Path) -> list[tuple[Path, dict[str, str]]]:
    """Returns the files that match a pattern, in the order of their names, and their fields.

    Args:
        pattern: as `reviews/{label}.csv`; relative to `root`.
        root: a folder.

    Raises:
        UserError: no file matches, or the pattern is none.
    """
    plain = Path(*(part for part in _plain_parts(pattern)))
    folder = root / plain
    rest = "/".join(Path(pattern).parts[len(plain.parts) :])
    expression = compile_pattern(rest)
    found: list[tuple[Path, dict[str, str]]] = []
    if folder.is_dir():
        for name, path in walk_folder(folder):
            if path is not None and (match := expression.fullmatch(composed(name))):
                found.append((Path(path), match.groupdict()))
    if not found:
        raise UserError(f"{folder}: no file matches {rest!r}")
    return found


def _plain_parts(pattern: str) -> list[str]:
    """Returns the folders before the first part that is a pattern."""
    parts = Path(pattern).parts
    first = next(number for number, part in enumerate(parts) if is_pattern(part))
    return list(parts[:first])
