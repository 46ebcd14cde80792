"""Runs both sides of a workload alternately (A B A B …), each in a separate process."""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from benchmarks.speed.workload import Workload

ROOT = Path(__file__).parents[2]


class FailedError(Exception):
    """A side could not run; the message has the reason."""


def json_from(module: str, *words: str) -> Any:
    """Runs a module in a new process and returns the JSON of its last line."""
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        errors = done.stderr.strip().splitlines() or ["no output"]
        raise FailedError(f"{module} {' '.join(words)}: {errors[-1]}")
    return json.loads(lines[-1])


class Worker:
    """A process that holds one side of a workload."""

    def __init__(self, workload: str, who: str, threads: int, file: Path) -> None:
        self.who, self.file = who, file
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        command = [sys.executable, "-m", "benchmarks.speed.worker", workload, who]
        self.process = subprocess.Popen(
            [*command, str(threads), str(file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            if pipe is not None:
                pipe.close()

    def answer(self) -> Any:
        """Reads the JSON of the next line of the process."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            lines = self.log.read().strip().splitlines() or ["no output"]
            raise FailedError(f"{self.who}: {lines[-1]}")
        return json.loads(line)

    def ask(self, word: str) -> Any:
        """Sends a command and returns the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.answer()


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several values."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Returns the spread of values."""
        return cls(statistics.median(values), min(values), max(values))


def measure(workload: Workload, pairs: int, threads: int) -> dict[str, Any]:
    """Returns rates per CPU second, their ratio pair by pair, and memory as plain data."""
    with tempfile.TemporaryDirectory() as folder:
        files = {who: Path(folder) / f"{who}.pt" for who in ("unitf", "peer", "limit")}
        with Worker(workload.name, "unitf", threads, files["unitf"]) as ours:
            about = ours.answer()
            with Worker(workload.name, "peer", threads, files["peer"]) as theirs:
                counts = {"unitf": about["count"], "peer": theirs.answer()["count"]}
                difference = _difference(files["unitf"], files["peer"])
                if difference is not None and difference > workload.tolerance:
                    raise FailedError(
                        f"outputs differ by {difference:.1e} of their size, expected at most "
                        f"{workload.tolerance:.0e}"
                    )
                rounds = _interleave(workload, ours, theirs, pairs, threads, files["limit"])
                memory = {w.who: w.ask("end")["memory"] for w in (ours, theirs)}
    return _results(workload, about, counts, rounds, memory) | {"difference": difference}


def _interleave(
    workload: Workload, ours: Worker, theirs: Worker, pairs: int, threads: int, file: Path
) -> list[dict[str, list[float]]]:
    if workload.limit is None:
        return [{w.who: w.ask("run") for w in (ours, theirs)} for _ in range(pairs)]
    with Worker(workload.name, "limit", threads, file) as limit:
        count = limit.answer()["count"]
        rounds = []
        for _ in range(pairs):
            times = {w.who: w.ask("run") for w in (ours, theirs, limit)}
            times["limit"] = [count / seconds for seconds in times["limit"]]
            rounds.append(times)
    return rounds


def _difference(ours: Path, theirs: Path) -> float | None:
    if not (ours.exists() and theirs.exists()):
        return None
    a, b = torch.load(ours), torch.load(theirs)
    if a.shape != b.shape:
        raise FailedError(f"outputs have shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item()


def _results(
    workload: Workload,
    about: dict[str, Any],
    counts: dict[str, int],
    rounds: list[dict[str, list[float]]],
    memory: dict[str, int],
) -> dict[str, Any]:
    per_unit = {
        who: [times[who][0] / count for times in rounds] for who, count in counts.items()
    }  # CPU seconds
    ratios = [b / a for a, b in zip(per_unit["unitf"], per_unit["peer"], strict=True)]
    wall = [
        (times["peer"][1] / counts["peer"]) / (times["unitf"][1] / counts["unitf"])
        for times in rounds
    ]
    result: dict[str, Any] = {
        "name": workload.name,
        "against": workload.against,
        "unit": workload.unit,
        "ratio": vars(Spread.of(ratios)),
        "wall_ratio": vars(Spread.of(wall)),
        "per_cpu_second": {who: 1 / statistics.median(s) for who, s in per_unit.items()},
        "memory": memory,
        "must": workload.must,
        "aim": workload.aim,
    }
    work = about["read"] if workload.limit == "read" else about["floats"]
    if workload.limit is not None and work is not None:
        efficiencies = [work / times["unitf"][0] / times["limit"][0] for times in rounds]
        result["share"] = vars(Spread.of(efficiencies))
        result["limit"] = {
            "kind": workload.limit,
            "per_second": statistics.median(times["limit"][0] for times in rounds),
        }
        result["share_must"], result["share_aim"] = workload.share_must, workload.share_aim
    return result
