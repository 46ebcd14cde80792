"""`unitf chat`: a language model at the terminal, which goes on from all that was said."""

import argparse
import sys
from typing import Any

from unitf.cli.generate import read_settings, settings
from unitf.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The arguments of `unitf chat`."""
    made = argparse.ArgumentParser(prog="unitf chat", description=__doc__)
    made.add_argument("--checkpoint", required=True, help="a run's folder or a checkpoint file")
    made.add_argument("--task", help="the task that writes, where several can")
    made.add_argument("--stop", nargs="+", default=["\n"], help="what ends an answer")
    settings(made)
    return made


def main(argv: list[str]) -> int:
    """Reads lines and answers them, until there are no more."""
    arguments = parser().parse_args(argv)
    from unitf.inference import writing_task
    from unitf.loading import load
    from unitf.tasks import NextToken

    how, learner = read_settings(arguments), load(arguments.checkpoint)
    name = writing_task(learner, arguments.task)
    task = learner.tasks[name]
    column, used = list(task.inputs.items())[-1]
    tokenizer = learner.tokenizers[used]
    if not isinstance(task, NextToken) or not tokenizer.vocabulary_size:
        raise UserError(f"chat: expected a language model (NextToken), found {type(task).__name__}")
    said = ""
    while (line := _line()) is not None:
        before = said
        said = _shortened(f"{said}{line}\n", tokenizer, how.max_tokens)
        try:
            for piece in learner.stream({column: said}, how, name):
                said += piece["text"]
                sys.stdout.write(piece["text"])
                sys.stdout.flush()
        except UserError as error:  # of this line: the conversation goes on without it
            said = before
            sys.stderr.write(f"unitf: {error}\n")
            continue
        said += "\n"
        sys.stdout.write("\n")
    return 0


def _line() -> str | None:
    """What a person says; None: no more."""
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"chat: expected {error.encoding} text, found byte {byte:#04x}") from error


def _shortened(said: str, tokenizer: Any, reserve: int) -> str:
    """The last lines of a conversation, so that there is room for an answer."""
    longest = tokenizer.max_tokens
    while longest is not None and "\n" in said.rstrip("\n"):
        try:
            if tokenizer.encode(said).num_tokens + min(reserve, longest // 2) <= longest:
                return said
        except UserError:
            pass  # too long
        said = said.partition("\n")[2]
    return said
