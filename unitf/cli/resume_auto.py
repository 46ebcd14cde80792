"""`--resume auto`: a job that is started again goes on with the run that it began."""

import sys
from collections.abc import Iterator
from pathlib import Path

from lightning.fabric.utilities.rank_zero import _get_rank

from unitf.cli.recipe import files_of
from unitf.cli.run_folder import is_finished
from unitf.errors import UserError


def resolve_auto(argv: list[str]) -> list[str]:
    """Replaces `--resume auto` by `--resume DIR`, or removes it if no run is unfinished.

    DIR is the folder of `--out`, or else the newest unfinished run of the recipe's folder. The run
    goes on with its own recipe, so `--config` is removed as well; other options stay.

    Raises:
        UserError: neither a recipe nor a folder is given.
        SystemExit: the run in the folder of `--out` is finished; the status is 0.
    """
    argv = [part for word in argv for part in _split(word)]
    if "--resume" not in argv or argv[argv.index("--resume") + 1 :][:1] != ["auto"]:
        return argv
    index = argv.index("--resume")
    others = [*argv[:index], *argv[index + 2 :]]
    out = next((others[n + 1] for n in range(len(others) - 1) if others[n] == "--out"), None)
    recipe = next(files_of(others), None)
    if out is None and recipe is None:
        raise UserError("--resume auto: expected --config with a recipe, or --out with a folder")
    folder = Path(out) if out is not None else Path("runs") / Path(str(recipe)).stem
    if out is not None and _checkpoints(folder) and is_finished(folder):
        _say(f"the run in {folder} is finished, there is nothing to do")
        raise SystemExit(0)
    runs = [folder] if out is not None else list(folder.iterdir()) if folder.is_dir() else []
    newest = max((run for run in runs if _is_unfinished(run)), key=_saved_at, default=None)
    if newest is None:
        _say(f"no unfinished run with a checkpoint in {folder}: the run starts anew")
        return others
    _say(f"the run in {newest} goes on, with its own config.yaml")
    return [*_without(others, ("--config", "-c", "--out")), "--resume", str(newest)]


def _split(word: str) -> list[str]:
    """Splits `--resume=DIR`, and likewise the other options that are looked for here."""
    option, equals, value = word.partition("=")
    names = ("--resume", "--out")
    return [option, value] if equals and option in names else [word]


def _without(words: list[str], options: tuple[str, ...]) -> list[str]:
    """Returns the words without some options and their values."""

    def kept() -> Iterator[str]:
        rest = iter(words)
        for word in rest:
            option, equals, _ = word.partition("=")
            if option not in options:
                yield word
            elif not equals:
                next(rest, None)

    return list(kept())


def _checkpoints(folder: Path) -> list[Path]:
    return list((folder / "checkpoints").glob("*.ckpt"))


def _is_unfinished(folder: Path) -> bool:
    complete = (folder / "config.yaml").is_file() and bool(_checkpoints(folder))
    return complete and not is_finished(folder)


def _saved_at(folder: Path) -> float:
    return max(file.stat().st_mtime for file in _checkpoints(folder))


def _say(line: str) -> None:
    if not _get_rank():  # each process of a run reads the command line
        sys.stderr.write(f"unitf: --resume auto: {line}\n")
