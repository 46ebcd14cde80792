"""How many predictions are right, where files lie in folders with the names of their classes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # torch takes long to import
    from unitf.model import Model


def folders_of(words: Sequence[str]) -> list[Path]:
    """Returns the folders among the words of `--input`: `image=photos/`, or `photos/` alone."""
    values = [value for word in words for value in (word, word.partition("=")[2]) if value]
    paths = [Path(value) for value in values if len(value) < 4096]
    return [path for path in paths if _is_folder(path)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a text, which is no name of a file
        return False


def right_by_folders(
    predictions: Sequence[Mapping[str, object]], folders: Sequence[Path], model: "Model"
) -> Iterator[str]:
    """Yields a line for each task whose classes are folders: how many predictions are right.

    Args:
        predictions: what a task says of each sample; `sample` has the names of the files.
        folders: those that were given; only folders within them can be classes.
    """
    by_task: dict[str, list[tuple[str, str]]] = {}
    first = next(iter(model.tasks))
    for prediction in predictions:
        task = str(prediction.get("task", first))
        sample = cast(Mapping[str, object], prediction["sample"])
        if "label" in prediction and (folder := _folder(sample, folders)) is not None:
            by_task.setdefault(task, []).append((str(prediction["label"]), folder))
    for task, pairs in by_task.items():
        classes = {str(name) for name in getattr(model.tasks[task], "classes", ())}
        known = [(label, folder) for label, folder in pairs if folder in classes]
        if not known:
            continue
        right = sum(label == folder for label, folder in known)
        name = f"{task}: " if len(model.tasks) > 1 else ""
        others = len(pairs) - len(known)
        rest = f"; {others} lie in folders of no class" if others else ""
        share = f"{right} of {len(known)} are right ({right / len(known):.3f})"
        yield f"{name}{share}, by the names of their folders{rest}"


def _folder(sample: Mapping[str, object], folders: Sequence[Path]) -> str | None:
    """Returns the name of the folder, within those given, in which a file of a sample lies."""
    for value in sample.values():
        file = Path(value) if isinstance(value, str) and len(value) < 4096 else None
        for folder in folders:
            if file is not None and file.is_relative_to(folder):
                parts = file.relative_to(folder).parts
                return parts[-2] if len(parts) > 1 else None
    return None
