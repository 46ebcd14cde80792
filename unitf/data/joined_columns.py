"""JoinedColumns: several columns of a sample as one value, for tokenizers that read so."""

import shlex
from collections.abc import Mapping, Sequence

from unitf.batch import Sample
from unitf.component import NamedParts
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer

_SHOWN = 3  # columns of an input in a hint


class JoinedColumns:
    """Adds to a sample the inputs whose tokenizers read several columns as a dictionary.

    An input that the sample has already stays as it is. Empty cells (None, NaN and texts of white
    space) are left out, and an input without any other cell is missing.

    Args:
        tokenizers: the tokenizers by name, as they are fitted so far.
        tasks: the tasks by name.
    """

    def __init__(self, tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task]) -> None:
        pairs = [pair for task in tasks.values() for pair in task.tokenized]
        # the names of the joined columns by input; None: all others
        self.inputs: dict[str, Sequence[str] | None] = {
            column: tokenizers[name].joined_columns
            for column, name in pairs
            if name in tokenizers and tokenizers[name].joins_columns
        }
        targets = [task.target for task in tasks.values()]
        self.named: set[str | None] = {*(column for column, _ in pairs), *targets}

    def __call__(self, sample: Sample) -> Sample:
        """Returns the sample with its joined inputs."""
        if not self.inputs:
            return sample
        joined = {
            column: cells
            for column, names in self.inputs.items()
            if sample.get(column) is None and (cells := self._cells(sample, names))
        }
        return {**sample, **joined}

    def columns(self, column: str) -> list[str]:
        """Returns the columns that an input stands for: itself, unless it is joined."""
        names = self.inputs.get(column)
        return [column] if names is None else list(names)

    def without(self, sample: Sample, columns: Sequence[str]) -> Sample:
        """Returns the sample without some columns, also in its joined inputs."""
        left = {name: value for name, value in sample.items() if name not in columns}
        for column in self.inputs:
            if isinstance(cells := left.get(column), Mapping):
                left[column] = {n: c for n, c in cells.items() if n not in columns} or None
        return left

    def _cells(self, sample: Sample, names: Sequence[str] | None) -> dict[str, object]:
        if names is None:
            names = [name for name in sample if name not in self.named]
        return {n: cell for n in names if not is_empty_cell(cell := sample.get(n))}


def is_empty_cell(cell: object) -> bool:
    """Returns whether a cell of a table is empty: None, NaN, or a text of white space alone."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (isinstance(cell, float) and cell != cell)


def asked_for(
    tokenizers: NamedParts[Tokenizer], tasks: NamedParts[Task], inputs: Sequence[str]
) -> str:
    """Returns `column=…` for the columns of some inputs, as a person would type them."""
    join = JoinedColumns(tokenizers, tasks)
    parts: list[str] = []
    for name in inputs:
        columns = join.columns(name)
        parts += [f"{shlex.quote(column)}=…" for column in columns[:_SHOWN]]
        parts += ["…"] if columns[_SHOWN:] else []
    return " ".join(parts)
