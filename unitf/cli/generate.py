"""`unitf generate`: writes after a prompt, or for an input of any modality."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unitf.cli.checkpoint_option import add_checkpoint
from unitf.cli.inputs import HELP, add_list, describe, read_inputs, texts_of
from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.generation import Generation
    from unitf.model import Model
    from unitf.tasks.task import Task

_OPTIONS = {
    "max_tokens": (int, "the most tokens to write, not counting the prompt and --begin"),
    "context": (int, "how many of the last tokens are read, to write more than was trained"),
    "temperature": (float, "above 0 tokens are drawn at random; 0: the likeliest"),
    "top_k": (int, "draw from so many of the likeliest tokens"),
    "top_p": (float, "… from the likeliest that together have this probability"),
    "min_p": (float, "… from those at least this fraction as likely as the likeliest"),
    "repetition_penalty": (float, "above 1: tokens that occur already become less likely"),
    "num_beams": (int, "how many sequences beam search keeps"),
    "length_penalty": (float, "of beams: above 0 favours long sequences, below 0 short ones"),
    "num_returns": (int, "how many sequences to return for each sample"),
    "seed": (int, "the seed of random draws"),
}


def parser() -> argparse.ArgumentParser:
    """Returns the parser; `--COLUMN value` is short for `--input COLUMN=value`."""
    parser = argparse.ArgumentParser(prog="unitf generate", description=__doc__, allow_abbrev=False)
    add_checkpoint(parser)
    add_list(parser, "--input", HELP, "COLUMN=VALUE|TABLE")
    parser.add_argument("--text", help="the first input that is a text; also --image, --audio, …")
    parser.add_argument("--prompts", metavar="FILE", help="texts, a line each, many at once")
    parser.add_argument("--task", help="the task that writes, where several can")
    settings(parser)
    parser.add_argument("--begin", metavar="TEXT", help="the text that every sequence begins with")
    add_list(parser, "--begin-ids", "the ids of tokens that every sequence begins with", type=int)
    add_list(parser, "--stop", "texts that end a sequence")
    add_list(parser, "--stop-ids", "ids of tokens that end a sequence", type=int)
    add_list(parser, "--answers", "the only texts that may be written")
    parser.add_argument("--json", action="store_true", help="print JSON, with log-probabilities")
    parser.add_argument("--stream", action="store_true", help="print each token as it comes")
    parser.add_argument("--batch-size", type=int, default=32, help="samples at once")
    return parser


def settings(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `Generation` to a parser."""
    for name, (kind, line) in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="NUMBER", help=line)


def read_settings(arguments: argparse.Namespace) -> "Generation":
    """Reads the settings of a command line; `Generation` has defaults for the others."""
    from unitf.generation import Generation

    values = {name: getattr(arguments, name) for name in _OPTIONS}
    options = {name: value for name, value in values.items() if value is not None}
    stop = [*getattr(arguments, "stop", []), *getattr(arguments, "stop_ids", [])]
    begin = getattr(arguments, "begin", None) or getattr(arguments, "begin_ids", None) or None
    options["begin"], options["answers"] = begin, getattr(arguments, "answers", None) or None
    return Generation(**options, stop=stop)


def main(argv: list[str]) -> int:
    """Prints what the model writes."""
    arguments, rest = parser().parse_known_args(argv)
    from unitf.inference import writing_task
    from unitf.loading import load

    generation, model = read_settings(arguments), load(arguments.checkpoint)
    task = model.tasks[writing_task(model, arguments.task)]
    samples = _samples(arguments, rest, task, model)
    if arguments.stream:
        _stream(model, samples, generation, arguments)
        return 0
    records = model.generate(samples, generation, arguments.task, arguments.batch_size)
    if arguments.json:
        for record in records:
            record["sample"] = describe(samples[record.pop("index")])
        sys.stdout.write(json.dumps(records, ensure_ascii=False, indent=1, default=_plain) + "\n")
        return 0
    for record in records:
        value = record.get("text", record.get("value"))
        text = value if isinstance(value, str) else json.dumps(value, default=_plain)
        sys.stdout.write(f"{text}\n")
    return 0


def _plain(value: object) -> object:
    """Makes plain data for JSON: a list of an array, the name of its type of another value."""
    to_list = getattr(value, "tolist", None)
    return f"<{type(value).__name__}>" if to_list is None else to_list()


def _stream(
    model: "Model",
    samples: Sequence[dict[str, object]],
    generation: "Generation",
    arguments: argparse.Namespace,
) -> None:
    for sample in samples:
        for piece in model.stream(sample, generation, arguments.task):
            if arguments.json:
                sys.stdout.write(json.dumps(piece, ensure_ascii=False, default=_plain) + "\n")
            else:
                sys.stdout.write(str(piece.get("text", f"{piece['token']}\n")))
            sys.stdout.flush()
        sys.stdout.write("" if arguments.json else "\n")


def _samples(
    arguments: argparse.Namespace, rest: list[str], task: "Task", model: "Model"
) -> list[dict[str, object]]:
    """Returns the samples of the command line; without any, one sample that has no prompt."""
    columns = list(task.inputs)
    words = [*arguments.input, *_short(rest, columns)]
    if arguments.prompts is not None:
        column = _text_column(task, model, "--prompts")
        if not Path(arguments.prompts).exists():
            raise UserError(f"--prompts {arguments.prompts}: there is no such file")
        words.append(f"{column}=@file:{arguments.prompts}")
    samples = read_inputs(words, columns, texts=texts_of(model)) if words else [{}]
    if arguments.text is None:
        return samples
    column = _text_column(task, model, "--text")
    return [{**sample, column: arguments.text} for sample in samples]


def _short(rest: list[str], columns: list[str]) -> list[str]:
    """Turns `--image cat.png` into `image=cat.png`, for the name of any column."""
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


def _text_column(task: "Task", model: "Model", option: str) -> str:
    """Returns the column for a text that is given without the name of a column."""
    if "text" in task.inputs:
        return "text"
    of_ids = [c for c, n in task.inputs.items() if model.tokenizers[n].vocabulary_size]
    if not of_ids:
        raise UserError(f"{option}: this model reads no text, but {', '.join(task.inputs)}")
    return of_ids[0]
