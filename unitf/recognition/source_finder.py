"""Finds the source that reads what a person gave."""

from dataclasses import replace
from pathlib import Path

from unitf.data.sources.file_source import FileSource
from unitf.errors import UserError
from unitf.recognition.asking import Answer, answers
from unitf.recognition.decisions import Decisions
from unitf.recognition.looking import Look, look_at
from unitf.recognition.wishes import Wishes


def find_source(path: Path, wishes: Wishes, decisions: Decisions) -> tuple[Answer, Look]:
    """Returns the first source that reads the path, and what is seen with it."""
    root, problems = path.parent, []
    ranked = answers("sources", path.absolute())
    for number, answer in enumerate(ranked):
        try:
            answer = _with_test(answer, path, wishes.test)
            look = look_at(answer.cls, answer.proposal.settings, root)
        except ValueError as error:
            problems.append(f"{answer.name}: {error}")
            continue
        is_known = wishes.target in (None, *(column.name for column in look.columns))
        if look.samples and (is_known or number + 1 == len(ranked)):
            decisions.add_answer("data.sources", [answer, *ranked[number + 1 :]])
            return answer, look
    found = "; ".join(problems) or _found(path)
    raise UserError(f"{path}: no source reads it: {found}")


def without_unlabelled(answer: Answer, look: Look, target: str, decisions: Decisions) -> Answer:
    """Returns the answer without the files of splits that lack the target, which it says.

    A competition has such a test: it is to be predicted, and measures nothing.
    """
    paths = answer.proposal.settings.get("path")
    lacking = [
        split
        for split, sample in look.firsts.items()
        if split != "train" and sample.get(target) is None
    ]
    if not lacking or not isinstance(paths, dict):
        return answer
    for split in lacking:
        decisions.add(
            "data.sources", f"{paths.get(split)} is left out: it has no {target} to measure by"
        )
    kept = {split: file for split, file in paths.items() if split not in lacking}
    settings = {**answer.proposal.settings, "path": kept}
    return answer._replace(proposal=replace(answer.proposal, settings=settings))


def _found(path: Path) -> str:
    if path.is_file():
        return f"found a file {path.name}, expected a table, an archive or a text"
    names = sorted(entry.name for entry in path.iterdir())
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"found {shown or 'nothing'} in it, expected a folder for each class, a table or texts"


def _with_test(answer: Answer, path: Path, test: Path | None) -> Answer:
    """Returns the answer with a file of test samples, which a person gave with `--test`."""
    if test is None:
        return answer
    if not issubclass(answer.cls, FileSource):
        raise UserError(
            f"--test {test}: {answer.name} reads no files, so it has no file for a test"
        )
    others = {other.name: other for other in answers("sources", test.absolute())}
    if answer.name not in others:
        raise UserError(f"--test {test}: found nothing that {answer.name} reads like {path}")
    settings, path_of_test = dict(answer.proposal.settings), _first_path(others[answer.name])
    known = settings["path"]
    files = dict(known) if isinstance(known, dict) else {"train": known}
    folder = test.absolute().parent
    settings["path"] = {**files, "test": str(folder / path_of_test)}
    return answer._replace(proposal=replace(answer.proposal, settings=settings))


def _first_path(answer: Answer) -> str:
    path = answer.proposal.settings["path"]
    return str(next(iter(path.values())) if isinstance(path, dict) else path)
