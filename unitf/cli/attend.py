"""`unitf attend --checkpoint`: what a trained model looks at, as pictures and a page."""

import argparse
from pathlib import Path
from typing import Any

from unitf.cli.inputs import HELP, columns_of, describe, read_inputs, texts_of
from unitf.cli.writable import check_folder


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf attend`."""
    made = argparse.ArgumentParser(prog="unitf attend", description=__doc__)
    made.add_argument("--checkpoint", required=True, help="a run's folder or a checkpoint file")
    several: dict[str, Any] = {"nargs": "+", "action": "extend"}
    made.add_argument("--input", default=[], metavar="COLUMN=VALUE|TABLE", help=HELP, **several)
    made.add_argument("--task", metavar="NAME", help="which task reads it, if several can")
    numbers: dict[str, Any] = {"type": int, "metavar": "N", **several}
    made.add_argument("--layer", help="these layers alone, from 0; each has a panel", **numbers)
    made.add_argument("--head", help="these heads alone, from 0; each has a panel", **numbers)
    made.add_argument(
        "--rollout", action="store_true", help="pictures show all layers, one through the other"
    )
    made.add_argument("--out", required=True, metavar="FOLDER", help="where the pictures go")
    return made


def main(argv: list[str]) -> int:
    """Writes attention.html and the pictures; of several samples in a folder each."""
    arguments = parser().parse_args(argv)
    folder = Path(arguments.out)
    check_folder("--out", folder)
    from unitf.analysis.attention import attend
    from unitf.analysis.attention.drawing import Choice, draw
    from unitf.analysis.attention.page import write_page
    from unitf.loading import load

    learner = load(arguments.checkpoint)
    samples = read_inputs(arguments.input, columns_of(learner), texts=texts_of(learner))
    choice = Choice(arguments.layer is not None, arguments.head is not None, arguments.rollout)
    for number, sample in enumerate(samples):
        attended = attend(learner, sample, arguments.task, arguments.layer, arguments.head)
        own = folder / str(number) if samples[1:] else folder
        own.mkdir(parents=True, exist_ok=True)
        title = ", ".join(f"{column}: {value}" for column, value in describe(sample).items())
        written = [write_page(own / "attention.html", attended, title)]
        _say([*written, *draw(own, attended, choice)])
    return 0


def _say(written: list[Path]) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    for path in written:
        console.print(str(path), markup=False)
