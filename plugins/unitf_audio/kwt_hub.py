"""KeywordHub: Keyword Transformers from folders with tensors, sizes and labels."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unitf import UserError
from unitf.interop import ModelHub
from unitf_audio.kwt_model import WHAT_IT_IS, KeywordTransformer

SIZES = (
    *("sample_rate", "input_samples", "n_frames", "n_mfcc", "n_mel", "window_ms", "hop_ms"),
    *("d_model", "layers", "heads", "d_ff", "layer_norm_eps"),
)
LABELS, CONFIG = "labels.txt", "config.json"


class KeywordHub(ModelHub):
    """`kwt:FOLDER`; the folder holds `config.json`, `labels.txt` and one `*.safetensors`."""

    prefix = "kwt"

    def open(self, name: str) -> nn.Module:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise UserError(f"kwt:{name}: there is no such folder")
        files = sorted(folder.glob("*.safetensors"))
        if len(files) != 1:
            raise UserError(f"{folder}: holds {len(files)} files *.safetensors, expected one")
        published = KeywordTransformer(_read_config(folder), _read_labels(folder))
        filters = {
            k: t.clone() for k, t in published.state_dict().items() if k.startswith("frontend.")
        }
        try:
            state = load_file(files[0])
            published.load_state_dict(state)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{files[0]}: damaged or truncated ({error})") from error
        except RuntimeError as error:  # torch names the tensors, one on each line
            reason = " ".join(str(error).split())
            raise UserError(f"{files[0]}: {reason[:400]}") from error
        for key, matrix in filters.items():
            if not torch.allclose(matrix, state[key], atol=1e-6):
                raise UserError(f"{files[0]}: {key} are other filters than unitf computes")
        return published.float().eval()

    def kind(self, published: nn.Module) -> str:
        return type(published).__name__

    def recipe(self, published: Any) -> dict[str, Any]:
        return {"config": published.config, "labels": published.labels}

    def make(self, recipe: dict[str, Any]) -> nn.Module:
        return KeywordTransformer(recipe["config"], recipe["labels"]).eval()

    def save(self, published: Any, folder: Path, source: str | None) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(published.config, indent=1)
        (folder / CONFIG).write_text(text, encoding="utf-8")
        (folder / LABELS).write_text("\n".join([*published.labels, ""]), encoding="utf-8")
        state = {name: t.detach().contiguous() for name, t in published.state_dict().items()}
        save_file(state, folder / "kwt.safetensors", metadata={"format": "pt"})

    def cached(self) -> list[str]:
        return []


def _read_config(folder: Path) -> dict[str, Any]:
    """Returns the sizes of a Keyword Transformer; other content is a UserError."""
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{file}: expected an object, found {type(config).__name__}")
    for key in SIZES:
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UserError(f"{file}: {key} is {value!r}, expected a number above 0")
    for key, expected in WHAT_IT_IS.items():
        if config.get(key) != expected:
            raise UserError(f"{file}: {key} is {config.get(key)!r}, expected {expected!r}")
    return config


def _read_labels(folder: Path) -> list[str]:
    file = folder / LABELS
    try:
        labels = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not readable ({error})") from error
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise UserError(f"{file}: expected two or more different labels, found {len(labels)}")
    return labels
