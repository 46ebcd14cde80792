"""Stories: questions about numbered sentences, in the layout of bAbI."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from unitf import Sample, UserError
from unitf.data import Files, FileSource, lines_of


class Stories(FileSource):
    """Each sample is a question and the story up to it (bAbI: Weston et al., 2015).

    A line is a number and a sentence, or a number, a question, its answer and the numbers of the
    sentences that support it, with tabs between them; number 1 begins another story. The columns
    are story (a list of sentences), question and answer.

    Args:
        path: one file, or a pattern: `babi.zip/en/qa{task}_*_train.txt` means the files of a
            folder or archive whose names match, as in Files; a name in braces is a column.
        split, limit: as in FileSource.
    """

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        folder, pattern = _cut(path)
        files = Files(folder, pattern)
        samples: list[Sample] = []
        for number, file in enumerate(named := files.load(folder, root)):
            name = named.name(number)  # pyright: ignore[reportAttributeAccessIssue]
            columns = dict(file)
            value = columns.pop(files.column)
            data = value if isinstance(value, bytes) else Path(value).read_bytes()
            samples += [{**columns, **sample} for sample in read_stories(data, name)]
        return samples

    @staticmethod
    def examples(root: Path) -> dict[str, Any]:
        """One story with two questions, for `unitf plugins check Stories`."""
        lines = ["1 Mary went home.", "2 Where is Mary?\thome\t1", "3 John went out."]
        text = "\n".join([*lines, "4 Where is John?\tout\t3"])
        (root / "qa1_train.txt").write_text(text, encoding="utf-8")
        return {"path": {"train": "qa1_train.txt"}}


def _cut(path: str) -> tuple[str, str]:
    """Splits a path into a folder or archive and the pattern of its files."""
    parts = PurePosixPath(path).parts
    for line_number, part in enumerate(parts):
        if part.lower().endswith(".zip"):
            line_number += 1
        elif not set(part) & set("*{"):
            continue
        return str(PurePosixPath(*parts[:line_number])), "/".join(parts[line_number:])
    return str(PurePosixPath(*parts[:-1])), parts[-1]


def read_stories(data: bytes, name: str) -> Iterator[dict]:
    """Yields the questions of one file, each with the sentences before it.

    Raises:
        UserError: a line is neither a sentence nor a question.
    """
    try:
        lines = lines_of(data.decode())
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 ({error.reason} at byte {error.start})") from None
    sentences: list[str] = []
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        number, _, rest = line.partition(" ")
        question, *answer = rest.split("\t")
        if not number.isdecimal() or not question.strip() or (answer and not answer[0].strip()):
            raise UserError(
                f"{name}, line {line_number}: expected a number and a sentence or question, "
                f"found {line[:60]!r}"
            )
        if number == "1":
            sentences = []
        if not answer:
            sentences = [*sentences, question.strip()]
        elif sentences:
            yield {"story": sentences, "question": question.strip(), "answer": answer[0].strip()}
        else:
            raise UserError(f"{name}, line {line_number}: a question before any sentence")
