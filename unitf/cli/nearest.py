"""`unitf nearest --checkpoint`: the tokens nearest to a token, or the samples nearest to one."""

import argparse
import json
import sys
from typing import Any

from unitf.cli.inputs import HELP, columns_of, describe, read_inputs, texts_of
from unitf.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf nearest`."""
    made = argparse.ArgumentParser(prog="unitf nearest", description=__doc__)
    made.add_argument("--checkpoint", required=True, help="a run's folder or a checkpoint file")
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    made.add_argument("--query", metavar="TOKEN", help="tokens of the vocabulary", **several)
    made.add_argument("--tokenizer", metavar="NAME", help="whose vocabulary, if there are several")
    made.add_argument("--input", metavar="COLUMN=VALUE", help=f"samples: {HELP}", **several)
    made.add_argument(
        "--data",
        metavar="COLUMN=FOLDER|FILE|TABLE",
        help="the samples among which to look, given in the same ways",
        **several,
    )
    made.add_argument("--top", type=int, default=10, help="how many to show")
    made.add_argument("--json", action="store_true", help="print JSON instead of text")
    made.add_argument("--batch-size", type=int, default=64, help="samples at once")
    return made


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

    learner = load(arguments.checkpoint)
    found = (_tokens if arguments.query else _samples)(learner, arguments)
    if arguments.json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(found)
    return 0


def _tokens(learner: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from unitf.analysis.neighbours import nearest_tokens

    tokenizer = learner.tokenizers[_choose(learner, arguments.tokenizer)]
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


def _choose(learner: Any, name: str | None) -> str:
    """The name of the tokenizer that is meant."""
    with_ids = [n for n, t in learner.tokenizers.items() if t.vocabulary_size is not None]
    meant = [n for n in with_ids if name in (n, None)]
    if len(meant) == 1:
        return meant[0]
    found = "no --tokenizer" if name is None else f"--tokenizer {name}"
    raise UserError(f"nearest: {found}; with a vocabulary: {', '.join(with_ids) or 'none'}")


def _samples(learner: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from unitf.analysis.neighbours import nearest

    columns, texts = columns_of(learner), texts_of(learner)
    queries = read_inputs(arguments.input, columns, texts=texts)
    samples = read_inputs(arguments.data, columns, "--data", texts)
    rows = learner.embed(samples, arguments.batch_size)
    return [
        {
            "query": describe(query),
            "nearest": [
                {"index": number, "sample": describe(samples[number]), "cosine": cosine}
                for number, cosine in nearest(row, rows, arguments.top)
            ],
        }
        for query, row in zip(queries, learner.embed(queries, arguments.batch_size), strict=True)
    ]


def _show(found: list[dict[str, Any]]) -> None:
    for number, answer in enumerate(found):
        rows = [(f"{n['cosine']:.3f}", _name(n)) for n in answer["nearest"]]
        if sys.stdout.isatty():
            _draw(_said(answer["query"]), rows)
            continue
        if len(found) > 1:
            sys.stdout.write("\n" * bool(number) + f"{_said(answer['query'])}\n")
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


def _name(neighbour: dict[str, Any]) -> str:
    return _said(neighbour.get("token", neighbour.get("sample")))


def _said(what: Any) -> str:
    """A token or a sample in one line."""
    text = ", ".join(f"{k}={v}" for k, v in what.items()) if isinstance(what, dict) else what
    return text.replace("\n", "↵").replace("\t", "⇥")
