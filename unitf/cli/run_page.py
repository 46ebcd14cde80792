"""`unitf report RUN`: writes the page of a run, with samples, mistakes and intervals."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.cli.checkpoint_option import HELP, run_folder
from unitf.cli.writable import check_writable
from unitf.errors import UserError, one_line

if TYPE_CHECKING:  # torch takes long to import
    from unitf.model import Model
    from unitf.training import DataModule


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf report`; settings of the data are taken as by `unitf fit`."""
    parser = argparse.ArgumentParser(
        prog="unitf report",
        usage="unitf report RUN [--data.… ] [options]",
        description=__doc__,
        epilog="figures and curves are those of the run; nothing is trained or tested again",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help=HELP)
    parser.add_argument(
        "--samples",
        type=int,
        default=2_000,
        metavar="N",
        help="how many test samples the model is tried on, drawn by chance (default: 2,000); "
        "0: the page has no samples",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="instead of RUN/report.html")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser


def main(argv: list[str]) -> int:
    """Writes the page and prints its name."""
    options, rest = parser().parse_known_args(argv)
    if options.samples < 0:
        raise UserError(f"--samples {options.samples}: expected 0 or more")
    if options.out is not None:
        check_writable("--out", options.out)
    folder = run_folder("report", options.run)
    from unitf.analysis.report import write_report

    notices: list[str] = []
    model = data = None
    if options.samples:
        model, data = _model(folder, notices), _data(folder, rest, notices)
    for notice in notices:
        sys.stderr.write(f"unitf: warning: {notice}\n")
    file = write_report(folder, model, data, options.samples, notices=notices, out=options.out)
    sys.stdout.write(f"{file}\n")
    if options.open:
        import webbrowser

        webbrowser.open(file.resolve().as_uri())
    return 0


def _model(folder: Path, notices: list[str]) -> "Model | None":
    """Returns the model of a run; None: the page says why there is none."""
    from unitf.loading import load

    try:
        return load(folder)
    except UserError as error:
        notices.append(f"The model cannot be loaded, so no samples are shown: {one_line(error)}")
        return None


def _data(folder: Path, rest: list[str], notices: list[str]) -> "DataModule | None":
    """Returns the samples of a run; None: the page says why there are none."""
    from unitf.cli.untrained import RecipeCLI

    data = RecipeCLI("report", ["--config", str(folder / "config.yaml"), *rest]).datamodule
    try:
        for split in ("train", *data.test_splits):
            data.lasting_samples(split)
    except (UserError, OSError) as error:
        notices.append(f"The data cannot be read, so no samples are shown: {one_line(error)}")
        return None
    return data
