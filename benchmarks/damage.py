"""Damage to what a run wrote, a full disk, and runs that begin together.

python -m benchmarks.damage --flips 200 --pairs 3
mount -t tmpfs -o size=3m tmpfs /mnt/small
python -m benchmarks.damage --full /mnt/small --fills 10
"""

import argparse
import logging
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import unitf
from unitf.checkpoints.checksum import save_checkpoint
from unitf.checkpoints.folder import save_folder
from unitf.checkpoints.read import read_checkpoint
from unitf.errors import UserError

RECIPE = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers: {text: {class_path: Characters}}
  tasks: {digit: {class_path: Classification, init_args: {inputs: [text], target: digit}}}
data:
  sources: {written: {class_path: NumberWords}}
  batch_size: 256
  num_workers: 0
trainer: {max_steps: 3, accelerator: cpu, enable_progress_bar: false}
"""


def checkpoint_of(numbers: int) -> dict[str, object]:
    """Returns a checkpoint with this many weights; it describes no model."""
    weights = {"x": torch.randn(numbers), "y": torch.randn(numbers // 2)}
    return {"unitf": {"configuration": {}, "format": 2}, "state_dict": weights}


def flips(count: int, folder: Path) -> int:
    """Returns how many of `count` flipped bits are found, half of them in a model folder."""
    save_checkpoint(checkpoint_of(20_000), folder / "x.ckpt")
    model = save_folder(checkpoint_of(20_000), folder / "model")
    files = [
        folder / "x.ckpt",
        model / "model.safetensors",
        folder / "x.ckpt",
        model / "unitf.json",
    ]
    draw, found = random.Random(0), 0
    for number in range(count):
        file = files[number % len(files)]
        whole = file.read_bytes()
        bit = draw.randrange(8 * len(whole))
        file.write_bytes(flipped(whole, bit))
        try:
            read_checkpoint(model if file.parent == model else file)
        except UserError:
            found += 1
        else:
            print(f"not found: bit {bit} of {file.name} ({len(whole)} bytes)")
        file.write_bytes(whole)
        read_checkpoint(model if file.parent == model else file)
    return found


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def fills(count: int, folder: Path) -> int:
    """Returns how often a disk that is full at different points costs a line and no file."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    file, right = folder / "run" / "last.ckpt", 0
    save_checkpoint(checkpoint_of(100), file)
    whole = file.read_bytes()
    free = shutil.disk_usage(folder).free
    for number in range(count):
        needed = free + (number + 1) * free // count // 4
        try:
            save_checkpoint(checkpoint_of(needed // 6), file)
            print(f"{needed:,} bytes: written")
        except UserError as error:
            right += "no space left" in str(error) and file.read_bytes() == whole
            print(f"{needed:,} bytes: {error}")
        assert [each.name for each in file.parent.iterdir()] == ["last.ckpt"]
    return right


def pairs(count: int, folder: Path) -> int:
    """Returns in how many of `count` pairs of runs that begin at once each has its own folder."""
    (folder / "recipe.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "unitf", "fit", "--config", "recipe.yaml"]
    right = 0
    for number in range(count):
        out = [] if number % 2 == 0 else ["--out", f"shared{number}"]
        runs = [
            subprocess.Popen([*command, *out], cwd=folder, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [run.communicate()[1].strip() for run in runs]
        statuses = sorted(run.returncode for run in runs)
        expected = [0, 0] if not out else [0, 2]
        right += statuses == expected
        print(f"pair {number}: {statuses} {[line[-150:] for line in said if line]}", flush=True)
    return right


def main() -> None:
    """Prints how much of the damage is found, and what a full disk costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--fills", type=int, default=10)
    parser.add_argument("--full", type=Path, metavar="FOLDER", help="on a small file system")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"unitf {unitf.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.flips:
            print(f"{flips(options.flips, folder)} of {options.flips} flipped bits are found")
        if options.full:
            print(f"{fills(options.fills, options.full)} of {options.fills} fills: a line, no harm")
        if options.pairs:
            print(f"{pairs(options.pairs, folder)} of {options.pairs} pairs are right")


if __name__ == "__main__":
    main()
