"""Runs that are meant for other processes, in this one: importing torch again takes seconds."""

import subprocess

from unitf.cli import main


class Ended(subprocess.Popen):
    """A process that has ended."""

    _child_created = False  # for the destructor

    def __init__(self, status):
        self.returncode = status

    def wait(self, timeout=None):
        return self.returncode

    def poll(self):
        return self.returncode


class Runner:
    """Stands for `child_runs._started`; keeps the command lines that it was given.

    Args:
        dies_at: the number of the run in which this process is killed, from 0.
    """

    def __init__(self, dies_at=None):
        self.words = []
        self.dies_at = dies_at

    def __call__(self, words, output):
        self.words.append(list(words))
        if self.dies_at == len(self.words) - 1:
            raise KilledError
        return Ended(main(list(words)))


class KilledError(Exception):
    """The end of this process, which nothing can answer."""
