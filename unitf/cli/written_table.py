"""Writes predictions as a table: CSV, or a line of JSON for each."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from unitf.cli.as_json import as_json
from unitf.cli.writable import check_writable
from unitf.errors import UserError

ENDINGS: tuple[str, ...] = (".csv", ".jsonl")


def check_table(option: str, file: Path) -> None:
    """Checks the name of the file before the work begins.

    Raises:
        UserError: it has another ending, or nothing can be written there.
    """
    if file.suffix.lower() not in ENDINGS:
        raise UserError(f"{option} {file}: expected a file that ends with {' or '.join(ENDINGS)}")
    check_writable(option, file)


def write_table(file: Path, predictions: Sequence[Mapping[str, object]]) -> None:
    """Writes a row for each prediction; in CSV each column of its sample has one of its own.

    A cell of CSV that is no text, number or switch is written as JSON.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == ".jsonl":
        text = "".join(f"{as_json(prediction)}\n" for prediction in predictions)
        file.write_text(text, encoding="utf-8")
        return
    rows = [_flat(prediction) for prediction in predictions]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, names)
        writer.writeheader()
        writer.writerows(rows)


def _flat(prediction: Mapping[str, object]) -> dict[str, object]:
    """Returns the row of a prediction: first the columns of the sample, then what is predicted."""
    sample = prediction.get("sample")
    columns = dict(sample) if isinstance(sample, Mapping) else {"sample": sample}
    predicted = {
        f"predicted_{key}" if key in columns else key: _cell(value)
        for key, value in prediction.items()
        if key != "sample"
    }
    return {**columns, **predicted}


def _cell(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else as_json(value)
