"""Running the command line of commit cc1b229, and keeping what it saved and said."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from format1_exact import FORMAT1, environment, exact, sample

import unitf

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECIPES = HERE / "recipes"
IMAGE, SOUND = {"array": "image"}, {"array": "sound", "rate": 16_000}
TEXTS = ["the lazy dog sleeps", "a quick fox jumps over", "the fox sleeps over a dog"]


def run(folder: Path, *words: object, script: Path | None = None, status: int = 0) -> str:
    """What the command line prints, in a process of its own that works in a folder."""
    program = ["-m", "unitf"] if script is None else [str(script)]
    path = os.pathsep.join((str(ROOT), str(ROOT / "plugins")))
    ended = subprocess.run(
        [sys.executable, *program, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if ended.returncode != status:
        raise SystemExit(f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr[-4000:]}")
    return ended.stdout


def fit_words(recipes: list[str], out: str) -> list[object]:
    """The arguments that train a model of some recipes of `recipes/`, or of other files."""
    files = [RECIPES / f"{name}.yaml" if "/" not in name else name for name in recipes]
    return [
        "fit", *(word for file in files for word in ("--config", file)), "--out", out,
        "--test_after_fit", "false", "--data.num_workers", 0, "--trainer.accelerator", "cpu",
        "--trainer.num_sanity_val_steps", 0, "--trainer.log_every_n_steps", 1,
    ]  # fmt: skip


def keep(name: str, file: Path, calls: list[dict[str, Any]], whole: bool = False) -> None:
    """Keeps a checkpoint (if not `whole`, without the optimizer), or a folder, and what it says."""
    to = f"{name}.ckpt" if file.is_file() else name
    target = FORMAT1 / to
    remove(target)
    if file.is_dir():
        shutil.copytree(file, target)
    elif whole:
        shutil.copyfile(file, target)
    else:
        checkpoint = torch.load(file, weights_only=True)
        torch.save({k: v for k, v in checkpoint.items() if k != "optimizer_states"}, target)
    model, answered = unitf.load(target), []
    for call in calls:
        samples = [sample(one) for one in call["samples"]]
        result = getattr(model, call["method"])(samples, **call.get("settings", {}))
        answered.append({**call, "result": exact(result)})
    write(FORMAT1 / "expected" / f"{name}.json", {"path": to, "calls": answered})


def write(file: Path, record: dict[str, Any]) -> None:
    """Writes JSON, and on what machine it was computed."""
    text = json.dumps({"environment": environment(), **record}, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def predict(*samples: dict[str, Any]) -> dict[str, Any]:
    """A question: what a model predicts of samples."""
    return {"method": "predict", "samples": list(samples)}


def generate(*samples: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A question: what a model writes for samples."""
    return {"method": "generate", "samples": list(samples), "settings": settings}
