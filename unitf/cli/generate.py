"""`unitf generate`: what a model writes after a prompt, or for an input of any modality."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from unitf.cli.inputs import HELP, describe, read_inputs, texts_of
from unitf.errors import UserError

_OPTIONS = {
    "max_tokens": (int, "tokens at most, beside the prompt and --begin"),
    "context": (int, "read at most so many of the last tokens: to go on beyond what was trained"),
    "temperature": (float, "above 0 tokens are drawn; 0: the likeliest"),
    "top_k": (int, "draw from so many of the likeliest tokens"),
    "top_p": (float, "… from the likeliest that together have this probability"),
    "min_p": (float, "… from those with this share of the likeliest's probability"),
    "repetition_penalty": (float, "above 1: less of what is there already"),
    "num_beams": (int, "beam search over so many sequences"),
    "length_penalty": (float, "of beams: above 0 favours long sequences, below 0 short ones"),
    "num_returns": (int, "sequences for each sample"),
    "seed": (int, "of what is drawn"),
}


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf generate`; `--COLUMN value` is short for `--input COLUMN=value`."""
    made = argparse.ArgumentParser(prog="unitf generate", description=__doc__, allow_abbrev=False)
    made.add_argument("--checkpoint", required=True, help="a run's folder or a checkpoint file")
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    made.add_argument("--input", metavar="COLUMN=VALUE|TABLE", help=HELP, **several)
    made.add_argument("--text", help="the first input that is a text; also --image, --audio, …")
    made.add_argument("--prompts", metavar="FILE", help="texts, a line each, many at once")
    made.add_argument("--task", help="the task that writes, where several can")
    settings(made)
    made.add_argument(
        "--begin", metavar="TEXT", help="what every sequence begins with: a text, or ids of tokens"
    )
    made.add_argument("--stop", help="texts, or ids of tokens, that end a sequence", **several)
    made.add_argument("--answers", help="the only texts that may come out", **several)
    made.add_argument("--json", action="store_true", help="print JSON, with log-probabilities")
    made.add_argument("--stream", action="store_true", help="print each token as it comes")
    made.add_argument("--batch-size", type=int, default=32, help="samples at once")
    return made


def settings(made: argparse.ArgumentParser) -> None:
    """Adds the options that say how tokens are chosen."""
    for name, (kind, line) in _OPTIONS.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="NUMBER", help=line)


def read_settings(arguments: argparse.Namespace) -> Any:
    """The settings that were given; the others are the defaults of `Generation`."""
    from unitf.generation import Generation

    given = {name: getattr(arguments, name) for name in _OPTIONS}
    options = {name: value for name, value in given.items() if value is not None}
    stop = [int(s) if s.isdecimal() else s for s in getattr(arguments, "stop", [])]
    begin = getattr(arguments, "begin", None) or None
    if begin is not None and begin.replace(" ", "").isdecimal():
        begin = [int(word) for word in begin.split()]
    options["begin"], options["answers"] = begin, getattr(arguments, "answers", None) or None
    return Generation(**options, stop=stop)


def main(argv: list[str]) -> int:
    """Prints what was written."""
    arguments, rest = parser().parse_known_args(argv)
    from unitf.inference import writing_task
    from unitf.loading import load

    how, learner = read_settings(arguments), load(arguments.checkpoint)
    task = learner.tasks[writing_task(learner, arguments.task)]
    samples = _samples(arguments, rest, task, learner)
    if arguments.stream:
        _stream(learner, samples, how, arguments)
        return 0
    found = learner.generate(samples, how, arguments.task, arguments.batch_size)
    if arguments.json:
        for one in found:
            one["sample"] = describe(samples[one.pop("index")])
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1, default=_plain) + "\n")
        return 0
    for one in found:
        said = one.get("text", one.get("value"))
        sys.stdout.write(f"{said if isinstance(said, str) else json.dumps(said, default=_plain)}\n")
    return 0


def _plain(value: Any) -> Any:
    """Arrays as lists; other raw values (pictures) by their type."""
    return value.tolist() if hasattr(value, "tolist") else f"<{type(value).__name__}>"


def _stream(learner: Any, samples: list[dict[str, Any]], how: Any, arguments: Any) -> None:
    for sample in samples:
        for piece in learner.stream(sample, how, arguments.task):
            if arguments.json:
                sys.stdout.write(json.dumps(piece, ensure_ascii=False, default=_plain) + "\n")
            else:
                sys.stdout.write(piece.get("text", f"{piece['token']}\n"))
            sys.stdout.flush()
        sys.stdout.write("" if arguments.json else "\n")


def _samples(
    arguments: argparse.Namespace, rest: list[str], task: Any, learner: Any
) -> list[dict[str, Any]]:
    """The samples that the command line means; none given: one that begins with nothing."""
    columns = list(task.inputs)
    words = [*arguments.input, *_short(rest, columns)]
    if arguments.prompts is not None:
        column = _text_column(task, learner, "--prompts")
        if not Path(arguments.prompts).exists():
            raise UserError(f"--prompts {arguments.prompts}: there is no such file")
        words.append(f"{column}=@{arguments.prompts}")
    samples = read_inputs(words, columns, texts=texts_of(learner)) if words else [{}]
    if arguments.text is None:
        return samples
    column = _text_column(task, learner, "--text")
    return [{**sample, column: arguments.text} for sample in samples]


def _short(rest: list[str], columns: list[str]) -> list[str]:
    """`--image cat.png` as `image=cat.png`, by the name of a column."""
    words = []
    while rest:
        option, equals, value = rest[0].partition("=")
        name = option.removeprefix("--")
        if name == option or name not in columns:
            raise UserError(
                f"generate: unknown {rest[0]!r}; this model reads {', '.join(columns)} "
                f"(`unitf generate --help` lists the options)"
            )
        if not equals and len(rest) < 2:
            raise UserError(f"generate: {option} needs a value")
        words.append(f"{name}={value if equals else rest[1]}")
        rest = rest[1 if equals else 2 :]
    return words


def _text_column(task: Any, learner: Any, option: str) -> str:
    """The column that a text without a name is for."""
    if "text" in task.inputs:
        return "text"
    of_ids = [c for c, n in task.inputs.items() if learner.tokenizers[n].vocabulary_size]
    if not of_ids:
        raise UserError(f"{option}: this model reads no text, but {', '.join(task.inputs)}")
    return of_ids[0]
