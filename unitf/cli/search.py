"""`unitf search`: tries settings of a recipe, and keeps the best model by its validation."""

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from unitf import registry
from unitf.cli.run_folder import RunFolder
from unitf.cli.search_settings import SETTINGS, SearchSettings, begun
from unitf.errors import UserError
from unitf.spelling import expanded
from unitf.training.durations import seconds_of


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf search`; other options are those of `unitf fit`."""
    parser = argparse.ArgumentParser(
        prog="unitf search",
        usage="unitf search (PATH | --config FILE | --resume FOLDER) [options]",
        description="Tries settings of a recipe, one trial after the other, and keeps the best "
        "model by its validation. The first trial is the recipe as it is.",
        epilog="PATH is data, as for `unitf fit PATH`, with --target, --test and --pretrained. All "
        "other options of `unitf fit` may follow.",
        allow_abbrev=False,
    )
    parser.add_argument("--space", type=Path, metavar="FILE", help="what is tried, by key")
    parser.add_argument("--trials", type=int, metavar="N", help="how many trials (12)")
    parser.add_argument("--time", help="how long all trials may take, as 1h")
    parser.add_argument("--trial-time", help="how long a trial may take, as 2m")
    parser.add_argument("--out", metavar="FOLDER", help="the folder of the search")
    parser.add_argument("--resume", metavar="FOLDER", help="go on with the search of a folder")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing of settings")
    return parser


def main(argv: list[str], data: list[str]) -> int:
    """Begins a search, or goes on with one.

    Args:
        argv: the words after the verb.
        data: the same with the path of the data in front; empty: there is no such path.
    """
    options, rest = parser().parse_known_args(data or argv)
    if find_spec("optuna") is None:
        raise UserError("search needs optuna, which is not installed: pip install 'unitf[search]'")
    folder = _folder(options)
    if folder is not None and (folder / SETTINGS).is_file():
        _go_on(options, rest, folder)
    elif options.resume is not None:
        raise UserError(f"--resume {folder}: found no {SETTINGS} there, expected a search")
    elif not data and not {"--config", "-c"} & {word.partition("=")[0] for word in rest}:
        raise UserError("search: expected the path of data, --config FILE or --resume FOLDER")
    else:
        folder = begun(options, rest, bool(data), folder)
    from unitf.cli.search_run import SearchRun

    lock = RunFolder()
    lock.lock(folder)
    try:
        return SearchRun(folder).run()
    finally:
        lock.release()


def _folder(options: argparse.Namespace) -> Path | None:
    named = options.resume or options.out
    return None if named is None else Path(expanded(named))


def _go_on(options: argparse.Namespace, rest: list[str], folder: Path) -> None:
    """Takes over another number of trials, or another time, for a search that goes on.

    Raises:
        UserError: something else is given, or it was not asked to go on.
    """
    if options.resume is None:
        command = f"{registry.invocation()} search --resume {folder}"
        raise UserError(f"--out {folder}: found a search there; it goes on with: {command}")
    others = {"--space": options.space, "--trial-time": options.trial_time, "--out": options.out}
    found = [*(option for option, value in others.items() if value is not None), *rest]
    if found:
        raise UserError(
            f"--resume {folder}: found {found[0]}, expected nothing but --trials and --time: the "
            "folder has the recipe and the space"
        )
    settings = SearchSettings.read(folder)
    if options.trials is not None:
        settings = replace(settings, trials=options.trials)
    if options.time is not None:
        settings = replace(settings, seconds=seconds_of(options.time, "--time"))
    settings.write(folder)
