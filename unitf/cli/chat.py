"""`unitf chat`: talks with a language model, which reads all that was said before."""

import argparse
import sys
from typing import TYPE_CHECKING

from unitf.cli.checkpoint_option import add_checkpoint
from unitf.cli.generate import read_settings, settings
from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.tokenizer.tokenizer import Tokenizer


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `unitf chat`."""
    parser = argparse.ArgumentParser(prog="unitf chat", description=__doc__)
    add_checkpoint(parser)
    parser.add_argument("--task", help="the task that writes, where several can")
    parser.add_argument("--stop", nargs="+", default=["\n"], help="what ends an answer")
    settings(parser)
    return parser


def main(argv: list[str]) -> int:
    """Reads lines and answers them, until there are no more."""
    arguments = parser().parse_args(argv)
    from unitf.inference import writing_task
    from unitf.loading import load
    from unitf.tasks import NextToken

    generation, model = read_settings(arguments), load(arguments.checkpoint)
    name = writing_task(model, arguments.task)
    task = model.tasks[name]
    column, tokenizer_name = list(task.inputs.items())[-1]
    tokenizer = model.tokenizers[tokenizer_name]
    if not isinstance(task, NextToken) or not tokenizer.vocabulary_size:
        raise UserError(f"chat: expected a language model (NextToken), found {type(task).__name__}")
    conversation = ""
    while (line := _line()) is not None:
        before = conversation
        conversation = _shortened(f"{conversation}{line}\n", tokenizer, generation.max_tokens)
        try:
            for piece in model.stream({column: conversation}, generation, name):
                text = str(piece["text"])
                conversation += text
                sys.stdout.write(text)
                sys.stdout.flush()
        except UserError as error:  # of this line: the conversation goes on without it
            conversation = before
            sys.stderr.write(f"unitf: {error}\n")
            continue
        conversation += "\n"
        sys.stdout.write("\n")
    return 0


def _line() -> str | None:
    """Returns the next line that the person writes; None at the end of the input."""
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"chat: expected {error.encoding} text, found byte {byte:#04x}") from error


def _shortened(conversation: str, tokenizer: "Tokenizer", reserve: int) -> str:
    """Returns the last lines of a conversation that leave room for an answer."""
    longest = tokenizer.max_tokens
    while longest is not None and "\n" in conversation.rstrip("\n"):
        try:
            num_tokens = tokenizer.encode(conversation).num_tokens
            if num_tokens + min(reserve, longest // 2) <= longest:
                return conversation
        except UserError:
            pass  # too long
        conversation = conversation.partition("\n")[2]
    return conversation
