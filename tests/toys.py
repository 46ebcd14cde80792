"""A modality, a source and a model, all small, for tests of what stands above them."""

from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import torch

import unitf
from unitf import Features, Learner, Source, Tokenizer, TransformerConfig
from unitf.tasks import Classification
from unitf.training import DataModule, RandomState


class Waves(Tokenizer):
    """A signal of numbers, four to a token; `fit` learns its deviation."""

    num_features = 4

    def fit(self, values):
        self.fitted = {"std": float(np.std(np.concatenate(list(values))))}

    def encode(self, value, train=False):
        array = np.asarray(value, dtype=np.float32) / self.fitted["std"]
        if train:
            array = array + 0.1 * torch.randn(len(array)).numpy()
        return Features(torch.from_numpy(array[: len(array) // 4 * 4].reshape(-1, 4)).mT)


class Beats(Waves):
    """Another modality of the same kind."""


class Swings(Source):
    """Signals that swing slowly or fast; a sample has `waves`, `beats` or both."""

    def __init__(self, size: int = 96) -> None:
        self.size = size

    def read(self, split, root: Path):
        if split not in self.splits():
            return []
        generator = np.random.default_rng(self.splits().index(split))
        return [self.sample(generator, number) for number in range(self.size)]

    def sample(self, generator, number):
        fast = bool(generator.integers(2))
        time = np.arange(generator.integers(12, 30))
        signal = np.sin(time * (1.5 if fast else 0.3) + generator.random() * 6)
        signal = signal.astype(np.float32) * 3
        brought = [("waves",), ("beats",), ("waves", "beats")][number % 3]
        return {"speed": "fast" if fast else "slow", **dict.fromkeys(brought, signal)}


class Letters(Tokenizer):
    """A letter a token; 0 begins a text and 1 ends it."""

    vocabulary_size = 30
    start_id, end_id = 0, 1

    def encode(self, value, train=False):
        return Features(torch.tensor([2 + ord(letter) % 28 for letter in value]))

    def decode(self, features):
        return "".join(chr(96 + (i - 2 - 12) % 28) for i in features.values.tolist())


for toy in (Waves, Beats, Swings):
    unitf.register(toy)


def make_learner(**core) -> Learner:
    config = {"dim": 32, "depth": 2, "num_heads": 2, **core}
    return Learner(
        core=TransformerConfig(**config),
        tokenizers={"waves": Waves, "beats": Beats},
        tasks={"speed": Classification(["waves", "beats"], "speed")},
        optimizer=partial(torch.optim.AdamW, lr=1e-2),
    )


def make_trainer(folder: Path, **settings) -> L.Trainer:
    plain = {
        "default_root_dir": folder,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "use_distributed_sampler": False,
        "callbacks": [RandomState()],
    }
    return L.Trainer(**{**plain, **settings})


def make_data(**settings) -> DataModule:
    return DataModule({"toy": Swings()}, **{"batch_size": 8, "num_workers": 0, **settings})
