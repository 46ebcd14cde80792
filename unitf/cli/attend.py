"""`unitf attend --checkpoint`: what a trained model looks at, as pictures and a page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from unitf.cli.checkpoint_option import add_checkpoint
from unitf.cli.inputs import HELP, add_list, columns_of, describe, read_inputs, texts_of
from unitf.cli.writable import check_folder


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf attend`."""
    parser = argparse.ArgumentParser(prog="unitf attend", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "--input", HELP, "COLUMN=VALUE|TABLE")
    parser.add_argument(
        "--task", metavar="NAME", help="the task that reads the sample, if several can"
    )
    for option, things in (("--layer", "layers"), ("--head", "heads")):
        help_line = f"show only these {things}, counted from 0; each has a panel"
        add_list(parser, option, help_line, "N", int, default=None)
    parser.add_argument(
        "--rollout", action="store_true", help="pictures show the rollout over all layers"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the pictures go")
    return parser


def main(argv: list[str]) -> int:
    """Writes attention.html and the pictures.

    Each of several samples has a folder of its own.
    """
    arguments = parser().parse_args(argv)
    folder = Path(arguments.out)
    check_folder("--out", folder)
    from unitf.analysis.attention import attend
    from unitf.analysis.attention.drawing import Choice, draw
    from unitf.analysis.attention.page import write_page
    from unitf.loading import load

    model = load(arguments.checkpoint)
    samples = read_inputs(arguments.input, columns_of(model), texts=texts_of(model))
    choice = Choice(arguments.layer is not None, arguments.head is not None, arguments.rollout)
    for number, sample in enumerate(samples):
        sample_attention = attend(model, sample, arguments.task, arguments.layer, arguments.head)
        sample_folder = folder / str(number) if samples[1:] else folder
        sample_folder.mkdir(parents=True, exist_ok=True)
        title = ", ".join(f"{column}: {value}" for column, value in describe(sample).items())
        page = write_page(sample_folder / "attention.html", sample_attention, title)
        _print([page, *draw(sample_folder, sample_attention, choice)])
    return 0


def _print(paths: Sequence[Path]) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    for path in paths:
        console.print(str(path), markup=False)
