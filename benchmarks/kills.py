"""Runs that are killed at random moments, beside runs that nobody killed: both learn the same.

    python -m benchmarks.kills [NAME …] [--kills 4] [--seed 0] [--list]

Each recipe trains once to its end. Then it trains again and is killed (SIGKILL) that many times,
each time at a random moment after its first checkpoint, and goes on with `--resume`. Compared are
the samples and the loss of every batch, also of those that were trained on twice, the rows of
metrics.csv, the history and totals of the report, the best checkpoint, and the last one: weights,
averages, optimizer and schedule. At last, without a NAME, an epoch is trained by one, two and one
process in turn, and by two, one and two, and its samples are counted.

Everything runs in forks of one process, so that a run starts in a second.
"""

import argparse
import csv
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.kill_cases import CASES, STREAM, Case, recipe

# ---- processes -----------------------------------------------------------------------------


def start(argv: list[str], folder: Path, processes: int) -> list[int]:
    """Starts `unitf` in forks of this process; returns their ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if not child:
            if processes > 1:
                os.environ |= {
                    "TORCHELASTIC_RUN_ID": "kills", "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port), "RANK": str(rank), "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes),
                    "GROUP_RANK": "0",
                }  # fmt: skip
            _work(argv, folder, rank)
        children.append(child)
    return children


def _work(argv: list[str], folder: Path, rank: int) -> None:
    """Runs `unitf`, and writes what every batch had; ends the process."""
    from unitf.cli import main
    from unitf.training import Learner
    from unitf.training.random_state import batches_done

    log = (folder / f"log-{rank}.txt").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    batches = (folder / f"batches-{rank}.jsonl").open("a", buffering=1)
    step = Learner.training_step

    def noted(self: Any, batch: Any, number: int) -> Any:
        loss = step(self, batch, number)
        names = [name for part in batch.task_batches.values() for name in part.names]
        epoch = self.trainer.current_epoch
        line = [batches_done(self.trainer), epoch, names, float(loss.detach()).hex()]
        batches.write(json.dumps(line) + "\n")
        return loss

    Learner.training_step = noted
    status = 1
    try:
        status = main(["--traceback", *argv])
    except SystemExit as ending:
        status = int(ending.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        log.flush()
        os._exit(status)


def wait(children: list[int], until: Callable[[], bool] | None = None) -> list[int] | None:
    """Waits for processes; returns their statuses, or None once `until` holds."""
    left, statuses = list(children), []
    while left:
        for child in list(left):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                left.remove(child)
                statuses.append(os.waitstatus_to_exitcode(status))
        if until is not None and left and until():
            return None
        time.sleep(0.01)
    return statuses


def kill(children: list[int]) -> None:
    """Kills processes of this script; some may have ended."""
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


# ---- what is compared ----------------------------------------------------------------------


def batches_of(folder: Path, processes: int) -> dict[tuple[int, int], set[str]]:
    """Returns what each batch of each process had: one text, unless it differed when repeated."""
    found: dict[tuple[int, int], set[str]] = {}
    for rank in range(processes):
        for line in (folder / f"batches-{rank}.jsonl").read_text().splitlines():
            if line.endswith("]"):  # else the writer was killed
                number, *rest = json.loads(line)
                found.setdefault((rank, number), set()).add(json.dumps(rest))
    return found


def outcome(folder: Path, processes: int) -> dict[str, Any]:
    """Returns all that two runs must have in common."""
    run = folder / "run"
    with (run / "metrics.csv").open(newline="") as lines:
        rows = [dict(sorted(row.items())) for row in csv.DictReader(lines)]
    report = json.loads((run / "metrics.json").read_text())
    training = {k: v for k, v in report["training"].items() if "second" not in k}
    states = {n: torch.load(run / f"checkpoints/{n}.ckpt", weights_only=True)
              for n in ("last", "best")}  # fmt: skip
    last = states["last"]
    return {
        "batches": batches_of(folder, processes),
        "metrics.csv": rows,
        "report": [report["best"], report["results"], training],
        "history": last["callbacks"]["RunReport"]["history"],
        "best": [states["best"]["global_step"], states["best"]["state_dict"]],
        "weights": last["state_dict"],
        "averages": last.get("current_model_state", {}),
        "optimizer": last["optimizer_states"],
        "schedule": last["lr_schedulers"],
    }


def equal(one: Any, other: Any) -> bool:
    """Returns whether two nested values are the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Returns the names of what differs between two outcomes."""
    return [name for name in one if not equal(one[name], other[name])]


# ---- the two trials ------------------------------------------------------------------------


def killed(name: str, folder: Path, kills: int, draw: random.Random) -> tuple[int, list[str]]:
    """Kills a run of a case; returns how often, and what differs from a run that was not."""
    case = CASES[name]
    whole, cut = folder / "whole", folder / "cut"
    for each in (whole, cut):
        each.mkdir(parents=True)
    plugin = folder / "ticks.py"
    plugin.write_text(STREAM)
    words = ["--plugin", str(plugin), "fit"]
    begin = [*words, "--config", str(recipe(case, folder)), "--test_after_fit", "false", "--out"]
    began = time.monotonic()
    first = _saved(whole)
    children = start([*begin, str(whole / "run")], whole, case.processes)
    assert wait(children, first) is None, (whole / "log-0.txt").read_text()
    saved = time.monotonic() - began
    statuses = wait(children)
    assert statuses is not None and not any(statuses), (whole / "log-0.txt").read_text()
    seconds = max(time.monotonic() - began - saved, 0.05)
    done = 0
    children = start([*begin, str(cut / "run")], cut, case.processes)
    ended = wait(children, _saved(cut))
    while ended is None and done < kills:
        deadline = time.monotonic() + draw.uniform(0, seconds * 2 / (kills + 1))
        if done:  # the start of a run that goes on takes its time, too
            deadline += draw.uniform(0, saved)
        ended = wait(children, lambda: time.monotonic() > deadline)  # noqa: B023
        if ended is not None:
            break
        kill(children)
        done += 1
        go_on = [*words, "--resume", str(cut / "run")]
        children = start(go_on, cut, case.processes)
    ended = wait(children) if ended is None else ended
    if any(ended or ()):
        return done, [f"exit status {ended}: {(cut / 'log-0.txt').read_text()[-300:]}"]
    return done, differences(outcome(whole, case.processes), outcome(cut, case.processes))


def changed(worlds: list[int], folder: Path) -> list[str]:
    """Trains an epoch with other numbers of processes in turn; returns what is wrong with it."""
    case = Case(("text",), {"max_epochs": 1, "limit_val_batches": 0})
    folder.mkdir(parents=True, exist_ok=True)
    begin = ["fit", "--config", str(recipe(case, folder)), "--out", str(folder / "run")]
    go_on = ["fit", "--resume", str(folder / "run")]
    stretches: list[dict[tuple[int, int], list[str]]] = []
    for number, world in enumerate(worlds):
        own = folder / str(number)
        own.mkdir()
        more = [
            "--trainer.devices",
            str(world),
            "--trainer.strategy",
            "ddp" if world > 1 else "auto",
        ]
        words = [*(go_on if number else begin), "--test_after_fit", "false", *more]
        children = start(words, own, world)
        last = number == len(worlds) - 1
        ended = wait(children, None if last else lambda: _num_batches(own) >= 5)  # noqa: B023
        if ended is None:
            os.kill(children[0], signal.SIGTERM)  # it saves after its step
            ended = wait(children)
            if ended is None or 143 not in ended:
                return [(own / "log-0.txt").read_text()[-500:]]
        elif any(ended) or not last:
            return [f"exit status {ended}: {(own / 'log-0.txt').read_text()[-500:]}"]
        found = batches_of(own, world)
        stretches.append({key: json.loads(next(iter(v)))[1] for key, v in found.items()})
    seen = Counter(name for batches in stretches for names in batches.values() for name in names)
    twice = sum(count > 1 for count in seen.values())
    expected = len(_samples_of(folder))
    print(f"  {[len(batches) for batches in stretches]} batches, {len(seen)} of {expected} samples")
    return [f"{twice} samples twice, {expected - len(seen)} never"] * bool(
        twice or len(seen) != expected
    )


def _num_batches(folder: Path) -> int:
    file = folder / "batches-0.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def _samples_of(folder: Path) -> Sequence[object]:
    from unitf import registry

    return registry.find("sources", "NumberWords")().read("train", folder)


def _saved(folder: Path) -> Callable[[], bool]:
    return (folder / "run" / "checkpoints" / "last.ckpt").exists


def main() -> int:
    """Tries the chosen cases; returns 1 if something differed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(CASES))
    parser.add_argument("--kills", type=int, default=4, help="of each recipe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="the names of all recipes")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CASES))
        return 0
    import_module("unitf.cli.training_cli")  # once, for all forks

    torch.set_num_threads(1)
    draw, total, bad = random.Random(options.seed), 0, Counter[str]()
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            done, differs = killed(name, Path(folder), options.kills, draw)
        total += done
        bad.update(differs)
        print(f"{name:<22} {done:>3} kills   {'; '.join(differs) or 'the same'}", flush=True)
    print(f"{total} kills, {sum(bad.values())} differences")
    for worlds in ([1, 2, 1], [2, 1, 2]) if options.names == list(CASES) else ():
        with tempfile.TemporaryDirectory() as folder:
            differs = changed(worlds, Path(folder))
        bad.update(differs)
        print(f"processes {worlds}: {'; '.join(differs) or 'every sample of the epoch once'}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
