"""Whether two states of the repository train alike: every training loss, bit for bit.

    python -m benchmarks.before_after BEFORE [AFTER] [--recipe NAME …] [--save FILE]

BEFORE and AFTER are each a folder (a clone or a work tree), a git revision, or a JSON file that
`--save` has written. A folder or a revision is run: its own command line trains its own recipes,
with seed 0, one thread and one process, in subprocesses. Without AFTER, BEFORE is only recorded.

    python -m benchmarks.before_after cc1b229 --save benchmarks/results/before_after_cc1b229.json
    python -m benchmarks.before_after benchmarks/results/before_after_cc1b229.json .

The exit status is 1 where a loss differs. Losses depend on the processor and on torch too, so they
are recorded, and the table says where they are not the same.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS = {
    "quickstart": 100,
    "trec": 100,
    "vqa": 100,
    "mae_fashion": 100,
    "speech": 100,
    "translate_en_fr": 20,
}
LOSS = "train/loss_step"  # the column of metrics.csv
_WITHOUT_DATA = {"quickstart"}  # a recipe that makes its data
_MACHINE = (  # run in the subprocess, because the two sides may have other libraries
    "import json, platform, sys, torch; "
    "json.dump({'python': platform.python_version(), 'torch': torch.__version__, "
    "'capability': torch.backends.cpu.get_cpu_capability(), 'machine': platform.machine()}, "
    "sys.stdout)"
)


class FailedError(Exception):
    """A side that could not be run."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    recipes = options.recipe or list(STEPS)
    try:
        sides = [
            record(side, recipes, Path(options.data_root).resolve(), options.save)
            for side in (options.before, options.after)
            if side is not None
        ]
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 2
    if options.after is None:
        return 0
    rows = [compare(recipe, *(side["losses"] for side in sides)) for recipe in recipes]
    print(table(rows))
    for key in sides[0]["environment"]:
        values = [side["environment"][key] for side in sides]
        if values[0] != values[1]:
            print(f"{key} is not the same: {values[0]} before, {values[1]} after")
    if options.json:
        told = {"before": sides[0], "after": sides[1], "rows": rows}
        Path(options.json).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(any(row["equal"] < row["steps"] for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before_after", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("before", metavar="BEFORE")
    parser.add_argument("after", metavar="AFTER", nargs="?")
    parser.add_argument("--recipe", nargs="+", choices=list(STEPS), help="only these")
    parser.add_argument("--data-root", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--save", metavar="FILE", help="keep the losses of the last side that ran")
    parser.add_argument("--json", metavar="FILE", help="both sides and their differences")
    return parser


# ---- one side --------------------------------------------------------------------------


def record(side: str, recipes: list[str], data: Path, save: str | None) -> dict[str, Any]:
    """The losses of a side, as hexadecimal floats by recipe, and where they were computed.

    Raises:
        FailedError: the side is nothing that can be run, or a run failed.
    """
    if side.endswith(".json"):
        recorded = json.loads(Path(side).read_text(encoding="utf-8"))
        recorded["losses"] = {name: row.split() for name, row in recorded["losses"].items()}
        return recorded
    with _tree(side) as tree:
        revision = _git(tree, "rev-parse", "HEAD")
        recorded = {"revision": revision, "environment": _environment(tree), "losses": {}}
        for recipe in recipes:
            recorded["losses"][recipe] = run(tree, recipe, data)
            print(f"{side}: {recipe}: {len(recorded['losses'][recipe])} steps", flush=True)
            if save:  # after every recipe: a run that is ended keeps what it has
                rows = {name: " ".join(row) for name, row in recorded["losses"].items()}
                text = json.dumps({**recorded, "losses": rows}, indent=1)
                Path(save).write_text(text + "\n", encoding="utf-8")
    return recorded


def run(tree: Path, recipe: str, data: Path) -> list[str]:
    """The training loss of each step of a recipe of a tree.

    Raises:
        FailedError: the command failed, or logged another number of losses.
    """
    steps = STEPS[recipe]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        argv = [
            "fit", "--config", f"configs/{recipe}.yaml", "--out", str(out),
            "--seed_everything", "0", "--test_after_fit", "false", "--data.num_workers", "0",
            "--trainer.accelerator", "cpu", "--trainer.devices", "1",
            "--trainer.max_steps", str(steps), "--trainer.limit_val_batches", "0",
            "--trainer.num_sanity_val_steps", "0", "--trainer.log_every_n_steps", "1",
        ]  # fmt: skip
        if recipe not in _WITHOUT_DATA:
            argv += ["--data-root", str(data)]
        _python(tree, "-m", "unitf", *argv)
        with (out / "metrics.csv").open(newline="") as lines:
            losses = [row[LOSS] for row in csv.DictReader(lines) if row.get(LOSS)]
    if len(losses) != steps:
        raise FailedError(f"{tree}: {recipe}: expected {steps} losses, found {len(losses)}")
    # the file has all digits of a float; those that are 0 at its end need not be kept
    return [re.sub(r"0+p", "p", float(loss).hex()) for loss in losses]


def _python(tree: Path, *arguments: str) -> str:
    """What Python prints in a tree, with its packages and one thread."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    path = os.pathsep.join((str(tree), str(tree / "plugins")))
    environment = {**os.environ, **threads, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True
    )
    if ended.returncode:
        told = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        last = told[-1] if told else f"exit status {ended.returncode}"
        raise FailedError(f"{tree}: {' '.join(arguments[:5])}: {last}")
    return ended.stdout


def _environment(tree: Path) -> dict[str, str]:
    return {**json.loads(_python(tree, "-c", _MACHINE)), "processor": _processor()}


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


@contextmanager
def _tree(side: str) -> Iterator[Path]:
    """The folder of a side; a revision is checked out in a work tree for as long as it is used."""
    if Path(side).is_dir():
        yield Path(side).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _git(ROOT, "worktree", "add", "--detach", str(tree), side)
        try:
            yield tree
        finally:
            _git(ROOT, "worktree", "remove", "--force", str(tree))


def _git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise FailedError(f"git {' '.join(arguments)}: {' '.join(ended.stderr.split())}")
    return ended.stdout.strip()


# ---- both ------------------------------------------------------------------------------


def compare(
    recipe: str, before: dict[str, list[str]], after: dict[str, list[str]]
) -> dict[str, Any]:
    """How many losses of a recipe are equal, and the first step (from 0) whose is not."""
    pairs = list(zip(before.get(recipe, []), after.get(recipe, []), strict=False))
    different = [step for step, (one, other) in enumerate(pairs) if one != other]
    row = {
        "recipe": recipe,
        "steps": STEPS[recipe],
        "equal": len(pairs) - len(different),
        "first": different[0] if different else None,
    }
    if different:
        one, other = (float.fromhex(value) for value in pairs[different[0]])
        row |= {"before": one, "after": other}
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| recipe | steps | equal | first difference |", "|---|---|---|---|"]
    for row in rows:
        first = "none"
        if row["first"] is not None:
            first = f"step {row['first']}: {row['before']!r} before, {row['after']!r} after"
        elif row["equal"] < row["steps"]:
            first = "not recorded on both sides"
        lines.append(f"| {row['recipe']} | {row['steps']} | {row['equal']} | {first} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
