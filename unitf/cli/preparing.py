"""Prepares a command line for the parser of the training verbs."""

import logging
import sys
import warnings
from pathlib import Path

from jsonargparse import set_parsing_settings

from unitf import registry
from unitf.checkpoints.read import to_resume
from unitf.cli.core_size import with_sizes
from unitf.cli.expected_values import read_by_expectation
from unitf.cli.long_words import long_words
from unitf.cli.overrides import spell_out
from unitf.cli.owners import FOREIGN, OWNERS
from unitf.cli.recipe import StrictLoader, check_recipes, mentioned_names
from unitf.cli.renamed import refuse_old_words, update_file
from unitf.cli.resume_auto import resolve_auto
from unitf.errors import UserError
from unitf.spelling import expanded


def _quieten() -> None:
    """Hides Lightning's messages, except warnings that a user can act on."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    hidden = (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        "Be aware that when using `ckpt_path`.*",
        "It is recommended to use `self.log.*sync_dist=True.*",  # our metrics are global already
    )
    for message in hidden:
        warnings.filterwarnings("ignore", message=message)


def _resume(argv: list[str]) -> list[str]:
    """Replaces `--resume DIR` by options for that run's recipe, folder and last checkpoint."""
    if "--resume" not in argv:
        return argv
    index = argv.index("--resume")
    if index + 1 >= len(argv):
        raise UserError("--resume: expected the folder of a run")
    folder = Path(argv[index + 1])
    last = to_resume(folder)
    for file in (folder / "config.yaml", last):
        if not file.is_file():
            raise UserError(f"--resume {folder}: {file} is not there, so it cannot go on")
    if lines := update_file(folder / "config.yaml", OWNERS):
        sys.stderr.write(f"unitf: {folder / 'config.yaml'}: {'; '.join(lines)}\n")
    recipe = ["--config", str(folder / "config.yaml")]
    if "held_out" not in (folder / "config.yaml").read_text(encoding="utf-8"):
        recipe += ["--data.held_out", "0"]  # a run of a version that drew no splits
    others = [*argv[:index], *argv[index + 2 :]]
    return [*recipe, *others, "--out", str(folder), "--ckpt_path", str(last)]


def _expand_paths(argv: list[str]) -> list[str]:
    """Replaces `~` and variables in the options that name folders, as in paths of a recipe."""
    words: list[str] = []
    for word in argv:
        option, equals, path = word.partition("=")
        if words and words[-1] in _PATHS:
            words.append(expanded(word))
        else:
            words.append(f"{option}={expanded(path)}" if equals and option in _PATHS else word)
    return words


_PATHS = ("--out", "--resume", "--ckpt_path")
_BY_NAME = ("augmentations", "callbacks", "loggers", "optimizers", "schedules")


def prepare(argv: list[str]) -> list[str]:
    """Prepares the words of a command line for the parser, and registers the classes they name."""
    _quieten()
    for kind in ("tokenizers", "tasks", "sources"):
        registry.resolve_all(kind)
    # a recipe may name only classes of unitf, of plugins and of FOREIGN: importing runs code
    allowed = sorted(registry.modules() | set(FOREIGN))
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)
    read_by_expectation(StrictLoader)
    argv = long_words(_resume(resolve_auto(_expand_paths(argv))))
    refuse_old_words(argv, OWNERS)
    check_recipes(argv)
    # the parser finds a class by its short name only once it is imported
    registry.resolve_named(_BY_NAME, mentioned_names(argv))
    argv = spell_out(with_sizes(argv))
    argv = ["--data.root" if word == "--data-root" else word for word in argv]
    return [
        f"--data.root={word.partition('=')[2]}" if word.startswith("--data-root=") else word
        for word in argv
    ]
