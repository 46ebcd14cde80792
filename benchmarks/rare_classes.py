"""What helps rare classes: Banking77 with 2 to 100 training samples a class, on the whole test.

    python -m benchmarks.rare_classes [--ways plain balanced …] [--seeds 0 1 2] [--epochs 30]

The model is that of `configs/banking77.yaml`. A line for each way has macro F1, accuracy and the
calibration error of the test, as the mean and the deviation over the seeds.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from unitf_text import Words

from unitf import Learner, Sample, Source, TransformerConfig
from unitf.tasks import Classification
from unitf.training import DataModule, RandomState
from unitf.training.callbacks import EMA

WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "balanced": {"class_weights": "balanced"},
    "focal": {"focal": 2.0},
    "drawn": {"balance": 1.0},
    "half drawn": {"balance": 0.5},
}
METRICS = ("f1", "accuracy", "ece", "uncalibrated_ece")


class LongTail(Source):
    """Banking77, whose classes have 2 to 100 training samples, as many as an exponential says."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        if split == "validation":
            return []
        rows = [
            {"text": row["text"], "label": row["category"]}
            for row in csv.DictReader((root / f"{split}.csv").open(encoding="utf-8"))
        ]
        return self.tail(rows) if split == "train" else rows

    def tail(self, rows: Sequence[Sample]) -> list[Sample]:
        """Returns the training samples that are left."""
        random = np.random.default_rng(self.seed)
        classes = sorted({row["label"] for row in rows})
        sizes = np.round(2 * 50 ** np.linspace(0, 1, len(classes))).astype(int)
        left: list[Sample] = []
        for name, size in zip(random.permutation(classes), sizes, strict=True):
            own = [row for row in rows if row["label"] == name]
            left += [own[index] for index in random.permutation(len(own))[:size]]
        return left


def train(way: Mapping[str, Any], seed: int, epochs: int, root: Path) -> dict[str, float]:
    """Returns the figures of the test."""
    torch.manual_seed(seed)
    options = dict(way)
    balance = options.pop("balance", None)
    task = Classification(["text"], "label", label_smoothing=0.1, dropout=0.3, **options)
    core = TransformerConfig(dim=128, depth=4, num_heads=4, dropout=0.1)
    words = partial(Words, lowercase=True, min_count=2, token_dropout=0.2)
    optimizer = partial(torch.optim.AdamW, lr=0.001, weight_decay=0.1, fused=True)
    learner = Learner(core, {"text": words}, {"concern": task}, optimizer)
    settings: dict[str, Any] = {}
    if balance is not None:
        from unitf.data import Balance

        settings["balance"] = Balance("label", balance)
    data = DataModule({"tail": LongTail(seed)}, str(root), 64, num_workers=0, seed=seed, **settings)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        gradient_clip_val=1.0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        callbacks=[RandomState(), EMA(decay=0.99)],
    )
    trainer.fit(learner, datamodule=data)
    trainer.test(learner, datamodule=data, verbose=False)
    measured = learner.results["test"]["concern"]["all"]
    return {name: float(measured[name]) for name in METRICS}  # pyright: ignore[reportArgumentType]


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line of JSON for each training, and a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--root", type=Path, default=Path("../shared/data/banking77"))
    arguments = parser.parse_args(argv)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    results: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    for seed in arguments.seeds:
        for way in arguments.ways:
            results[way].append(train(WAYS[way], seed, arguments.epochs, arguments.root))
            print(json.dumps({"way": way, "seed": seed, **results[way][-1]}), flush=True)
    print(f"\n| way | {' | '.join(METRICS)} |\n|---|{'---|' * len(METRICS)}")
    for way, found in results.items():
        columns = [np.array([each[name] for each in found]) for name in METRICS]
        cells = " | ".join(f"{c.mean():.4f} ± {c.std():.4f}" for c in columns)
        print(f"| {way} | {cells} |")


if __name__ == "__main__":
    sys.exit(main())
