"""`unitf fit PATH` and `unitf recipe PATH`: data in, a recipe and a model out."""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from unitf.cli import folds
from unitf.cli.data_options import data_parser
from unitf.cli.kept_recipe import NAME
from unitf.cli.long_words import options_of
from unitf.cli.notation import short_form
from unitf.cli.run_length import process_seconds
from unitf.cli.training_cli import run
from unitf.errors import UserError
from unitf.loading import load, read_source
from unitf.model import Model
from unitf.recognition.recipe_maker import Made, make_recipe
from unitf.recognition.recipe_text import as_yaml
from unitf.recognition.wishes import Wishes
from unitf.training.durations import seconds_of


def main(argv: list[str], verb: str = "recipe") -> int:
    """Runs `recipe PATH`, which writes the recipe, or `fit PATH`, which trains it.

    The decisions are written to stderr.
    """
    if verb == "recipe":
        options = data_parser(verb).parse_args(argv)
        sys.stdout.write(_text(options.path, _made(Path(options.path), _wishes(options))))
        return 0
    options, rest = data_parser(verb).parse_known_args(argv)
    return fitted(Path(options.path), _wishes(options), rest, process_seconds())[0]


def fit(
    data: str | Path,
    target: str | None = None,
    test: str | Path | None = None,
    time: str | None = None,
    pretrained: str | None = None,
    out: str | Path | None = None,
    options: Mapping[str, object] | None = None,
) -> Model:
    """Makes a recipe of the data at a path, trains it, and returns the best model.

    Each decision is a line on stderr. The run's folder keeps the recipe.

    Args:
        data: a file or folder: a table, class folders, texts, an archive.
        target: the column to predict; None: the only one that looks like it.
        test: a file or folder of test samples.
        time: how long the training may take, as "10m", which is the default.
        pretrained: a model to fine-tune, as in `unitf.from_pretrained`.
        out: the folder of the run; None: runs/<name>/<time>.
        options: further options of `unitf fit`, as `{"data.num_workers": 0}`.

    Raises:
        UserError: nothing reads the data, it is not clear what to predict, or a setting is wrong.
    """
    wishes = _wishes(argparse.Namespace(target=target, test=test, time=time, pretrained=pretrained))
    words = {**({} if out is None else {"out": out}), **(options or {})}
    rest = [f"--{key}={'null' if value is None else value}" for key, value in words.items()]
    status, folder = fitted(Path(data), wishes, rest, 0.0)
    if status:
        raise UserError(f"the training was interrupted; {folder} keeps what is done")
    return load(folder)


def fitted(path: Path, wishes: Wishes, rest: list[str], seconds_before: float) -> tuple[int, str]:
    """Trains on the data at a path; returns the exit status and the folder of the run.

    Args:
        path: the data.
        wishes: what a person asked for.
        rest: further words of the command line, as for a recipe.
        seconds_before: how long the command runs already.
    """
    text = _text(str(path), _made(path, wishes), rest)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / _file_name(path)
        file.write_text(text, encoding="utf-8")
        if folds.are_wanted(rest):
            return folds.folded(["--config", str(file), *rest])
        return run("fit", ["--config", str(file), *rest], seconds_before, text)


def written_recipe(argv: list[str], folder: Path) -> list[str]:
    """Makes a recipe of data, writes it into a folder, and returns the words that name it.

    Args:
        argv: the words of `unitf fit PATH`, with the path in front.
        folder: the folder.
    """
    options, rest = data_parser("fit").parse_known_args(argv)
    file = folder / _file_name(Path(options.path))
    text = _text(options.path, _made(Path(options.path), _wishes(options)))
    file.write_text(text, encoding="utf-8")
    return ["--config", str(file), *rest]


def _file_name(path: Path) -> str:
    return f"{path.absolute().name.partition('.')[0] or 'data'}.yaml"


def _made(path: Path, wishes: Wishes) -> Made:
    if path.suffix.lower() in (".yaml", ".yml"):
        raise UserError(f"{path} looks like a recipe, expected --config {path}")
    if path.is_dir() and (path / NAME).is_file() and (path / "checkpoints").is_dir():
        raise UserError(f"{path} is the folder of a run, expected data (--resume {path} goes on)")
    made = make_recipe(path, wishes)
    for line in made.lines if rank_zero_only.rank == 0 else ():  # of processes, the first says it
        sys.stderr.write(f"unitf: {line}\n")
    return made


def _text(path: str, made: Made, rest: Sequence[str] = ()) -> str:
    comments = [f"Made by `unitf recipe {path}`; `unitf fit --config` trains it."]
    words = [w for option, keys, _ in options_of(rest) if keys != ("out",) for w in option]
    if words:
        comments.append(f"The run had these options too: {' '.join(shlex.join(words).split())}")
    return as_yaml(short_form(made.recipe), tuple(comments))


def _wishes(options: argparse.Namespace) -> Wishes:
    if options.time is not None:
        seconds_of(options.time, "--time")
    test = None if options.test is None else Path(options.test)
    if test is not None and not test.exists():
        raise UserError(f"--test {test} is not there, expected a file or a folder")
    names: tuple[str, ...] = ()
    if options.pretrained is not None:
        names = tuple(read_source(options.pretrained)["configuration"]["tokenizers"])
    return Wishes(options.target, test, options.time, options.pretrained, names)
