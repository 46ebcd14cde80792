"""Command: a verb of the command line that a plugin can add. This file imports no torch."""

import argparse
from abc import ABC, abstractmethod
from typing import ClassVar


class Command(ABC):
    """A verb of the command line: `unitf NAME …`.

    The file of a command should import heavy libraries inside `run`. Or the command is registered
    as "package.module:Class" with its `name` and `help`; then it is imported only when it runs.
    """

    name: ClassVar[str] = ""  # the verb; empty: the name of the class in lower case, with hyphens
    help: ClassVar[str] = ""  # one line, which `unitf --help` shows

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the arguments of this command to its parser. By default a command has none."""
        return

    @abstractmethod
    def run(self, args: argparse.Namespace) -> int | None:
        """Runs the command.

        Args:
            args: the parsed arguments after the verb.

        Returns:
            The exit status; None is 0.

        Raises:
            UserError: the user made a mistake. It is printed as one line, with exit status 2.
        """
