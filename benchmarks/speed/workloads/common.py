"""Shared parts of the sides: real data, models with the same weights, and training steps."""

import csv
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.workload import Side
from unitf import Batch, Features, Model, TaskBatch
from unitf.interop.convert import to_model
from unitf.interop.hub import describe, hubs

DATA = Path(os.environ.get("UNITF_SHARED", Path(__file__).parents[4] / "shared")) / "data"
Losses = Sequence[Callable[[], Tensor]]
VOCABULARY, CLS, SEP, PAD = 8_000, 2, 3, 0


def learner_of(published: nn.Module, hub: str = "hf") -> Model:
    """Returns the same model with the same weights in unitf."""
    return to_model(describe(hubs()[hub], published))


@cache
def sentences() -> tuple[str, ...]:
    """Returns shuffled questions to a bank (Banking77): 2 to 79 words, 12 on average."""
    with (DATA / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    random.Random(0).shuffle(texts)
    return tuple(texts)


@cache
def tokenized(count: int) -> tuple[tuple[int, ...], ...]:
    """Returns the first sentences as ids of words, [CLS] first and [SEP] last; 1 is a rare word.

    Both sides need the same ids, and training a tokenizer twice can break ties differently.
    """
    words = Counter(word for sentence in sentences() for word in sentence.split())
    ids = {word: n for n, (word, _) in enumerate(words.most_common(VOCABULARY - 5), start=5)}
    return tuple(
        (CLS, *(ids.get(word, 1) for word in sentence.split()), SEP)
        for sentence in sentences()[:count]
    )


def packed(texts: Sequence[Sequence[int]], axes: int = 1) -> Features:
    """Packs texts; all position axes but the first are 0 (segments)."""
    ids = torch.tensor([i for text in texts for i in text])
    features = Features(ids, lengths=tuple(map(len, texts)))
    return replace(features, positions=nn.functional.pad(features.positions, (0, 0, 0, axes - 1)))


def padded(texts: Sequence[Sequence[int]], value: int = PAD) -> tuple[Tensor, Tensor]:
    """Returns padded ids (S, L) and the mask of real ones."""
    rows = [torch.tensor(text) for text in texts]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
    lengths = torch.tensor([len(text) for text in texts])
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


def batch_of(
    task: str, features: dict[str, Features], target: Any = None, sequence: Features | None = None
) -> Batch:
    """Returns a batch as data workers make it."""
    count = next(iter(features.values())).num_sequences
    names = tuple(f"sample {n}" for n in range(count))
    modalities = ("+".join(features),) * count
    sample_infos = (None,) * count
    return Batch({task: TaskBatch(features, target, modalities, names, sample_infos, sequence)})


def autocast(dtype: torch.dtype) -> AbstractContextManager:
    """Returns autocast on the CPU for bfloat16, and nothing for float32."""
    return nullcontext() if dtype is torch.float32 else torch.autocast("cpu", dtype)


def training(
    model: nn.Module, losses: Losses, dtype: torch.dtype, max_norm: float | None = 1.0
) -> Callable[[], None]:
    """Returns a run of one AdamW step with clipping for each loss, as usual in both libraries."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def run() -> None:
        for loss in losses:
            with autocast(dtype):
                value = loss()
            value.backward()
            if max_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            optimizer.step()
            optimizer.zero_grad()

    return run


def inference(
    model: nn.Module, calls: Losses, dtype: torch.dtype
) -> tuple[Callable[[], None], Callable[[], Tensor]]:
    """Returns a run of all calls, and a function that returns their outputs."""
    model.eval()

    def outputs() -> Tensor:
        with torch.inference_mode(), autocast(dtype):
            return torch.cat([call().float() for call in calls]).clone()

    def run() -> None:
        with torch.inference_mode(), autocast(dtype):
            for call in calls:
                call()

    return run, outputs


def floats_of(run: Callable[[], Any]) -> float:
    """Returns the floating-point operations of a run: matrix products and attention."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def side(
    model: nn.Module,
    count: int,
    calls: Losses,
    losses: Losses | None,
    dtype: torch.dtype,
    counted: bool,
) -> Side:
    """Returns a side for training if there are losses, else for inference.

    The outputs for comparison always come from inference.
    """
    run, outputs = inference(model, calls, dtype)
    floats = None
    if losses is not None:
        first = outputs()
        run = training(model, losses, dtype)
        return Side(run, count, lambda: first, floats_of(run) if counted else None)
    if counted:
        floats = floats_of(run)
    return Side(run, count, outputs, floats)
