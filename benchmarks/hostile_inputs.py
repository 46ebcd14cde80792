"""Hostile inputs: what small files cost when they are read, and whether any of them runs code.

    python -m benchmarks.hostile_inputs

Each input is read in a process of its own. It must end within 20 s of processor time and 1.5 GB of
memory, and run no code that it names.
"""

import io
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import hostile_data, hostile_media, hostile_recipes, hostile_weights  # noqa: F401
from benchmarks.hostile_cases import CASES, Case, is_written, seconds_of_reading
from unitf.errors import UserError

SECONDS, BYTES = 20.0, 1.5e9


def measured(name: str, run: Case) -> tuple[str, float, float, bool]:
    """Returns what an input led to, the seconds and bytes that it cost, and whether it ran code."""
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.chdir(folder)
            os.environ["HF_DATASETS_CACHE"] = folder
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            is_written()
            said = outcome(run, Path(folder))
            seconds = seconds_of_reading()
            os.write(writing, f"{seconds} {said}".encode(errors="replace")[:2_000])
            os._exit(0)
        os.close(writing)
        _, status, used = os.wait4(child, 0)
        said = os.read(reading, 2_000).decode(errors="replace")
        os.close(reading)
        ran = (Path(folder) / "ran").exists()
    if not said:
        said = f"{used.ru_utime + used.ru_stime} ended by signal {status}"
    seconds, _, said = said.partition(" ")
    return said, float(seconds), 1024 * used.ru_maxrss, ran


def outcome(run: Case, folder: Path) -> str:
    """Runs a case; returns how it was answered."""
    sys.stdin = io.StringIO("y\n" * 9)
    resource.setrlimit(resource.RLIMIT_CPU, (200, 200))
    try:
        run(folder)
    except UserError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def main() -> int:
    """Prints what each input cost, and those that cost too much."""
    torch.set_num_threads(1)
    from unitf.cli import training_cli  # noqa: F401 (imported once, before the processes part)

    wanted = sys.argv[1:]
    bad, tracebacks, count = [], [], 0
    for name, run in CASES.items():
        if wanted and not any(word in name for word in wanted):
            continue
        begun = time.perf_counter()
        said, seconds, size, ran = measured(name, run)
        count += 1
        took = time.perf_counter() - begun
        print(
            f"{seconds:6.1f} s {size / 1e9:5.2f} GB {took:6.1f} s  {name}: {said[:150]}", flush=True
        )
        if ran or seconds > SECONDS or size > BYTES:
            bad.append(name)
        if not said.startswith(("refused", "read")):
            tracebacks.append(name)
    print(f"\n{count} inputs: {len(bad)} ran code or cost too much: {bad}")
    print(f"answered by more than a line: {len(tracebacks)}: {tracebacks}")
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
