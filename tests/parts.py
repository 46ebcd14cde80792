"""A small modality, task and model for the tests of data."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from torch import nn

from unitf import Features, Source, Tokenizer
from unitf.tasks import Classification
from unitf.training import DataModule


class Numbers(Tokenizer):
    """A list of numbers, one token each; noise when training."""

    num_features = 2

    def encode(self, value, train=False):
        if isinstance(value, str):
            raise ValueError(f"{value!r} is not a list of numbers")
        row = torch.tensor(value, dtype=torch.float32)
        if train:
            row = row + torch.randn(()) + float(np.random.randn())
        return Features(torch.stack([row, row.square()]))


class Letters(Tokenizer):
    """A text as ids of its letters."""

    vocabulary_size = 128

    def encode(self, value, train=False):
        return Features(torch.tensor([ord(letter) for letter in value], dtype=torch.int64))


class Listed(Source):
    """Samples given as lists, by split."""

    def __init__(self, **splits):
        self.lists = splits

    def read(self, split, root):
        return self.lists.get(split, [])

    def splits(self):
        return list(self.lists)


def damage(path: Path, place: int | None = None) -> None:
    """Turns some bits of eight bytes of a file, in its middle by default."""
    data = bytearray(path.read_bytes())
    first = len(data) // 2 if place is None else place
    data[first : first + 8] = bytes(byte ^ 0xA5 for byte in data[first : first + 8])
    path.write_bytes(data)


def mark_members(path: Path, flags: int = 0, method: int = 8) -> None:
    """Says of all members of a zip that they are locked (1), or packed by another method."""
    data = bytearray(path.read_bytes())
    for start, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # of a member, and in the list of them
        header = -1
        while (header := data.find(start, header + 1)) >= 0:
            data[header + place : header + place + 4 : 2] = bytes([flags, method])
    path.write_bytes(data)


def samples(count, first=0, column="numbers"):
    """Samples of 1 to 5 tokens, all different."""
    return [{column: [float(i)] * (1 + i % 5), "label": i % 2} for i in range(first, first + count)]


def fitted_task(inputs=("numbers",)):
    task = Classification(list(inputs), "label", classes=[0, 1])
    task.build(dim=8)
    return task


def data(source=None, tokenizers=None, **arguments):
    """A DataModule, connected."""
    arguments = {"num_workers": 0, "batch_size": 4} | arguments
    sources = source if isinstance(source, dict) else {"made": source or Listed(train=samples(22))}
    module = DataModule(sources, **{"held_out": 0.0, **arguments})
    tokenizers = tokenizers or {"numbers": Numbers(8)}
    module.connect(tokenizers, {"class": fitted_task(tokenizers)})
    return module


class Regressor(pl.LightningModule):
    """A model with dropout that keeps the loss of every step."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.losses = []

    def training_step(self, batch, batch_idx):
        view = batch.task_batches["class"]
        output = self.layers(view.features["numbers"].rows / 30)
        loss = (output.mean() - view.target.float().mean()).square()
        self.losses.append((batch_idx, loss.item(), view.names))
        return loss

    def validation_step(self, batch, batch_idx):
        torch.rand(3)  # what validation draws must not change the training

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def trainer(folder: Path, **arguments):
    defaults = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "max_epochs": 2,
        "enable_model_summary": False,
        "default_root_dir": folder,
        "num_sanity_val_steps": 0,
        "enable_checkpointing": False,
        "log_every_n_steps": 1,
    }
    return pl.Trainer(**(defaults | arguments))
