"""The command line: a light dispatcher, which imports torch only for the verbs that need it."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from unitf import __version__, registry
from unitf.errors import UserError, close_names, suggestion
from unitf.nn.reference_mode import reference_mode
from unitf.registry.command import Command

TRAINING: dict[str, str] = {  # verb → what it does
    "fit": "train a model from data (fit PATH) or from a recipe (fit --config FILE)",
    "validate": "measure a model on the validation split",
    "test": "measure a model on the test splits",
    "predict": "print predictions (--checkpoint RUN --input image=cat.png …)",
}
OTHERS: dict[
    str, tuple[str, str]
] = {  # verb → what it does, and the module whose main(argv) does it
    "recipe": ("write a recipe for your data: recipe PATH > mine.yaml", "unitf.cli.fit_data"),
    "search": ("try settings, keep the best: search PATH|--config X", "unitf.cli.search"),
    "generate": ("write: --checkpoint DIR --text …, or any input", "unitf.cli.generate"),
    "chat": ("talk with a language model at the terminal", "unitf.cli.chat"),
    "nearest": ("tokens or samples near one another, by a model", "unitf.cli.nearest"),
    "attend": ("draw what a model looks at in a sample", "unitf.cli.attend"),
    "report": ("write the page of a run: what it learned, how well", "unitf.cli.run_page"),
    "compare": ("put runs side by side: recipes, curves, figures", "unitf.cli.compare_runs"),
    "ablate": ("what each input or column is worth to a model", "unitf.cli.ablate"),
    "inspect": ("what a packed batch of a recipe looks like", "unitf.cli.inspect"),
    "bench": ("time a recipe's training steps, and find its limits", "unitf.cli.bench"),
    "describe": ("what a class is and takes, or all classes by kind", "unitf.cli.describe"),
    "plugins": ("list, check or begin plugins", "unitf.cli.plugins"),
    "completion": ("let the tab key complete: completion bash|zsh|fish", "unitf.cli.completion"),
    "merge": ("a model with adapters as one without (LoRA)", "unitf.cli.merge"),
}
EXCHANGE: dict[str, str] = {
    "import": "take over the weights of a published model",
    "export": "write a model for timm or transformers",
    "models": "list the families that can be imported",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit status.

    A mistake of the user is printed as one line, and the status is then 2.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(options, rest, parser)
        sys.stdout.flush()
        return status
    except UserError as error:
        if options.traceback:
            raise
        lines = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        print(f"unitf: error: {lines}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        if options.traceback:
            raise
        print("unitf: stopped", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError as error:  # most likely the reader has seen enough (`| head`)
        if options.traceback:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"unitf: stopped: {error}", file=sys.stderr)  # noqa: T201
        return 141
    except Exception as error:
        full = (errno.ENOSPC, errno.EDQUOT)
        if isinstance(error, OSError) and error.errno in full and not options.traceback:
            where = f"{error.filename}: " if error.filename else ""
            print(f"unitf: error: {where}no space left on the disk", file=sys.stderr)  # noqa: T201
            return 2
        from unitf.cli.plugin_hint import add_hint

        add_hint(error)
        raise


def _run(options: argparse.Namespace, rest: list[str], parser: argparse.ArgumentParser) -> int:
    verb, arguments = (rest[0], rest[1:]) if rest else ("--help", [])
    for path in options.plugin:
        registry.load_file(path)
    builtin_verbs = [*TRAINING, *OTHERS, *EXCHANGE]
    if verb in ("-h", "--help"):
        parser.epilog = _epilog(
            {c.name: _line(c) for c in registry.commands(builtin_verbs, quick=True)}
        )
        parser.print_help()
        return 0
    if verb not in builtin_verbs and verb not in (
        verbs := [*builtin_verbs, *(c.name for c in registry.commands(builtin_verbs))]
    ):
        close = close_names(verb, verbs)
        hint = suggestion(close[:1]) if close else f"expected one of {', '.join(verbs)}"
        raise UserError(f"there is no verb {verb!r}; {hint}")
    with reference_mode(options.plain):
        return _run_verb(verb, arguments)


def _run_verb(verb: str, arguments: list[str]) -> int:
    if verb == "plugins":
        if arguments[:1] != ["new"]:  # the list says which names cannot be verbs
            registry.commands([*TRAINING, *OTHERS, *EXCHANGE])
        return _call(OTHERS[verb][1], arguments)
    if (broken := registry.broken_summary()) is not None:
        print(f"unitf: warning: {broken}", file=sys.stderr)  # noqa: T201
    if verb == "fit" and (data := _data_path(arguments)) is not None:
        return _call("unitf.cli.fit_data", data, "fit")
    if verb == "search":
        return _call(OTHERS[verb][1], arguments, _data_path(arguments) or [])
    if verb in OTHERS:
        return _call(OTHERS[verb][1], arguments)
    if verb in EXCHANGE:
        return _call("unitf.cli.import_export", verb, arguments)
    given = {word.partition("=")[0] for word in arguments}
    own_samples = "--checkpoint" in given and not given & {"--input", "-h", "--help"}
    if verb == "predict" and not given & {"--config", "-c"} and not own_samples:
        return _call("unitf.cli.predict", arguments)
    if verb in ("validate", "test") and given & {"-h", "--help"} and not given & {"--config", "-c"}:
        return _call("unitf.cli.measuring_help", verb)
    if verb == "fit" and given & {"--folds", "--resume"} and not given & {"-h", "--help"}:
        return _call("unitf.cli.folds", arguments)
    if verb in TRAINING:
        return _call("unitf.cli.training_cli", verb, arguments)
    return _run_command(verb, arguments)


def _data_path(arguments: list[str]) -> list[str] | None:
    """Returns the arguments of `fit PATH` with the path in front; None: there is no path.

    Every option of `fit` takes a value, so a word after an option is none.
    """
    options = {word.partition("=")[0] for word in arguments}
    if options & {"--config", "-c", "--resume", "--help", "-h"}:
        return None
    before = ["", *arguments]
    for number, word in enumerate(arguments):
        follows = before[number].startswith("-") and "=" not in before[number]
        if not word.startswith("-") and not follows:
            return [word, *arguments[:number], *arguments[number + 1 :]]
    return None


def _run_command(verb: str, arguments: list[str]) -> int:
    """Runs the command of a plugin."""
    command: Command = registry.find("commands", verb)()
    parser = argparse.ArgumentParser(
        prog=f"unitf {verb}", description=type(command).__doc__, allow_abbrev=False
    )
    command.add_arguments(parser)
    status = command.run(parser.parse_args(arguments))
    if status is not None and not isinstance(status, int):
        kind = type(command).__name__
        raise UserError(f"{kind}.run gave {status!r:.80}, expected an exit status or None")
    return status or 0


def _call(module: str, *arguments: str | list[str]) -> int:
    return import_module(module).main(*arguments) or 0


def _line(command: registry.Record) -> str:
    return f"{command.help} ({command.plugin})".strip()


def _epilog(others: dict[str, str]) -> str:
    """Returns the list of verbs as text; those of plugins come last."""
    verbs = {**TRAINING, **{verb: line for verb, (line, _) in OTHERS.items()}, **EXCHANGE, **others}
    width = max(10, *(len(verb) + 2 for verb in verbs))
    lines = "\n".join(f"  {verb:<{width}}{line}" for verb, line in verbs.items())
    return f"verbs:\n{lines}\n\n`unitf VERB --help` explains a verb."


def _parser() -> argparse.ArgumentParser:
    """Returns the parser of the options that may stand before or after any verb.

    It has no `--help`, because each verb has its own.
    """
    parser = argparse.ArgumentParser(
        prog="unitf",
        usage="unitf [--plugin FILE] [--plain] [--traceback] VERB …",
        description="One Transformer core for every modality.",
        epilog=_epilog({}),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unitf {__version__}")
    parser.add_argument(
        "--plugin",
        metavar="FILE",
        action="append",
        default=[],
        help="load a Python file with classes of your own (may be repeated)",
    )
    parser.add_argument(
        "--plain", action="store_true", help="compute without fast paths, to compare with them"
    )
    parser.add_argument("--traceback", action="store_true", help="show where an error arose")
    return parser
