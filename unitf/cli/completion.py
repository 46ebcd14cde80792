"""`unitf completion SHELL`: what the tab key offers; this file imports no torch."""

import argparse
import contextlib
import io
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from unitf import registry
from unitf.cli.checkpoint_option import RUNS
from unitf.cli.data_options import data_parser
from unitf.registry.kinds import KINDS

_SCRIPTS = {
    "bash": """\
_unitf() {
  local IFS=$'\\n'
  local found="$(unitf completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)"
  COMPREPLY=($(compgen -W "$found" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _unitf unitf
""",
    "zsh": """\
_unitf() {
  local -a found
  found=(${(f)"$(unitf completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -- $found; else _files; fi
}
compdef _unitf unitf
""",
    "fish": """\
function __unitf
  unitf completion words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c unitf -a '(__unitf)'
""",
}
# of the verbs whose own parser takes seconds to make, because it knows every class
_OF_TRAINING = (
    "--config", "--out", "--ckpt_path", "--print_config", "--model.", "--data.", "--trainer.",
)  # fmt: skip
_RUNS = ("--checkpoint", "--resume", "--pretrained")  # options whose value may be a run


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf completion`."""
    parser = argparse.ArgumentParser(
        prog="unitf completion",
        description="Prints a script that lets the tab key complete verbs, options, runs and class "
        "names. For bash: source <(unitf completion bash); the others are in docs/start.md.",
    )
    parser.add_argument("shell", choices=[*_SCRIPTS, "words"], help="the shell, or its question")
    parser.add_argument("words", nargs="*", help="what was typed so far, after `unitf`")
    return parser


def main(argv: list[str]) -> int:
    """Prints the script of a shell, or a line for each word that may come next."""
    shell, typed = parser().parse_args(argv[:1]).shell, argv[1:]
    if shell == "words":
        typed = typed[1:] if typed[:1] == ["--"] else typed
        sys.stdout.write("".join(f"{word}\n" for word in candidates(typed)))
    else:
        sys.stdout.write(_SCRIPTS[shell])
    return 0


def candidates(typed: Sequence[str]) -> list[str]:
    """Returns what may stand for the last word, which may be empty; none: a file may.

    Args:
        typed: the words after `unitf`.
    """
    *before, word = typed or [""]
    verbs = _verbs()
    verb = next((w for w in before if w in verbs), None)
    if before and before[-1] in _RUNS:
        found: Iterable[str] = _runs(resumes=before[-1] == "--resume")
    elif verb is None:
        found = [*verbs, *_options_in(_help([]))]
    elif verb == "describe" and not word.startswith("-"):
        found = [name for kind in KINDS for name in registry.names(kind)]
    elif word.startswith("-"):
        found = _options(verb)
    else:
        found = ()
    return list(dict.fromkeys(one for one in found if one.startswith(word)))


def _verbs() -> list[str]:
    from unitf.cli import EXCHANGE, OTHERS, TRAINING

    own = [*TRAINING, *OTHERS, *EXCHANGE]
    return [*own, *(command.name for command in registry.commands(own, quick=True))]


def _options(verb: str) -> list[str]:
    """Returns the options of a verb, as its help has them."""
    if verb == "fit":
        first = _options_in(data_parser(verb).format_help())
        return [*first, "--resume", "--test_after_fit", *_OF_TRAINING]
    if verb in ("inspect", "bench"):
        return [*_options_in(import_module(f"unitf.cli.{verb}").parser().format_help()), "--config"]
    return _options_in(_help([verb]))


def _options_in(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)))


def _help(words: list[str]) -> str:
    """Returns what `unitf WORDS --help` prints."""
    from unitf.cli import main as unitf

    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        unitf([*words, "--help"])
    return told.getvalue()


def _runs(resumes: bool) -> list[str]:
    """Returns the folders of the runs, the newest first, and the words that stand for some."""
    folders = [folder for folder in RUNS.glob("*/*") if (folder / "checkpoints").is_dir()]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    recipes = dict.fromkeys(folder.parent.name for folder in folders)
    return ["auto" if resumes else "latest", *map(str, folders), *([] if resumes else recipes)]
