"""PlainText: windows of a plain text, for language models."""

from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.data.seeding import mix
from unitf.data.source import Source
from unitf.data.sources.file_source import find, read_text
from unitf.data.sources.indexed import IndexedSamples
from unitf.data.split import check_names, overlapping
from unitf.errors import UserError


class PlainText(Source):
    """Windows of a text. The training windows begin at other characters in each epoch.

    Args:
        path: the file.
        length: of a window, in characters.
        parts: for each split its beginning and its end in the text, as fractions; by default the
            first nine tenths are for training, the rest is for validation.
        column: the column that holds a window.
        encoding: of the file.
    """

    def __init__(
        self,
        path: str,
        length: int,
        parts: dict[str, list[float]] | None = None,
        column: str = "text",
        encoding: str = "utf-8",
    ) -> None:
        self.path: str = path
        self.length: int = length
        self.parts: dict[str, list[float]] = parts or {
            "train": [0.0, 0.9],
            "validation": [0.9, 1.0],
        }
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
        for one, other in overlapping(self.parts):
            (begin, end), (first, last) = self.parts[one], self.parts[other]
            if begin < last and first < end:
                raise UserError(f"PlainText {path}: parts {one} and {other} overlap")

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split not in self.parts:
            return []
        path = find(self.path, root)
        text = read_text(path, self.encoding)
        begin, end = (int(fraction * len(text)) for fraction in self.parts[split])
        if begin == end:
            raise UserError(f"{path}: no character is left for split {split}")
        kind = ShiftingWindows if split == "train" else Windows
        return kind(text[begin:end], self.length, self.column)

    def splits(self) -> list[str]:
        return list(self.parts)


class Windows(IndexedSamples):
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


class ShiftingWindows(Windows):
    """Consecutive windows of equal length that begin at another character in each epoch."""

    def __len__(self) -> int:
        return max(1, (len(self.text) - self.length + 1) // self.length)

    @property
    def all_windows(self) -> Windows:
        """The windows of the whole text, so that a tokenizer is fitted on every character."""
        return Windows(self.text, self.length, self.column)

    def at(self, index: int, seed: int, epoch: int) -> Sample:
        """Returns window `index` of an epoch."""
        spare = max(0, len(self.text) - len(self) * self.length)
        first = index * self.length + mix(seed, epoch) % (spare + 1)
        return {self.column: self.text[first : first + self.length]}
