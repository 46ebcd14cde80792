"""Writes predictions into a folder: what is a picture, a sound or a text as files of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from unitf.cli.inputs import describe
from unitf.cli.writable import check_folder
from unitf.cli.written_table import write_table
from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.batch import Sample
    from unitf.component import PlainData
    from unitf.features import FileContent
    from unitf.model import Model

TABLE: str = "predictions.csv"


def is_folder(word: str) -> bool:
    """Returns whether the value of `--out` means a folder: it is one, or ends with a slash."""
    return word.endswith("/") or Path(word).is_dir()


def check_new(option: str, folder: Path) -> None:
    """Checks before the work that predictions can be written into a folder.

    Raises:
        UserError: they cannot, or earlier ones lie there.
    """
    check_folder(option, folder)
    if (folder / TABLE).exists():
        raise UserError(
            f"{option} {folder}/: found {TABLE} there, expected a folder without predictions"
        )


def write_folder(
    option: str,
    folder: Path,
    model: "Model",
    samples: "Sequence[Sample] | Mapping[int, Sample]",
    predictions: Sequence["PlainData"],
    lines: Sequence[Mapping[str, object]] | None = None,
) -> int:
    """Writes predictions.csv and the files, which it names; returns the number of files.

    Args:
        option: the option, for messages.
        folder: where to write; it is made if it is not there.
        model: the model that predicted.
        samples: all samples.
        predictions: what is predicted, each with the `index` of its sample.
        lines: the rows of predictions.csv; None: one for each prediction.

    Raises:
        UserError: a file is there already; nothing is written then.
    """
    contents: dict[str, bytes] = {}
    rows: list[dict[str, object]] = []
    for prediction in predictions:
        index, task = prediction["index"], str(prediction["task"])
        sample, row = samples[index], {k: v for k, v in prediction.items() if k != "index"}
        for key, (ending, data) in _files(model, task, prediction, sample).items():
            parts = [_stem(sample, index), *([task] if len(model.tasks) > 1 else [])]
            name = _free("_".join(parts), ending, contents)
            contents[name], row[f"{key}_file"] = data, name
        rows.append({"sample": describe(sample), **row})
    without_values(rows)
    folder.mkdir(parents=True, exist_ok=True)
    if known := [name for name in contents if (folder / name).exists()]:
        raise UserError(f"{option} {folder}/: found {known[0]} there, expected a folder without it")
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    write_table(folder / TABLE, rows if lines is None else [{"sample": line} for line in lines])
    return len(contents)


def _files(
    model: "Model", task: str, prediction: "PlainData", sample: "Sample"
) -> Mapping[str, "FileContent"]:
    tokenizers = dict(model.tokenizers.items())
    return model.tasks[task].prediction_files(prediction, sample, tokenizers)


def _stem(sample: Mapping[str, object], index: int) -> str:
    """Returns the name of the first file that a sample names, or else its number from 1."""
    for value in sample.values():
        if isinstance(value, str) and len(value) < 4096 and "\0" not in value:
            path = Path(value)
            if path.suffix and path.is_file():
                return path.stem
    return f"{index + 1:06}"


def _free(name: str, ending: str, taken: Mapping[str, object]) -> str:
    """Returns a name that no other file has: `cat.png`, `cat_2.png`, …"""
    number, found = 1, f"{name}{ending}"
    while found in taken:
        number += 1
        found = f"{name}_{number}{ending}"
    return found


def add_generated(
    model: "Model",
    samples: Sequence["Sample"],
    predictions: Sequence["PlainData"],
    batch_size: int,
) -> None:
    """Adds to predictions what a task writes whose target is a sequence, as `text` or `value`.

    Only samples without a target are written; of the others the loss is known.
    """
    for name, task in model.tasks.items():
        if not task.can_generate or task.target_tokenizer is None:
            continue
        chosen = [p for p in predictions if p["task"] == name and p.get("loss", 0) is None]
        given = [samples[cast(int, prediction["index"])] for prediction in chosen]
        records = model.generate(given, task=name, batch_size=batch_size) if given else []
        for record in records:
            prediction = chosen[record["index"]]
            prediction.pop("loss", None)
            prediction.update({key: record[key] for key in ("text", "value") if key in record})


def without_values(predictions: Sequence["PlainData"]) -> None:
    """Replaces what was written and is no text by its shape, which a table can show."""
    for prediction in predictions:
        if "value" in prediction and not isinstance(value := prediction["value"], list | dict):
            shape = "×".join(map(str, getattr(value, "shape", ())))
            prediction["value"] = f"{type(value).__name__} {shape}".strip()
