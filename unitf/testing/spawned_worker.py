"""Runs a function in a process with an interpreter of its own, as a data worker is one."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from unitf.testing.subject import CheckError


def in_worker(function: Callable[[bytes], bytes], parcel: bytes) -> bytes:
    """Returns what a function of this package returns for `parcel` in a new process.

    Raises:
        CheckError: the process died, as it does if it runs the caller's script again.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(function, parcel).result(timeout=300)
    except BrokenProcessPool as error:
        raise CheckError(
            "found a worker that died at its start, expected one that imports this program: in a "
            'script, call the check below `if __name__ == "__main__":`'
        ) from error
