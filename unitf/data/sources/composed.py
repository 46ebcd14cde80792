"""ComposedRecords: a sentence for several records with a common value."""

from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.data.sources.records import Records
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean


class ComposedRecords(Records):
    """Makes one sample of all records with a common value; a sentence combines their answers.

    Example: of the records of one image, one has the answer "red" and one "circle". The fields
    `{colour: [red, blue], shape: [circle, square]}` turn the sentence "a {colour} {shape}" into
    "a red circle". Records that leave a field empty make no sample.

    Args:
        by: the column of the common value.
        answer: the column whose values fill the fields.
        fields: for each field the values that it accepts; the first matching record fills it.
        sentence: a text with fields in braces.
        column: the column that holds the sentence.
        path, columns, files, split, limit: as for Records.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        columns: dict[str, str | int],
        by: str,
        answer: str,
        fields: dict[str, list[str]],
        sentence: str,
        column: str = "caption",
        files: dict[str, str] | None = None,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, columns, files, split, limit)
        self.by: str = by
        self.answer: str = answer
        self.fields: dict[str, str] = {
            value: field for field, values in fields.items() for value in values
        }
        self.sentence: str = sentence
        self.column: str = column
        for name in (by, answer):
            if name not in columns:
                raise UserError(
                    f"ComposedRecords: no column {name!r}" + did_you_mean(name, columns)
                )
        try:
            sentence.format_map(dict.fromkeys(fields, ""))
        except (KeyError, ValueError, IndexError) as error:
            raise UserError(
                f"ComposedRecords: sentence {sentence!r} needs a field {error}; "
                f"there are {', '.join(fields)}"
            ) from None
        self.names: set[str] = set(fields)

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        fillings: dict[object, dict[str, object]] = {}  # value of `by` → field → answer
        first: dict[object, Sample] = {}
        for sample in super().load(path, root):
            key, value = sample[self.by], sample[self.answer]
            first.setdefault(key, sample)
            if (field := self.fields.get(value)) is not None:
                fillings.setdefault(key, {}).setdefault(field, value)
        return [
            {
                **{name: value for name, value in first[key].items() if name != self.answer},
                self.column: self.sentence.format_map(filled),
            }
            for key, filled in fillings.items()
            if filled.keys() >= self.names
        ]
