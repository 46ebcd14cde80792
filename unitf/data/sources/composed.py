"""ComposedRecords: sentences composed from several records of one thing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unitf.batch import Sample
from unitf.data.sources.records import Records
from unitf.data.split import Split
from unitf.errors import UserError, did_you_mean


class ComposedRecords(Records):
    """A sample for all records that share a value, with a sentence of what they say.

    Of the records of one image, say, one answers "red" and one "circle": fields
    `{colour: [red, blue], shape: [circle, square]}` make "a red circle" of the sentence
    "a {colour} {shape}". Where no record fills a field, there is no sample.

    Args:
        by: the column whose value the records share.
        answer: the column that fills the fields.
        fields: for each field the values that belong into it; the first one found is taken.
        sentence: with fields in braces.
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
        self.by = by
        self.answer = answer
        self.fields = {value: field for field, values in fields.items() for value in values}
        self.sentence = sentence
        self.column = column
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
        self.names = set(fields)

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        found: dict[Any, dict[str, Any]] = {}
        first: dict[Any, Sample] = {}
        for sample in super().load(path, root):
            key, value = sample[self.by], sample[self.answer]
            first.setdefault(key, sample)
            if (field := self.fields.get(value)) is not None:
                found.setdefault(key, {}).setdefault(field, value)
        return [
            {
                **{name: value for name, value in first[key].items() if name != self.answer},
                self.column: self.sentence.format_map(filled),
            }
            for key, filled in found.items()
            if filled.keys() >= self.names
        ]
