"""The option `--checkpoint` of all verbs that use a trained model. This file imports no torch."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from unitf.errors import UserError
from unitf.spelling import expanded

HELP: str = "a run's folder, a recipe's folder of runs (its newest), `latest`, or a checkpoint file"
RUNS: Path = Path("runs")  # where runs are written
_FILES = (
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "best.ckpt",
    "last.ckpt",
    "unitf.json",
    "ensemble.json",
)


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds the option to the parser of a verb."""
    parser.add_argument(
        "--checkpoint", required=True, action=_CheckpointAction, metavar="RUN", help=HELP
    )


class _CheckpointAction(argparse.Action):
    """Finds the run at once, so that a mistake is said before the work begins."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, resolve_run(str(values)))


def run_folder(verb: str, word: str) -> Path:
    """Returns the folder of the run that a person means, which holds its configuration.

    Raises:
        UserError: there is no such run.
    """
    run = Path(resolve_run(word, verb))
    folder = run if run.is_dir() else run.parent.parent
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{verb} {word}: found no {folder / 'config.yaml'}, expected {HELP}")
    return folder


def resolve_run(word: str, option: str = "--checkpoint") -> str:
    """Returns the run that a person means; a line says which one, where it was chosen.

    `latest` is the newest run with a checkpoint in `runs/`. A folder of runs, or the name of a
    recipe that has one there, is its newest run. Other words stay as they are.

    Args:
        word: what the person wrote.
        option: where that was, for the line.

    Raises:
        UserError: there is no run with a checkpoint.
    """
    word = expanded(word)
    folder = Path(word)
    if word == "latest" and not folder.exists():
        newest = _newest([*RUNS.glob("*/*"), *RUNS.glob("*")])
        if newest is None:
            raise UserError(f"{option} latest: found no run with a checkpoint in {RUNS}/")
    else:
        if not folder.exists() and folder.name == word and (RUNS / word).is_dir():
            folder = RUNS / word
        if (
            not folder.is_dir()
            or _saved_at(folder)
            or (newest := _newest(folder.glob("*"))) is None
        ):
            return word
    sys.stderr.write(f"unitf: {option} {word}: {newest}\n")
    return str(newest)


def with_checkpoint(verb: str, argv: Sequence[str]) -> list[str]:
    """Replaces `--checkpoint RUN` of a training verb by the options of the parser.

    The recipe is that of the run, unless the command line names one.

    Raises:
        UserError: the verb trains, or the run has no recipe.
    """
    words = [part for word in argv for part in _split(word)]
    if "--checkpoint" not in words:
        return list(argv)
    index = words.index("--checkpoint")
    if verb == "fit":
        raise UserError(
            "fit --checkpoint: expected --resume RUN to go on with a run, or --model.pretrained "
            "RUN to begin with its weights"
        )
    if index + 1 >= len(words):
        raise UserError(f"{verb} --checkpoint: expected {HELP}")
    run = Path(resolve_run(words[index + 1]))
    others = [*words[:index], *words[index + 2 :], "--ckpt_path", str(run)]
    if any(word.partition("=")[0] in ("--config", "-c") for word in others):
        return others
    file = (run if run.is_dir() else run.parent.parent) / "config.yaml"
    if not file.is_file():
        raise UserError(
            f"{verb} --checkpoint {run}: found no {file}, expected --config with a recipe"
        )
    return ["--config", str(file), *others]


def _split(word: str) -> list[str]:
    option, equals, value = word.partition("=")
    return [option, value] if equals and option == "--checkpoint" else [word]


def _newest(folders: Iterable[Path]) -> Path | None:
    runs = [folder for folder in folders if folder.is_dir() and _saved_at(folder)]
    return max(runs, key=_saved_at, default=None)


def _saved_at(run: Path) -> float:
    """Returns when a model was last written into a folder; 0: there is none."""
    files = [run / name for name in _FILES]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
