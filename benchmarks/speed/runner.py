"""Runs both sides of a workload in turn, A B A B …, each in a process of its own."""

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
    """A side could not run; its message says why."""


def told_by(module: str, *words: str) -> Any:
    """What a module says, as JSON in its last line, that runs in a process of its own."""
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines() or ["nothing was said"]
        raise FailedError(f"{module} {' '.join(words)}: {said[-1]}")
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
        """The next line that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            lines = self.log.read().strip().splitlines() or ["nothing was said"]
            raise FailedError(f"{self.who}: {lines[-1]}")
        return json.loads(line)

    def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.answer()


@dataclass(frozen=True)
class Spread:
    """The median of several, the smallest and the largest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


def measure(workload: Workload, pairs: int, threads: int) -> dict[str, Any]:
    """What both took, as plain data: rates by CPU second, their ratio pair by pair, memory."""
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
    return _figures(workload, about, counts, rounds, memory) | {"difference": difference}


def _interleave(
    workload: Workload, ours: Worker, theirs: Worker, pairs: int, threads: int, file: Path
) -> list[dict[str, list[float]]]:
    if workload.limit is None:
        return [{w.who: w.ask("run") for w in (ours, theirs)} for _ in range(pairs)]
    with Worker(workload.name, "limit", threads, file) as most:
        count = most.answer()["count"]
        rounds = []
        for _ in range(pairs):
            told = {w.who: w.ask("run") for w in (ours, theirs, most)}
            told["limit"] = [count / seconds for seconds in told["limit"]]
            rounds.append(told)
    return rounds


def _difference(ours: Path, theirs: Path) -> float | None:
    if not (ours.exists() and theirs.exists()):
        return None
    a, b = torch.load(ours), torch.load(theirs)
    if a.shape != b.shape:
        raise FailedError(f"outputs have shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item()


def _figures(
    workload: Workload,
    about: dict[str, Any],
    counts: dict[str, int],
    rounds: list[dict[str, list[float]]],
    memory: dict[str, int],
) -> dict[str, Any]:
    per_unit = {
        who: [told[who][0] / count for told in rounds] for who, count in counts.items()
    }  # CPU seconds
    ratios = [b / a for a, b in zip(per_unit["unitf"], per_unit["peer"], strict=True)]
    wall = [
        (told["peer"][1] / counts["peer"]) / (told["unitf"][1] / counts["unitf"]) for told in rounds
    ]
    found: dict[str, Any] = {
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
        shares = [work / told["unitf"][0] / told["limit"][0] for told in rounds]
        found["share"] = vars(Spread.of(shares))
        found["limit"] = {
            "kind": workload.limit,
            "per_second": statistics.median(told["limit"][0] for told in rounds),
        }
        found["share_must"], found["share_aim"] = workload.share_must, workload.share_aim
    return found
