"""TimmHub: vision models of timm by name, or from a folder that timm wrote."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from unitf import UserError
from unitf.interop import ModelHub
from unitf_hubs.local_files import check_folder, explained


class TimmHub(ModelHub):
    """`timm:NAME` (`vit_small_patch16_224`, with or without `.tag`) or `timm:FOLDER`.

    A folder holds `config.json` and `model.safetensors` or `pytorch_model.bin`.
    """

    prefix = "timm"

    def open(self, name: str) -> nn.Module:
        import timm

        folder, arguments = Path(name).expanduser(), {}
        if folder.is_dir():
            check_folder(folder)
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            arguments = config.get("model_args") or {}
            name = f"local-dir:{folder}"
        elif name.partition(".")[0] not in set(timm.list_models()):
            raise UserError(f"timm has no model {name!r}, and there is no such folder")
        with explained(f"timm:{name}"):
            published: Any = timm.create_model(name, pretrained=True).float().eval()
        published.unitf_arguments = arguments  # timm stores them nowhere, and `recipe` needs them
        return published

    def kind(self, published: nn.Module) -> str:
        return type(published).__name__

    def recipe(self, published: Any) -> dict[str, Any]:
        cfg = published.pretrained_cfg
        return {
            "architecture": cfg["architecture"],
            "num_classes": published.num_classes,
            "arguments": _arguments(published),
            "pretrained_cfg": {k: v for k, v in cfg.items() if _is_plain(v)},
        }

    def make(self, recipe: dict[str, Any]) -> nn.Module:
        import timm

        if recipe["architecture"] not in timm.list_models():
            raise UserError(f"timm has no model {str(recipe['architecture'])[:80]!r}")
        published: Any = timm.create_model(
            recipe["architecture"],
            num_classes=recipe["num_classes"],
            pretrained_cfg_overlay=recipe["pretrained_cfg"],
            **recipe["arguments"],
        ).eval()
        published.unitf_arguments = recipe["arguments"]
        return published

    def save(self, published: Any, folder: Path, source: str | None) -> None:
        from safetensors.torch import save_file

        recipe = self.recipe(published)
        config = {
            "architecture": recipe["architecture"],
            "num_classes": recipe["num_classes"],
            "num_features": published.num_features,
            "global_pool": getattr(published, "global_pool", None),
            "pretrained_cfg": recipe["pretrained_cfg"],
            "model_args": recipe["arguments"],
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        state = {name: t.detach().contiguous() for name, t in published.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    def cached(self) -> list[str]:
        from unitf_hubs.local_files import cached_repositories

        return [name for name in cached_repositories() if name.startswith("timm/")]


def _arguments(published: Any) -> dict[str, Any]:
    """Returns the arguments of a model, and of its images, that its name does not imply."""
    arguments = dict(getattr(published, "unitf_arguments", {}))
    arguments.pop("num_classes", None)
    embed = getattr(published, "patch_embed", None)
    if (size := getattr(embed, "img_size", None)) is not None:
        arguments["img_size"] = list(size)
    return arguments


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, str | int | float | bool)
