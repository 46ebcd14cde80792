"""`unitf nearest --checkpoint`: finds the tokens, or the samples, nearest to a given one."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict

from unitf.cli.checkpoint_option import add_checkpoint
from unitf.cli.inputs import HELP, add_list, columns_of, describe, read_inputs, texts_of
from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.model import Model

Description = Mapping[str, str | int | float]  # of a sample, for a person


class Neighbour(TypedDict):
    """A token or a sample near the query; `cosine` is the cosine of the angle between both."""

    cosine: float
    token: NotRequired[str]
    index: NotRequired[int]
    sample: NotRequired[Description]


class Neighbours(TypedDict):
    """A query, and what is nearest to it, best first."""

    query: str | Description
    nearest: list[Neighbour]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf nearest`."""
    parser = argparse.ArgumentParser(prog="unitf nearest", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "--query", "tokens of the vocabulary", "TOKEN")
    parser.add_argument(
        "--tokenizer", metavar="NAME", help="whose vocabulary, if there are several"
    )
    add_list(parser, "--input", f"samples: {HELP}", "COLUMN=VALUE")
    help_line = "the samples among which to search, given in the same ways"
    add_list(parser, "--data", help_line, "COLUMN=FOLDER|FILE|TABLE")
    parser.add_argument("--top", type=int, default=10, help="how many to show")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--batch-size", type=int, default=64, help="samples at once")
    return parser


def main(argv: list[str]) -> int:
    """Prints the neighbours."""
    arguments = parser().parse_args(argv)
    if bool(arguments.query) == bool(arguments.input):
        raise UserError("nearest: expected --query TOKEN, or --input COLUMN=VALUE and --data")
    if bool(arguments.input) != bool(arguments.data):
        raise UserError("nearest: --input and --data go together: a sample, and where to look")
    if arguments.top < 1:
        raise UserError(f"--top {arguments.top}: expected 1 or more")
    from unitf.loading import load

    model = load(arguments.checkpoint)
    answers = (_tokens if arguments.query else _samples)(model, arguments)
    if arguments.json:
        sys.stdout.write(json.dumps(answers, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(answers)
    return 0


def _tokens(model: "Model", arguments: argparse.Namespace) -> list[Neighbours]:
    """Returns the tokens nearest to each queried token."""
    from unitf.analysis.neighbours import nearest_tokens

    model.configuration()  # refused by an ensemble, whose members have tokenizers of their own
    tokenizer = model.tokenizers[_choose(model, arguments.tokenizer)]
    return [
        {
            "query": query,
            "nearest": [
                {"token": name, "cosine": cosine}
                for name, cosine in nearest_tokens(tokenizer, query, arguments.top)
            ],
        }
        for query in arguments.query
    ]


def _choose(model: "Model", name: str | None) -> str:
    """Returns the name of the tokenizer that is meant."""
    with_ids = [n for n, t in model.tokenizers.items() if t.vocabulary_size is not None]
    meant = [n for n in with_ids if name in (n, None)]
    if len(meant) == 1:
        return meant[0]
    option = "no --tokenizer" if name is None else f"--tokenizer {name}"
    raise UserError(f"nearest: {option}; with a vocabulary: {', '.join(with_ids) or 'none'}")


def _samples(model: "Model", arguments: argparse.Namespace) -> list[Neighbours]:
    """Returns the samples of --data nearest to each sample of --input."""
    from unitf.analysis.neighbours import nearest

    columns, texts = columns_of(model), texts_of(model)
    queries = read_inputs(arguments.input, columns, texts=texts)
    samples = read_inputs(arguments.data, columns, "--data", texts)
    rows = model.embed(samples, arguments.batch_size)
    return [
        {
            "query": describe(query),
            "nearest": [
                {"index": number, "sample": describe(samples[number]), "cosine": cosine}
                for number, cosine in nearest(row, rows, arguments.top)
            ],
        }
        for query, row in zip(queries, model.embed(queries, arguments.batch_size), strict=True)
    ]


def _show(answers: Sequence[Neighbours]) -> None:
    for number, answer in enumerate(answers):
        rows = [(f"{n['cosine']:.3f}", _name(n)) for n in answer["nearest"]]
        if sys.stdout.isatty():
            _draw(_line(answer["query"]), rows)
            continue
        if len(answers) > 1:
            sys.stdout.write("\n" * bool(number) + f"{_line(answer['query'])}\n")
        sys.stdout.writelines(f"{cosine}\t{name}\n" for cosine, name in rows)


def _draw(title: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title=Text(title), title_justify="left")
    table.add_column("cosine")
    table.add_column("", overflow="fold")
    for cosine, name in rows:
        table.add_row(cosine, Text(name))
    Console().print(table)


def _name(neighbour: Neighbour) -> str:
    return _line(neighbour["token"] if "token" in neighbour else neighbour.get("sample", {}))


def _line(query: str | Description) -> str:
    """Returns a token or a sample in one line."""
    text = query if isinstance(query, str) else ", ".join(f"{k}={v}" for k, v in query.items())
    return text.replace("\n", "↵").replace("\t", "⇥")
