"""PlainText: windows of a plain text, for language models."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from unitf.batch import Sample
from unitf.data.seeding import mix
from unitf.data.source import Source
from unitf.data.sources.file_source import find, read_text
from unitf.data.sources.folder_layout import file_names, kind_of_file
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.sources.table import is_table
from unitf.data.split import check_names, overlapping
from unitf.data.split_words import by_split
from unitf.errors import UserError
from unitf.proposal import Proposal


class PlainText(Source):
    """Windows of a text. The training windows begin at other characters in each epoch.

    Args:
        path: the file; or a folder, whose files of text (at any depth) are read as one text, in
            the order of their names. A dictionary has the path of each split.
        length: of a window, in characters.
        parts: for each split its beginning and its end in the text (of a dictionary, in that for
            training), as fractions; by default the first nine tenths are for training, the rest is
            for validation, if it has no text of its own.
        column: the column that holds a window.
        encoding: of the file.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        length: int,
        parts: dict[str, list[float]] | None = None,
        column: str = "text",
        encoding: str = "utf-8",
    ) -> None:
        self.path: str | dict[str, str] = path
        self.length: int = length
        self.own: dict[str, str] = dict(path) if isinstance(path, dict) else {"train": path}
        check_names(self.own, f"PlainText {path}")
        if "train" not in self.own:
            raise UserError(f"PlainText {path}: expected a path of train, found {', '.join(path)}")
        whole = "validation" in self.own
        self.parts: dict[str, list[float]] = parts or (
            {"train": [0.0, 1.0]} if whole else {"train": [0.0, 0.9], "validation": [0.9, 1.0]}
        )
        self.column: str = column
        self.encoding: str = encoding
        if length < 2:
            raise UserError(f"PlainText {path}: length {length}, expected at least 2 characters")
        for split, part in self.parts.items():
            if len(part) != 2 or not 0 <= part[0] < part[1] <= 1:
                raise UserError(
                    f"PlainText {path}: part {split} is {part}, expected two rising fractions"
                )
        check_names(self.parts, f"PlainText {path}")
        if twice := [name for name in self.parts if name in self.own and name != "train"]:
            raise UserError(
                f"PlainText {path}: split {twice[0]} has a path and is one of parts, expected one "
                "of them"
            )
        for one, other in overlapping(self.parts):
            (begin, end), (first, last) = self.parts[one], self.parts[other]
            if begin < last and first < end:
                raise UserError(f"PlainText {path}: parts {one} and {other} overlap")

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Recognises a text, or a folder of texts, that is not in class folders."""
        files = text_files(path)
        if not files:
            return None
        size = sum(file.stat().st_size for file in files)
        what = "a text" if path.is_file() else f"{len(files)} texts"
        settings: dict[str, object] = {"path": path.name, "length": _LENGTH}
        if (own := texts_by_split(path)) is not None:
            settings["path"] = {split: str(Path(path.name, name)) for split, name in own.items()}
            what += f", those of {', '.join(own)} apart,"
        else:
            settings["parts"] = dict(_PARTS)
        return Proposal(settings, 0.6, f"{what} of {size:,} bytes, to write on")

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split not in self.splits():
            return []
        path = find(self.own.get(split, self.own["train"]), root)
        text = joined_texts(path, self.encoding)
        part = self.parts.get(split, [0.0, 1.0])
        begin, end = (int(fraction * len(text)) for fraction in part)
        if begin == end:
            raise UserError(f"{path}: no character is left for split {split}")
        kind = ShiftingWindows if split == "train" else TextWindows
        return kind(text[begin:end], self.length, self.column)

    def splits(self) -> list[str]:
        return list(dict.fromkeys([*self.parts, *self.own]))


# what `recognise` proposes: about a hundred subwords, and the last fifth is held out
_LENGTH = 320
_PARTS = {"train": [0.0, 0.8], "validation": [0.8, 0.9], "test": [0.9, 1.0]}


def text_files(path: Path) -> list[Path]:
    """Returns a file of text, or those of a folder; none if most files are something else."""
    if path.is_file():
        return [path] if kind_of_file(path.name) == "text" and not is_table(path) else []
    names = file_names(path)
    texts = [n for n in names if kind_of_file(n) == "text" and not is_table(Path(n))]
    return [path / name for name in texts] if len(texts) * 2 > len(names) else []


def texts_by_split(path: Path) -> dict[str, str] | None:
    """Returns the folder, or the file of text, of each split in a folder; None: there are none."""
    if not path.is_dir():
        return None
    inside = {PurePosixPath(name.partition("/")[0]) for name in file_names(path)}
    names = {name.stem if (path / name).is_file() else name.name: str(name) for name in inside}
    found = by_split(sorted(names))
    return None if found is None else {split: names[name] for split, name in found.items()}


def joined_texts(path: Path, encoding: str) -> str:
    """Returns the text of a file, or of all files of text in a folder with a blank line between.

    Raises:
        UserError: a file cannot be read, or there is none.
    """
    if not path.is_dir():
        return read_text(path, encoding)
    files = text_files(path)
    if not files:
        raise UserError(f"{path}: found no file of text, expected some")
    return "\n\n".join(read_text(file, encoding) for file in files)


class TextWindows(IndexedSamples):
    """A text cut into consecutive windows; the last one may be shorter."""

    def __init__(self, text: str, length: int, column: str) -> None:
        self.text: str = text
        self.length: int = length
        self.column: str = column

    def __len__(self) -> int:
        return -(-len(self.text) // self.length)

    def sample_at(self, index: int) -> Sample:
        first = index * self.length
        return {self.column: self.text[first : first + self.length]}


class ShiftingWindows(TextWindows):
    """Consecutive windows of equal length that begin at another character in each epoch."""

    def __len__(self) -> int:
        return max(1, (len(self.text) - self.length + 1) // self.length)

    @property
    def all_windows(self) -> TextWindows:
        """The windows of the whole text, so that a tokenizer is fitted on every character."""
        return TextWindows(self.text, self.length, self.column)

    def at(self, index: int, seed: int, epoch: int) -> Sample:
        """Returns window `index` of an epoch."""
        spare = max(0, len(self.text) - len(self) * self.length)
        first = index * self.length + mix(seed, epoch) % (spare + 1)
        return {self.column: self.text[first : first + self.length]}
