"""The recipes that `benchmarks.kills` kills."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

MODALITIES: dict[str, tuple[str, Any, Any]] = {  # → column, tokenizer, source
    "image": (
        "image",
        {"class_path": "ImagePatches", "init_args": {"patch": 4, "size": 8, "channels": 1}},
        {"class_path": "ScannedDigits"},
    ),
    "sound": (
        "sound",
        {
            "class_path": "SpectrogramFrames",
            "init_args": {
                "spectrogram": {"class_path": "Spectrogram", "init_args": {"sample_rate": 8000}}
            },
        },
        {
            "class_path": "TelephoneTones",
            "init_args": {"sizes": {"train": 400, "validation": 60, "test": 10}},
        },
    ),
    "text": (
        "text",
        {"class_path": "Characters", "init_args": {"noise": 0.05}},
        {"class_path": "NumberWords"},
    ),
    "stream": ("text", {"class_path": "Characters"}, {"class_path": "Ticks"}),
}
STREAM = '''
import unitf
from unitf.data import StreamSource

class Ticks(StreamSource):
    """Numbers as texts, one after another."""

    def stream(self, split, root, shard, num_shards):
        for number in range(shard, {"train": 2000, "validation": 40}.get(split, 0), num_shards):
            yield {"text": str(number * 7919), "digit": number % 10}

    def splits(self):
        return ["train", "validation"]

@unitf.hookimpl
def register_sources(register):
    register(Ticks)
'''
EMA = {"class_path": "EMA", "init_args": {"decay": 0.9}}
SAVING = {"class_path": "unitf.training.Checkpoint", "init_args": {"every_minutes": 0.003}}
PLATEAU = {
    "class_path": "lightning.pytorch.cli.ReduceLROnPlateau",
    "init_args": {"monitor": "validation/loss", "patience": 0, "factor": 0.5},
}


class Case(NamedTuple):
    """A recipe that is killed."""

    modalities: tuple[str, ...]
    trainer: Mapping[str, Any]
    model: Mapping[str, Any] = {}
    data: Mapping[str, Any] = {}
    averaged: bool = False
    processes: int = 1


EPOCHS = {"max_epochs": 3, "limit_train_batches": 12}
STEPS = {"max_steps": 31, "limit_train_batches": 12, "val_check_interval": 5}
HALF = {"accumulate_grad_batches": 2}
CASES: dict[str, Case] = {
    "text-epochs": Case(("text",), EPOCHS),
    "text-steps-average": Case(("text",), STEPS, averaged=True),
    "text-plateau": Case(("text",), EPOCHS, {"schedule": PLATEAU}),
    "text-tokens": Case(("text",), EPOCHS, data={"batch_size": None, "tokens_per_batch": 300}),
    "image-steps": Case(("image",), STEPS),
    "image-accumulated": Case(("image",), EPOCHS | HALF, data={"num_workers": 1}),
    "image-thaw": Case(
        ("image",), EPOCHS, {"freeze": {"parts": ["core"], "unfreeze_every": 1}}, averaged=True
    ),
    "sound-epochs-average": Case(("sound",), EPOCHS, averaged=True),
    "sound-lora": Case(("sound",), STEPS, {"lora": {"rank": 2}}),
    "mixed-steps": Case(
        ("image", "sound", "text"),
        STEPS | HALF,
        data={"weights": {"image": 2, "sound": 1, "text": 4}},
    ),
    "mixed-plateau": Case(("image", "sound", "text"), EPOCHS, {"schedule": PLATEAU}, averaged=True),
    "stream-epochs": Case(("stream",), EPOCHS, data={"steps_per_epoch": 12}),
    "stream-steps": Case(("stream",), STEPS, data={"steps_per_epoch": 12, "num_workers": 2}),
    "text-two": Case(("text",), STEPS | HALF, averaged=True, processes=2),
    "mixed-two": Case(("image", "text"), EPOCHS, {"schedule": PLATEAU}, processes=2),
}


def recipe(case: Case, folder: Path) -> Path:
    """Writes the recipe of a case."""
    chosen = {name: MODALITIES[name] for name in case.modalities}
    inputs = [column for column, *_ in chosen.values()]
    task = {"class_path": "Classification", "init_args": {"inputs": inputs, "target": "digit"}}
    data: dict[str, Any] = {"batch_size": 8, "num_workers": 0, **case.data}
    if case.processes == 2:
        data["batch_size"] = 4
    callbacks = [SAVING, *([EMA] if case.averaged else [])]
    plain = {
        "model": {
            "core": {"dim": 16, "depth": 2, "num_heads": 2, "dropout": 0.1},
            "tokenizers": {column: tokenizer for column, tokenizer, _ in chosen.values()},
            "tasks": {"digit": task},
            **case.model,
        },
        "data": {"sources": {name: source for name, (*_, source) in chosen.items()}, **data},
        "trainer": {
            "accelerator": "cpu",
            "devices": case.processes,
            "strategy": "ddp" if case.processes > 1 else "auto",
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
            "limit_val_batches": 3,
            "callbacks": callbacks,
            **case.trainer,
        },
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(plain))  # which is YAML
    return file
