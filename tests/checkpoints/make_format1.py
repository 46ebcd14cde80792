"""How `format1/` was made: tiny models and interrupted runs, saved by commit cc1b229.

    python tests/checkpoints/make_format1.py [NAME …]

It was run with the code of that commit, and runs with no other: its recipes and arguments are in
that commit's words, and later ones save another format. No test runs it.

Recipes are trained by the command line; published models are imported by it, from folders that
transformers and timm have written. What the models say is computed with one thread.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import format1_published
import format1_recipes
import numpy as np
import torch
from format1_exact import FORMAT1
from format1_saving import remove
from safetensors.torch import save_file


def inputs(folder: Path) -> None:
    """What the models are asked about."""
    random = np.random.default_rng(0)
    time = np.arange(5_000)
    wave = (np.sin(time * 0.3) / 2 + random.standard_normal(5_000) / 20).astype(np.float32)
    np.savez_compressed(
        FORMAT1 / "inputs.npz",
        image=random.integers(0, 256, (24, 32, 3), dtype=np.uint8),
        grey=random.integers(0, 256, (8, 8), dtype=np.uint8),
        sound=wave,
        clip=random.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8),
        series=random.standard_normal((22, 3)).astype(np.float32),
        cepstra=random.standard_normal((40, 13)).astype(np.float32),
    )


def nobody(folder: Path) -> None:
    """A tokenizer, a task and a settings class of a plugin that is not installed."""
    home = FORMAT1 / "nobody"
    remove(home)
    for name, kind, path in (
        ("tokenizer", "tokenizers", "unitf_ecg.leads.Electrocardiogram"),
        ("task", "tasks", "unitf_ecg.tasks.Rhythm"),
    ):
        settings = json.loads((FORMAT1 / "vit" / "unitf.json").read_text(encoding="utf-8"))
        [part] = settings["configuration"][kind].values()
        part["class_path"] = path
        settings["states"] = {}
        (home / name).mkdir(parents=True)
        (home / name / "unitf.json").write_text(json.dumps(settings), encoding="utf-8")
        save_file({"x": torch.zeros(1)}, home / name / "model.safetensors")
    checkpoint = torch.load(FORMAT1 / "quickstart.ckpt", weights_only=True)
    arguments = checkpoint["unitf"]["configuration"]["tokenizers"]["sound"]["init_args"]
    arguments["spectrogram"]["class_path"] = "unitf_ecg.leads.Window"
    kept = {"unitf": checkpoint["unitf"], "state_dict": {"x": torch.zeros(1)}}
    torch.save(kept, home / "settings.ckpt")


MAKERS = {
    "inputs": inputs,
    **{maker.__name__: maker for maker in format1_recipes.MAKERS},
    **format1_published.MAKERS,
    "nobody": nobody,
}


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    (FORMAT1 / "expected").mkdir(parents=True, exist_ok=True)
    for name in names or MAKERS:
        with tempfile.TemporaryDirectory() as folder:
            MAKERS[name](Path(folder))
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
