"""Whole commands from start to end."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.speed.workload import Side, Workload


def _command(words: Sequence[str]) -> Side:
    def run() -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])

    return Side(run, 1)


def _unitf(*words: str) -> Side:
    return _command([sys.executable, "-m", "unitf", *words])


def _folder() -> Path:
    return Path(tempfile.mkdtemp())


def _image(folder: Path) -> Path:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    return folder / "image.png"


def _predicts() -> Side:
    """`unitf predict` on one image by a model that was imported from timm."""
    import timm

    from benchmarks.speed.workloads.common import learner_of
    from unitf.checkpoints.folder import save_folder
    from unitf.interop.exchange import as_checkpoint

    folder = _folder()
    learner = learner_of(timm.create_model("vit_tiny_patch16_224"), "timm")
    save_folder(as_checkpoint(learner), folder / "vit")
    image = _image(folder)
    return _unitf("predict", "--checkpoint", str(folder / "vit"), "--input", f"image={image}")


def _peer_predicts() -> Side:
    """The same with a script of ten lines that uses timm."""
    import timm
    import torch

    folder = _folder()
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), folder / "vit.pt")
    script = f"""
import timm, torch
from PIL import Image
model = timm.create_model("vit_tiny_patch16_224").eval()
model.load_state_dict(torch.load({str(folder / "vit.pt")!r}))
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
with torch.inference_mode():
    pixels = transform(Image.open({str(_image(folder))!r}).convert("RGB"))[None]
    print(model(pixels).softmax(1).topk(1))
"""
    return _command([sys.executable, "-c", script])


_TRANSFORMERS = [sys.executable, "-m", "transformers.cli.transformers", "--help"]

WORKLOADS = [
    Workload(
        "start-help",
        "transformers --help",
        "starts",
        partial(_unitf, "--help"),
        partial(_command, _TRANSFORMERS),
        quick=True,
    ),
    Workload(
        "start-plugins",
        "transformers --help",
        "starts",
        partial(_unitf, "plugins", "list"),
        partial(_command, _TRANSFORMERS),
    ),
    Workload(
        "start-predict",
        "ten lines of timm",
        "starts",
        _predicts,
        _peer_predicts,
    ),
]
